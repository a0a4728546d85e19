// The service worker of the pages, with everything around it made up: what may go wrong there is hard to have in a browser.
import test from 'node:test';
import assert from 'node:assert/strict';
import vm from 'node:vm';
import { readFile } from 'node:fs/promises';

const source = (await readFile(new URL('../../internal/ui/assets/sw.js', import.meta.url), 'utf8'))
  .replace(/^import .*tickets\.js';$/m, 'const { all, put, remove, drop } = self.tickets;');
const site = 'https://id.example';
const ticket = 'ses_1.code';
const waits = { ticket, state: 'locked', tries: 1 };
const refused = async () => { throw new TypeError('no network'); };

/** What several workers of a browser share: the database, the caches, the channels. */
class Browser {
  disk = new Map();
  caches = new Map();
  channels = [];
  cookies = [];

  /** Starts a worker. fetch answers what it sends. */
  start({ fetch = refused, withdrawn = false, onLine = true, broken = false } = {}) {
    const browser = this;
    const listeners = {};
    const worker = { sent: [], registered: true };
    const refuse = () => { if (worker.broken) throw new Error('refused'); };
    worker.broken = broken;
    const tickets = {
      all: async () => { refuse(); return [...this.disk.values()]; },
      put: async (...list) => { refuse(); for (const r of list) this.disk.set(r.ticket, r); },
      remove: async (...names) => { for (const name of names) this.disk.delete(name); },
      drop: () => this.disk.clear(),
    };
    const find = (at) => { for (const kept of this.caches.values()) if (kept.has(at)) return kept.get(at).clone(); return undefined; };
    class Channel {
      constructor(name) { Object.assign(this, { name, worker }); browser.channels.push(this); }

      postMessage(data) {
        for (const c of browser.channels) if (c.name === this.name && c.worker !== this.worker) c.onmessage?.({ data });
      }
    }
    const self = {
      exeunt: { withdrawn, keeps: ['/locked'], placeholder: '{ticket}' }, tickets, location: new URL(site), navigator: { onLine },
      addEventListener: (name, listener) => { listeners[name] = listener; },
      skipWaiting() {}, clients: { claim() { worker.claims = (worker.claims ?? 0) + 1; } }, registration: { unregister() { worker.registered = false; } },
      cookieStore: { delete: async (name) => { this.cookies.push(name); } },
    };
    vm.runInNewContext(source, { self, URL, URLSearchParams, Response, Headers, AbortController, setTimeout, clearTimeout, Date, Error, Request: class { constructor(at) { this.at = at; } },
      BroadcastChannel: Channel,
      caches: {
        open: async (name) => ({ addAll: async (list) => {
          refuse();
          this.caches.set(name, new Map(list.map(({ at }) => [at, new Response('<div data-offline="free">{ticket}</div>')])));
        } }),
        keys: async () => [...this.caches.keys()], delete: async (name) => this.caches.delete(name), match: async (at) => find(at),
      },
      fetch: async (what, how) => { worker.sent.push({ at: what.url ?? what, how }); return fetch(what, how); } });
    const event = async (name, more = {}) => {
      const all = [];
      listeners[name]({ waitUntil: (p) => all.push(p), ...more });
      await Promise.all(all);
    };
    worker.install = () => event('install');
    worker.activate = () => event('activate');
    worker.tell = async (data) => {
      let answer;
      await event('message', { data, ports: [{ postMessage: (said) => { answer = said; } }] });
      return answer;
    };
    /** The answer of the worker, null if it leaves a request to the browser. */
    worker.ask = async (path, { method = 'GET', mode = 'navigate', form = {}, referrer = `${site}/` } = {}) => {
      let answer = null;
      const request = { url: site + path, method, mode, referrer, headers: new Headers({ 'Content-Type': 'application/x-www-form-urlencoded' }),
        clone: () => ({ formData: async () => { const data = new FormData(); for (const [k, v] of Object.entries(form)) data.set(k, v); return data; } }) };
      listeners.fetch({ request, respondWith: (p) => { answer = p; } });
      return answer;
    };
    return worker;
  }

  /** A worker that has its page. */
  async ready(options) {
    const worker = this.start(options);
    await worker.install();
    return worker;
  }
}

const json = (value, status = 200) => new Response(JSON.stringify(value), { status });
const ours = (status) => new Response('a page', { status, headers: { 'X-Request-Id': 'abcdefghij234567' } });
const signOut = (worker, form = { ticket }, at = '/signout') => worker.ask(at, { method: 'POST', form });
const isLocked = async (answer) => /data-offline="locked"/.test(await answer.text());

test('a locked browser that has lost its page is not led in a circle', async () => {
  const browser = new Browser();
  browser.disk.set(ticket, waits);
  const worker = browser.start({ fetch: async (what) => (what.url ? ours(200) : json({}, 503)) });
  const answer = await worker.ask('/sessions');
  assert.equal(answer.status, 200, 'the request goes to the server');
});

test('an answer of something else than our server is none: the sign-out is completed later', async () => {
  for (const status of [200, 403, 404, 421, 502]) {
    const browser = new Browser();
    const worker = await browser.ready({ fetch: async () => new Response('no backend', { status }) });
    assert.ok(await isLocked(await signOut(worker)), `${status} of a proxy`);
    assert.equal(browser.disk.get(ticket).state, 'locked', `${status} of a proxy`);
  }
  for (const status of [200, 403, 409]) {
    const browser = new Browser();
    const worker = await browser.ready({ fetch: async () => ours(status) });
    assert.equal((await signOut(worker)).status, status);
    assert.equal(browser.disk.size, 0, `our server has answered ${status}`);
  }
});

test('what another worker writes while a ticket is delivered does not lift the lock', async () => {
  const browser = new Browser();
  browser.disk.set(ticket, waits);
  let other = null;
  const worker = await browser.ready({ fetch: async () => { other.postMessage('changed'); return json({}, 503); } });
  browser.start();
  other = browser.channels.at(-1);
  assert.ok(await isLocked(await worker.ask('/sessions')));
  assert.equal((await worker.tell({ kind: 'try' })).state, 'locked', 'the page of the lock is answered');
});

test('a worker that knows nothing of a ticket does not remove it with its own', async () => {
  const browser = new Browser();
  const ready = { ticket: 'ses_2.code', state: 'ready' };
  browser.disk.set(ready.ticket, ready);
  const old = await browser.ready();
  await old.tell({ kind: 'look' });
  browser.disk.set(ticket, waits); // by a new worker, whose word of it has not come yet
  await old.tell({ kind: 'ready' });
  assert.deepEqual([...browser.disk.keys()], [ticket]);
});

test('a sign-out on a shared computer keeps the ticket of somebody else that still waits', async () => {
  const browser = new Browser();
  browser.disk.set(ticket, { ...waits, state: 'released' });
  const worker = await browser.ready({ fetch: async (what) => (what.url ? ours(200) : json({}, 503)) });
  await signOut(worker, { ticket: 'ses_2.code', shared: '1' });
  assert.deepEqual([...browser.disk.keys()], [ticket]);
  assert.ok(worker.registered, 'who else would deliver it');
});

test('a ticket that is only in memory stays there when another worker has changed something', async () => {
  const browser = new Browser();
  const worker = await browser.ready();
  worker.broken = true;
  assert.ok(await isLocked(await signOut(worker)));
  browser.start();
  browser.channels.at(-1).postMessage('changed');
  assert.equal((await worker.tell({ kind: 'look' })).state, 'locked');
});

test('the page of the lock has no text that is no ticket', async () => {
  const browser = new Browser();
  const worker = await browser.ready();
  for (const form of [{ ticket: '"><script src=/x></script>' }, { ticket: "$'" }, {}]) {
    worker.sent.length = 0;
    await assert.rejects(signOut(worker, form), TypeError);
    assert.equal(browser.disk.size, 0);
    assert.equal(worker.sent[0].how.headers.get('Exeunt-Worker'), '1', 'or Chromium would wait for ever for an answer that clears');
    assert.match(worker.sent[0].how.headers.get('Content-Type'), /form/);
  }
});

test('what the server has confirmed does not lock again when the page after it is refused', async () => {
  const browser = new Browser();
  browser.disk.set(ticket, { ...waits, state: 'confirmed' });
  const worker = await browser.ready({ fetch: async () => ours(403) });
  assert.equal((await worker.ask('/signout/offline', { method: 'POST', form: { ticket } })).status, 403);
  assert.equal((await worker.tell({ kind: 'look' })).state, 'none');
});

test('a withdrawn worker keeps the page while a ticket waits, and can be installed when nothing can be stored', async () => {
  const browser = new Browser();
  browser.disk.set(ticket, waits);
  let status = 503;
  const worker = browser.start({ withdrawn: true, fetch: async () => json({ state: 'signed_out' }, status) });
  await worker.install();
  await worker.activate();
  assert.ok(await isLocked(await worker.ask('/sessions')));
  status = 200;
  await worker.tell({ kind: 'try' });
  assert.deepEqual([worker.registered, browser.caches.size, browser.disk.size], [false, 0, 0]);
  await new Browser().start({ withdrawn: true, broken: true }).install();
  await assert.rejects(new Browser().start({ broken: true }).install());
});

test('several tickets are delivered at once: with a silent server each takes four seconds', async () => {
  const browser = new Browser();
  for (const name of ['ses_1.code', 'ses_2.code', 'ses_3.code']) browser.disk.set(name, { ...waits, ticket: name });
  let under = 0;
  let most = 0;
  const worker = await browser.ready({ fetch: async () => {
    most = Math.max(most, ++under);
    await new Promise((done) => { setImmediate(done); });
    under--;
    return json({ state: 'signed_out' });
  } });
  assert.deepEqual([(await worker.tell({ kind: 'try' })).state, most], ['confirmed', 3]);
  assert.deepEqual([...browser.disk.values()].map((r) => r.state), ['confirmed', 'confirmed', 'confirmed']);
});

test('after a lock was stopped and its ticket delivered, answers may clear the storage again', async () => {
  const browser = new Browser();
  browser.disk.set(ticket, { ...waits, state: 'released' });
  const worker = await browser.ready({ fetch: async () => json({ state: 'signed_out' }) });
  await worker.tell({ kind: 'try' });
  assert.deepEqual(browser.cookies, ['__Host-exeunt-ticket']);
  assert.equal(browser.disk.size, 0);
});

test('the accounts of a browser are signed out together, and each ticket is delivered', async () => {
  const browser = new Browser();
  const both = ['ses_1.code', 'ses_2.code'];
  browser.disk.set(both[1], { ticket: both[1], state: 'ready' });
  let up = false;
  const worker = await browser.ready({ fetch: async (what) => {
    if (!up) throw new TypeError('no network');
    return what === '/signout/ticket' ? json({ state: 'signed_out' }) : ours(200);
  } });
  const shown = await (await signOut(worker, { ticket: both.join(' ') }, '/signout/all')).text();
  assert.match(shown, /ses_1\.code ses_2\.code/);
  assert.deepEqual([...browser.disk.values()].map((r) => r.state), ['locked', 'locked']);
  assert.deepEqual(browser.cookies, ['__Host-exeunt-ses_1-here', '__Host-exeunt-ses_2-here']);
  up = true;
  assert.equal((await worker.tell({ kind: 'try' })).state, 'confirmed');
  assert.equal((await signOut(worker, { ticket: both.join(' ') }, '/signout/offline')).status, 200);
  assert.equal(browser.disk.size, 0);
});

test('a page of one account leaves the tickets of the others, and removes those of accounts that are not here', async () => {
  const browser = new Browser();
  for (const name of ['ses_1.code', 'ses_2.code', 'ses_3.code']) browser.disk.set(name, { ticket: name, state: 'ready' });
  const worker = await browser.ready();
  await worker.tell({ kind: 'ready', ticket: 'ses_1.code', sessions: ['ses_1', 'ses_2'] });
  assert.equal(worker.claims, 1, 'a page that the start of the worker missed is its from now on');
  assert.deepEqual([...browser.disk.keys()], ['ses_1.code', 'ses_2.code']);
});

test('without the server an account is signed out of by its own ticket, which the page of another does not have', async () => {
  for (const [held, gone] of [['ses_2', ['ses_2.code']], ['all', ['ses_1.code', 'ses_2.code']]]) {
    const browser = new Browser();
    for (const name of ['ses_1.code', 'ses_2.code']) browser.disk.set(name, { ticket: name, state: 'ready' });
    const worker = await browser.ready();
    assert.ok(await isLocked(await signOut(worker, { ticket: 'ses_1.code', held }, '/signout/offline')));
    assert.deepEqual([...browser.disk.values()].filter((r) => r.state === 'locked').map((r) => r.ticket), gone);
  }
});
