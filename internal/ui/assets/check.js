// Looks for what is left of a sign-in in this browser, for the page /check and, in brief, the page after a sign-out. What is
// found is shown and sent nowhere. The server is asked once, for this page as it is now.

import { all } from './tickets.js';

const root = document.querySelector('[data-check]');
const full = root.dataset.check === 'full';
const { session = '' } = document.body.dataset;
/** The sessions of all accounts that are signed in in this browser, and where the cookies of a shared one are. */
const signedIn = [session, document.body.dataset.shared === undefined ? '' : 'shared', ...[...document.querySelectorAll('button[form="switch"]')].map((one) => one.value)].filter(Boolean);
const marker = '__Host-exeunt-ticket';
/** Addresses whose pages name somebody. No answer of theirs may be kept. */
const pages = ['/', '/sessions', '/sessions/ended', '/security', '/apps', '/activity', '/settings', '/review', '/menu', '/session/state'];
const patience = 3000;
/** How long tabs have to answer, and those that have just been asked to look after themselves to leave. */
const answerTime = 300;
const leaveTime = 1500;
/** A browser fills in passwords a moment after the page is there. */
const fillTime = 1500;
const farOff = 5 * 60_000;
const most = 10;

const gone = { state: 'gone' };
const use = { state: 'use' };
const blind = { state: 'blind' };
const left = (names, fix) => ({ state: 'left', names: names.slice(0, most), fix });

let restored = ['back_forward'].includes(performance.getEntriesByType('navigation')[0]?.type) || document.wasDiscarded === true;

/** Each looks at one layer, and may throw where the browser refuses. */
const layers = { ticket, cookies, storage, databases, caches: copies, http, proxy, worker, tabs, restored: broughtBack, password, clock };
// Not the cache: a browser notes each page that it has not as an error.
const brief = ['ticket', 'cookies', 'storage', 'databases', 'caches', 'worker', 'tabs'];

/** What is wrong around the browser, and is not left in it. */
const around = ['proxy', 'restored', 'clock'];

let running;
let again = false;

/** Looks everywhere; asked again meanwhile, once more. */
async function look() {
  again = true;
  if (running) return;
  running = true;
  root.ariaBusy = 'true';
  while (again) {
    again = false;
    fresh = undefined;
    await Promise.all((full ? Object.keys(layers) : brief).map(one));
    sum();
  }
  running = false;
  root.ariaBusy = 'false';
}

async function one(name) {
  const found = await layers[name]().catch(() => blind);
  if (full) show(name, found);
  else mention(name, found);
  if (!running) sum();
}

const found = new Set();

function show(name, { state, names = [], fix }) {
  const line = root.querySelector(`[data-layer="${name}"]`);
  const held = line.contains(document.activeElement);
  for (const part of line.querySelectorAll('[data-when]')) part.hidden = part.dataset.when !== state;
  line.classList.toggle('left', state === 'left');
  icon(line.querySelector('svg use'), { gone: 'check', left: 'odd' }[state] ?? 'dot');
  line.querySelector('[data-names]').replaceChildren(...names.map((text) => {
    const code = document.createElement('code');
    code.dir = 'ltr';
    code.textContent = text.slice(0, 200);
    const item = document.createElement('li');
    item.append(code);
    return item;
  }));
  const button = line.querySelector('[data-fix]');
  if (button) button.onclick = async () => { await fix?.(); look(); };
  if (held && state !== 'left') line.querySelector('h3').focus(); // its button has gone
  const why = document.querySelector(`[data-reason="${name}"]`);
  if (why) why.hidden = state !== 'left';
  found[state === 'left' ? 'add' : 'delete'](name);
}

function mention(name, { state, names = [] }) {
  const line = root.querySelector(`[data-layer="${name}"]`);
  line.hidden = state !== 'left';
  line.querySelector('[data-names]').textContent = names.join(', ').slice(0, 200);
  found[state === 'left' ? 'add' : 'delete'](name);
}

