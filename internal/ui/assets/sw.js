// The service worker. It makes "Sign out" work without the server: it writes down that this browser is locked before it
// sends the form, and if no answer comes it shows a page of its own until the server has taken the ticket. It shows no
// page from a cache but that one. While nobody is signing out it leaves requests to the browser. Where it fails, a request
// goes to the server all the same, unless it is a form that another site has sent.

import { all, put, remove, drop } from './tickets.js';

const { withdrawn, keeps, placeholder } = self.exeunt;
const shell = keeps[0];
const kept = `exeunt ${keeps.join(' ')}`;
const sync = 'exeunt-sign-out';
/** A server that accepts and does not answer counts as away. */
const patience = 4000;
const marker = '__Host-exeunt-ticket';
const leaves = ['/signout', '/signout/all', '/end_session/browser', '/signout/offline'];

/** What is stored, or undefined if that has to be read. `weak`: it could not be stored, and goes with this worker. */
let known;
let weak = false;
/** Tickets of forms that are on their way. In any other worker they are of one that was killed. */
const onTheirWay = new Set();

const tabs = attempt(() => new BroadcastChannel('exeunt'));
const workers = attempt(() => new BroadcastChannel('exeunt-worker'));
if (workers) workers.onmessage = () => { if (!weak) known = undefined; };

self.addEventListener('install', (event) => {
  self.skipWaiting();
  event.waitUntil(prepare());
});

self.addEventListener('activate', (event) => event.waitUntil(begin()));

self.addEventListener('fetch', (event) => {
  const url = new URL(event.request.url);
  if (url.origin !== self.location.origin) return;
  const handle = handler(event.request, url);
  if (handle) event.respondWith(handle().catch(() => fallBack(event.request)));
});

self.addEventListener('sync', (event) => {
  if (event.tag === sync) event.waitUntil(deliver().then(undelivered));
});

self.addEventListener('message', (event) => {
  event.waitUntil(told(event.data ?? {}).then((answer) => event.ports[0]?.postMessage(answer)));
});

/** Keeps the page of a locked browser. */
async function prepare() {
  try {
    const cache = await caches.open(kept);
    await cache.addAll(keeps.map((at) => new Request(at, { credentials: 'omit', cache: 'no-cache' })));
  } catch (err) {
    if (!withdrawn) throw err; // a withdrawn worker must come whatever is broken
  }
}

async function begin() {
  await self.clients.claim();
  await clearCaches();
  await deliver();
  await leaveIfWithdrawn();
}

async function clearCaches() {
  for (const name of await caches.keys()) if (name !== kept) await caches.delete(name);
}

/** The server has withdrawn the worker: it goes once it holds no ticket that must be delivered. */
async function leaveIfWithdrawn() {
  if (withdrawn && !waiting(await records()).length) await vanish();
}

/** Leaves nothing of itself behind, as on a shared computer. */
async function vanish() {
  drop();
  for (const name of await caches.keys()) await caches.delete(name);
  await self.registration.unregister();
}

function handler(request, url) {
  if (request.mode === 'navigate') {
    if (request.method === 'POST' && leaves.includes(url.pathname) && isOurs(request)) return () => leave(request);
    if (known && !locks(known) && !(known.some((r) => r.state === 'ready') && away(request))) {
      if (waiting(known).length) deliver();
      return null;
    }
    return () => visit(request, url);
  }
  return known && !locks(known) ? null : () => part(request, url);
}

/**
 * Whether a page of ours sends a form. What a worker sends itself looks to the server as if it came from this site, so it
 * must not pass on the forms of others.
 */
function isOurs(request) {
  return Boolean(request.referrer) && new URL(request.referrer).origin === self.location.origin;
}

/** Whether this device says that it has no network. */
function away(request) { return request.method === 'GET' && !self.navigator.onLine; }

/** What is done where this script has failed. */
function fallBack(request) {
  if (request.mode === 'navigate' && request.method === 'POST') return isOurs(request) ? fetch(request) : Response.error();
  return known && locks(known) ? fetch(request) : pass(request); // a redirect would come back to what has failed
}

/**
 * Leaves a request to the browser after all. A page is opened by a redirect to itself, which comes back here once what is
 * stored is known: so it is the browser that sends it, and says where it comes from.
 */
function pass(request) {
  return request.mode === 'navigate' && known ? Response.redirect(request.url, 307) : fetch(request);
}

async function records() {
  if (!known) {
    try {
      known = await all();
      weak = false;
    } catch {
      known = [];
      weak = true;
    }
  }
  return known;
}

/** Writes tickets down, in memory at least. */
async function save(...list) {
  await records(); // others may change what is known meanwhile
  known = [...known.filter((r) => !list.some((one) => one.ticket === r.ticket)), ...list];
  try {
    await put(...list);
    weak = false;
    workers?.postMessage('changed');
  } catch {
    weak = true;
  }
}

