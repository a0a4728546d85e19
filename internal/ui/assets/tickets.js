// The sign-out tickets that this browser holds, in IndexedDB: {ticket, state, everywhere, shared, since,
// tries, last, at}.
//
//   ready      of the session that is signed in here, for a sign-out at any time
//   leaving    a sign-out is being sent
//   locked     the server could not be told yet: no page is shown until it has confirmed
//   released   the same, but somebody has stopped the lock
//   confirmed  the server has ended the session; the person has not been told yet
//   gone       the server knows nothing of the session any more; the person has not been told yet

const store = 'tickets';
/** A database that does not answer is one that the browser refuses. */
const patience = 1500;

/** Every ticket. Throws if the browser refuses. Where there is none, looking leaves no database behind. */
export function all() {
  return within(patience, exists().then((yes) => (yes ? run('readonly', (tickets) => tickets.getAll()) : [])));
}

async function exists() {
  return !indexedDB.databases || (await indexedDB.databases()).some((db) => db.name === 'exeunt');
}

/** Writes tickets, and resolves once they are on the disk: they must survive the browser being killed. */
export function put(...records) {
  return within(patience, run('readwrite', (tickets) => { for (const r of records) tickets.put(r); }));
}

/** Removes tickets, and the database with the last one. */
export function remove(...names) {
  return within(patience, exists().then(async (yes) => {
    if (!yes) return; // an answer may have cleared the storage, and this must leave nothing behind
    const left = await run('readwrite', (tickets) => {
      for (const name of names) tickets.delete(name);
      return tickets.count();
    });
    if (!left) drop();
  }));
}

/** Removes the database. */
export function drop() { indexedDB.deleteDatabase('exeunt'); }

async function run(mode, act) {
  const db = await open();
  try {
    return await new Promise((resolve, reject) => {
      const t = db.transaction(store, mode, { durability: 'strict' });
      const request = act(t.objectStore(store));
      t.oncomplete = () => resolve(request?.result);
      t.onabort = () => reject(t.error ?? new Error('aborted'));
    });
  } finally {
    db.close();
  }
}

function open() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open('exeunt', 1);
    request.onupgradeneeded = () => request.result.createObjectStore(store, { keyPath: 'ticket' });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** The promise's value, or an error once the time has passed. */
function within(ms, promise) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('no answer in time')), ms);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