function icon(where, name) { where.setAttribute('href', where.getAttribute('href').replace(/#.*/, `#${name}`)); }

/** Says at the top what was found. */
function sum() {
  const n = found.size;
  const said = !n ? 'none' : n > 1 || !full ? 'many' : 'one';
  for (const part of root.querySelectorAll('[data-sum]')) part.hidden = part.dataset.sum !== said;
  if (!full) return;
  const many = root.querySelector('[data-sum="many"]');
  many.dataset.words ??= many.textContent;
  many.textContent = many.dataset.words.replace('%s', n);
  const instead = root.querySelector('[data-verdict="left"][hidden], [data-verdict="left"][data-ours]');
  if (!instead || session) return;
  const lies = [...found].some((name) => !around.includes(name));
  instead.dataset.ours = '';
  instead.hidden = !lies;
  root.querySelector('[data-verdict="server"]').hidden = lies;
  const tick = root.querySelector('[data-tick]');
  const mark = tick.querySelector('use');
  tick.dataset.was ??= `${mark.getAttribute('href').replace(/.*#/, '')} ${tick.className}`;
  const [before, ...classes] = tick.dataset.was.split(' ');
  icon(mark, n ? 'odd' : before);
  tick.className = n ? 'tick warn' : classes.join(' ');
}

let fresh;

/** This page as the server sends it now: {response, html, at}. */
function now() {
  fresh ??= (async () => {
    const from = Date.now();
    const response = await fetch(window.location.pathname, { cache: 'no-store', headers: { 'Exeunt-Activity': 'no' }, redirect: 'error' });
    const at = (from + Date.now()) / 2;
    const html = new DOMParser().parseFromString(await response.text(), 'text/html');
    return { response, html, at };
  })();
  return fresh;
}

const expire = (name) => { document.cookie = `${name}=; Max-Age=0; Secure; SameSite=Lax; Path=/`; };

async function cookies() {
  const names = document.cookie.split('; ').map((text) => text.split('=')[0]);
  const halves = names.filter((name) => /^__Host-exeunt-(ses_\w+|shared)-here$/.test(name));
  const waits = names.includes(marker) && (await ticket().catch(() => gone)).state !== 'left';
  const over = [...halves.filter((name) => !signedIn.some((one) => name.includes(one))), ...(waits ? [marker] : [])];
  if (!over.length) return session && halves.length ? use : gone;
  return left(over, () => {
    expire(marker);
    const form = document.querySelector('form[action="/check/clear"]');
    if (form) form.submit();
    else for (const name of over) expire(name);
  });
}

async function storage() {
  const keys = Object.keys(window.localStorage).concat(Object.keys(window.sessionStorage));
  return keys.length ? left(keys, () => { window.localStorage.clear(); window.sessionStorage.clear(); }) : gone;
}

const databaseNames = async () => (await indexedDB.databases()).map(({ name }) => name);

async function databases() {
  // Our own is the worker's, which deletes it when nothing is in it: see ticket.
  const held = await ask('look');
  const names = (await databaseNames()).filter((name) => name !== 'exeunt' || (!held && !session));
  if (!names.length) return gone;
  return left(names, () => Promise.all(names.map((name) => new Promise((done) => {
    const request = indexedDB.deleteDatabase(name);
    request.onsuccess = request.onerror = request.onblocked = done;
  }))));
}

/** Our worker's cache is named by what it may have in it. */
async function copies() {
  const there = [];
  const remove = [];
  for (const name of await caches.keys()) {
    const allowed = name.startsWith('exeunt ') ? name.split(' ').slice(1) : [];
    const cache = await caches.open(name);
    const more = (await cache.keys()).filter((request) => !allowed.includes(new URL(request.url).pathname));
    if (!allowed.length) remove.push(() => caches.delete(name));
    if (!allowed.length && !more.length) there.push(name);
    for (const request of more) {
      there.push(`${name}: ${new URL(request.url).pathname}`);
      remove.push(() => cache.delete(request));
    }
  }
  return there.length ? left(there, () => Promise.all(remove.map((act) => act()))) : gone;
}

const cached = (path) => fetch(path, { cache: 'only-if-cached', mode: 'same-origin' }).then((answer) => answer.ok, () => false);

async function http() {
  // A browser that does not know the word would ask the server.
  if (await cached(`/manifest.webmanifest?${Math.random()}`)) return blind;
  const kept = [];
  for (const path of pages) if (await cached(path)) kept.push(path);
  if (!kept.length) return gone;
  // What the server answers now takes the place of what is kept.
  return left(kept, () => Promise.all(kept.map((path) => fetch(path, { cache: 'reload', redirect: 'manual', headers: { 'Exeunt-Activity': 'no' } }).catch(() => {}))));
}

async function proxy() {
  const { response: { headers } } = await now();
  const control = headers.get('cache-control') ?? '';
  const signs = [];
  if (!/\bno-store\b/.test(control)) signs.push(`Cache-Control: ${control}`);
  if (headers.has('age')) signs.push(`Age: ${headers.get('age')}`);
  if (signs.length && headers.has('via')) signs.push(`Via: ${headers.get('via')}`); // by itself it is harmless
  return signs.length ? left(signs) : gone;
}

const path = (address) => new URL(address).pathname;

async function registrations() {
  const list = await navigator.serviceWorker.getRegistrations();
  const of = (one) => one.active ?? one.waiting ?? one.installing;
  const ours = list.filter((one) => path(one.scope) === '/' && of(one) && path(of(one).scriptURL) === '/sw.js');
  return { ours, foreign: list.filter((one) => !ours.includes(one)), of };
}

async function worker() {
  const { ours, foreign, of } = await registrations();
  if (!foreign.length) return session && ours.length ? use : gone;
  return left(foreign.map((one) => `${of(one) ? path(of(one).scriptURL) : '?'} (${path(one.scope)})`),
    () => Promise.all(foreign.map((one) => one.unregister())));
}

/** Asks our worker; null if there is none, or it does not answer. */
async function ask(kind) {
  const [one] = navigator.serviceWorker ? (await registrations()).ours : [];
  if (!one?.active) return null;
  return new Promise((resolve) => {
    const channel = new MessageChannel();
    const timer = setTimeout(resolve, patience, null);
    channel.port1.onmessage = (event) => { clearTimeout(timer); resolve(event.data); };
    one.active.postMessage({ kind }, [channel.port2]);
  });
}

async function ticket() {
  const answer = await ask('look');
  let waits = [];
  if (answer) {
    if (answer.state !== 'none') waits = [answer.state];
    else if (answer.waiting) waits = ['released'];
  } else if ((await databaseNames()).includes('exeunt')) {
    waits = (await all()).map((one) => one.state).filter((state) => state !== 'ready');
  }
  return waits.length ? left(waits, () => ask('try')) : gone;
}

async function tabs() {
  const channel = new BroadcastChannel('exeunt');
  try {
    const here = async () => {
      const list = [];
      channel.onmessage = ({ data }) => { if (data?.kind === 'here') list.push(data); };
      channel.postMessage({ kind: 'who', session });
      await new Promise((done) => { setTimeout(done, answerTime); });
      return list;
    };
    const strange = (list) => list.filter((tab) => tab.session !== session && !signedIn.includes(tab.session));
    let list = await here();
    if (strange(list).length) {
      await new Promise((done) => { setTimeout(done, leaveTime); });
      list = await here();
    }
    const over = strange(list);
    if (!over.length) return list.length > 1 ? use : gone; // this page has answered, too
    return left(over.map((tab) => tab.path), () => {
      const say = new BroadcastChannel('exeunt');
      for (const tab of over) say.postMessage({ kind: 'state', session: tab.session, answer: { state: 'ended' } });
      say.close();
    });
  } finally {
    channel.close();
  }
}

async function broughtBack() {
  if (!restored) return gone;
  // What it shows may be old.
  const { html } = await now();
  const then = html.querySelector('[data-check]')?.dataset.state;
  if (then !== root.dataset.state || (html.body.dataset.session ?? '') !== session) window.location.reload();
  return left([window.location.pathname]);
}

async function password() {
  const fields = [...root.querySelectorAll('[data-inert] input')];
  const filled = (field) => field.value !== '' || field.matches(':autofill');
  for (const end = performance.now() + fillTime; performance.now() < end && !fields.some(filled);) {
    await new Promise((done) => { setTimeout(done, 100); });
  }
  const names = fields.filter(filled).map((field) => field.labels[0].textContent);
  return names.length ? left(names) : gone;
}

async function clock() {
  const { html, at } = await now();
  const off = at - Number(html.querySelector('[data-check]').dataset.now);
  if (Number.isNaN(off)) return blind;
  if (Math.abs(off) < farOff) return gone;
  const minutes = Math.round(off / 60_000);
  return left([`${minutes > 0 ? '+' : '−'}${Math.floor(Math.abs(minutes) / 60)}:${String(Math.abs(minutes) % 60).padStart(2, '0')} h`]);
}

// Last, once everything above is there.
look();
window.addEventListener('pageshow', (event) => { if (event.persisted) { restored = true; look(); } });
root.querySelector('[data-inert]')?.addEventListener('submit', (event) => event.preventDefault());
root.querySelector('[data-inert]')?.addEventListener('input', () => one('password'));
root.querySelector('[data-again]')?.addEventListener('click', (event) => { event.preventDefault(); window.location.reload(); });