async function forget(ticket) {
  await records();
  known = known.filter((r) => r.ticket !== ticket);
  await remove(ticket).catch(() => {});
  // As soon as no ticket waits, answers may clear what is stored here.
  if (known.every((r) => r.state === 'ready')) await attempt(() => self.cookieStore?.delete(marker))?.catch(() => {});
  workers?.postMessage('changed');
}

/** Whether no page may be shown. */
function locks(list) { return list.some(holds); }

function holds(r) {
  return ['locked', 'confirmed', 'gone'].includes(r.state) || (r.state === 'leaving' && !onTheirWay.has(r.ticket));
}

/** The tickets that the server must still be told of. */
function waiting(list) {
  return list.filter((r) => r.state === 'locked' || r.state === 'released' || (r.state === 'leaving' && !onTheirWay.has(r.ticket)));
}

/** The tickets that a page asks for which does not have them itself: of all accounts, or of a session. */
async function heldFor(of) {
  if (!of) return null;
  return (await records()).filter((r) => r.state === 'ready' && (of === 'all' || sessionOf(r.ticket) === of)).map((r) => r.ticket);
}

/** A form that signs out, of one account or of all in this browser. The lock is on the disk before the network is tried. */
async function leave(request) {
  const form = await request.clone().formData();
  const held = await heldFor(form.get('held'));
  const tickets = held ?? (form.get('ticket') ?? '').split(' ');
  if (!tickets.length || !tickets.every((ticket) => /^[\w.-]+$/.test(ticket))) return carry(request);
  const before = new Map((await records()).map((r) => [r.ticket, r]));
  const leaving = tickets.map((ticket) => {
    const known = before.get(ticket);
    const record = { tries: 0, ...known, ticket, shared: known?.shared ?? form.has('shared'), since: known?.since ?? Date.now(), state: 'leaving' };
    return form.get('scope') === 'account' ? { ...record, everywhere: true } : record;
  });
  for (const ticket of tickets) onTheirWay.add(ticket);
  try {
    await save(...leaving);
    const response = held ? null : await send(request); // which has not these tickets: the page of the lock delivers them
    if (response && isOfServer(response)) {
      for (const ticket of tickets) {
        const was = before.get(ticket);
        // The answer is a redirect, whose status nobody can see (it is 0), unless the form was refused.
        if (response.status >= 400 && was && !['confirmed', 'gone'].includes(was.state)) await save(was);
        else await forget(ticket);
      }
      if (response.status < 400 && leaving.some((r) => r.shared) && !waiting(await records()).length) await vanish();
      return response;
    }
    await lock(leaving.map((r) => ({ ...r, tries: r.tries + 1, last: response ? 'failing' : silence() })));
  } finally {
    for (const ticket of tickets) onTheirWay.delete(ticket);
  }
  return lockedPage((await records()).filter(holds));
}

/**
 * Sends a form without ticket. The server is told that the answer comes through here: Chromium waits for ever for one that
 * clears the storage, and this worker with it.
 */
function carry(request) {
  const headers = new Headers(request.headers);
  headers.set('Exeunt-Worker', '1');
  return fetch(request, { headers, redirect: 'manual' });
}

/**
 * What read makes of the answer. A request that is given up must not keep a connection: browsers have six for a server.
 * Older ones, which have workers, lack AbortSignal.timeout.
 */
async function inTime(request, how, read = (response) => response) {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), patience);
  try {
    return await read(await fetch(request, { ...how, signal: abort.signal }));
  } finally {
    clearTimeout(timer);
  }
}

async function send(request) {
  try {
    return await inTime(request, { redirect: 'manual' });
  } catch {
    return null;
  }
}

/**
 * Whether it is an answer of our server that works. Proxies answer by themselves while it is away, and with any status.
 * Nothing can be seen of a redirect.
 */
function isOfServer(response) {
  return response.type === 'opaqueredirect'
    || (response.status < 500 && /^[a-z2-7]{16}$/.test(response.headers.get('X-Request-Id') ?? ''));
}

function silence() { return self.navigator.onLine ? 'silent' : 'offline'; }

async function lock(list) {
  await save(...list.map((r) => ({ ...r, state: 'locked' })));
  for (const r of list) {
    tabs?.postMessage({ kind: 'state', session: sessionOf(r.ticket), answer: { state: 'ended' } });
    const at = r.shared ? 'shared' : sessionOf(r.ticket);
    await attempt(() => self.cookieStore?.delete(`__Host-exeunt-${at}-here`))?.catch(() => {});
  }
  await clearCaches();
  await attempt(() => self.registration.sync?.register(sync))?.catch(() => {});
}

/** Tickets begin with the name of their session. */
function sessionOf(ticket) { return ticket.split('.')[0]; }

