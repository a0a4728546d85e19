// Prepares signing out without the server: registers the service worker, and gives it the ticket of this sign-in.

export function offline() {
  const { ticket, shared, session } = document.body.dataset;
  const workers = attempt(() => navigator.serviceWorker);
  if (!workers) return;
  if (ticket) workers.register('/sw.js', { updateViaCache: 'none' }).catch(() => {});
  else if (!workers.controller || session) return;
  // On a shared computer the ticket is only in the page.
  const keep = shared === undefined ? ticket : undefined;
  workers.ready.then((one) => {
    const channel = new MessageChannel();
    channel.port1.onmessage = (event) => { if (event.data?.waiting === 0) noneWaits(); };
    // Other accounts of this browser keep theirs.
    const sessions = [...document.cookie.matchAll(/__Host-exeunt-(ses_\w+)-here=/g)].map(([, name]) => name);
    one.active.postMessage({ kind: 'ready', ticket: keep, shared: false, sessions }, [channel.port2]);
  }).catch(() => {});
}

/** The locked page has left a cookie for as long as a ticket waits. */
function noneWaits() {
  if (document.cookie.includes('__Host-exeunt-ticket=')) {
    document.cookie = '__Host-exeunt-ticket=; Max-Age=0; Secure; SameSite=Lax; Path=/';
  }
}

/** Whether the worker takes what this page sends: then it can be signed out without the server. */
export function canLeaveOffline() {
  return Boolean(document.body.dataset.ticket && attempt(() => navigator.serviceWorker)?.controller);
}

/** The value, or undefined if the browser refuses. */
function attempt(value) {
  try {
    return value();
  } catch {
    return undefined;
  }
}