/** Somebody opens a page. A ticket is delivered before anything else is sent. */
async function visit(request, url) {
  if (!locks(await records())) {
    const ready = known.find((r) => r.state === 'ready');
    if (!ready || !away(request)) return pass(request);
    return fetch(request).catch(() => page('away', ready.ticket));
  }
  await deliver();
  const held = (await records()).filter(holds); // another worker may have changed them
  const done = held.every((r) => r.state !== 'locked' && r.state !== 'leaving');
  if (done && request.method === 'POST' && url.pathname === '/signin') {
    for (const r of held) await forget(r.ticket); // they are delivered, and somebody signs in
    return pass(request);
  }
  return held.length ? lockedPage(held) : pass(request);
}

/** What a page asks for while the browser is locked: it gets what the page of the lock needs. */
async function part(request, url) {
  if (!locks(await records())) return fetch(request);
  if (keeps.includes(url.pathname)) return (await caches.match(url.pathname)) ?? fetch(request);
  if (url.pathname === '/sw.js') return fetch(request);
  return new Response('{"state":"ended"}', {
    status: 401, headers: { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' },
  });
}

function lockedPage(held) { return page('locked', held.map((r) => r.ticket).join(' ')); }

async function page(state, ticket) {
  const from = await caches.match(shell);
  if (!from) throw new Error('the page was not kept');
  // As it must be without script, too.
  const text = (await from.text()).replaceAll(placeholder, ticket).replace('data-offline="free"', `data-offline="${state}"`)
    .replace('data-when="free"', '$& hidden').replace(`data-when="${state}" hidden`, `data-when="${state}"`);
  const headers = new Headers(from.headers);
  headers.set('Cache-Control', 'no-store');
  for (const name of ['Content-Encoding', 'Content-Length', 'Set-Cookie']) headers.delete(name);
  return new Response(text, { headers });
}

let delivering = null;

/** Brings the server what waits; one attempt at a time. */
function deliver() {
  delivering ??= attemptAll().finally(() => { delivering = null; });
  return delivering;
}

async function attemptAll() {
  // All at once: a page that opens, and the one of the lock, wait for no more than one of them.
  await Promise.all(waiting(await records()).map(async (record) => {
    const outcome = await bring(record.ticket);
    const now = (await records()).find((r) => r.ticket === record.ticket);
    if (!now || onTheirWay.has(record.ticket)) return; // the form itself arrived meanwhile
    if (outcome.state && now.state === 'released') await forget(record.ticket);
    else if (outcome.state) await save({ ...now, ...outcome });
    else await save({ ...now, ...outcome, state: now.state === 'released' ? 'released' : 'locked', tries: now.tries + 1 });
  }));
  await leaveIfWithdrawn();
}

/** What the server says of a ticket. The address takes no cookies, so that no other sign-in is touched. */
async function bring(ticket) {
  try {
    return await inTime('/signout/ticket', {
      method: 'POST', body: new URLSearchParams({ ticket }), credentials: 'omit', cache: 'no-store', redirect: 'error',
      headers: { 'Exeunt-Activity': 'no' },
    }, async (response) => {
      if (response.status === 200 || response.status === 410) {
        const answer = await response.json(); // anything else is not from our server
        if (response.status === 200 && answer.state === 'signed_out') return { state: 'confirmed', at: answer.at };
        if (response.status === 410 && answer.state === 'gone') return { state: 'gone' };
      }
      return { last: 'failing' };
    });
  } catch {
    return { last: silence() };
  }
}

/** Has Background Sync try again. */
function undelivered() {
  if (waiting(known ?? []).length) throw new Error('not delivered yet');
}

/** What pages tell and ask. */
async function told({ kind, ticket, shared, sessions = [] }) {
  await records();
  switch (kind) {
    case 'ready': // the ticket of the sign-in of a page; none on a shared computer, or if nobody is signed in
      for (const r of await records()) {
        if (r.state === 'ready' && r.ticket !== ticket && !sessions.includes(sessionOf(r.ticket))) await forget(r.ticket);
      }
      // A page that was on its way while the worker claimed the others was missed.
      if (!withdrawn) await self.clients.claim();
      if (ticket && !withdrawn && !(await records()).some((r) => r.ticket === ticket)) await save({ ticket, state: 'ready', shared });
      return { waiting: waiting(await records()).length };
    case 'try':
      await deliver();
      break;
    case 'release':
      for (const r of known.filter((one) => one.state === 'locked' || one.state === 'leaving')) await save({ ...r, state: 'released' });
      break;
  }
  const held = (await records()).filter(holds);
  if (!held.length) return { state: 'none', waiting: waiting(await records()).length };
  const first = held.find((r) => r.state === 'locked' || r.state === 'leaving') ?? held[0];
  return { ...first, weak, more: known.filter((r) => r.state !== 'ready' && !held.includes(r)).length };
}

/** The value, or undefined if the browser refuses. */
function attempt(value) {
  try {
    return value();
  } catch {
    return undefined;
  }
}
