// What stands in the way of signing out, in the browser and around it: each is tried, and its outcome is in
// docs/troubleshooting.md.
import { test, before, after, beforeEach } from 'node:test';
import assert from 'node:assert/strict';
import { Node } from './lib/node.mjs';
import { Between } from './lib/between.mjs';
import { click, fillIn, main, open, sees, shows, workerReady } from './lib/either.mjs';
import { until } from './lib/wait.mjs';
import { hereOf } from './lib/cookies.mjs';

const minutes = 120_000;
let node, between;
before(async () => {
  node = await Node.start();
  between = await Between.start();
});
after(async () => {
  await between?.stop();
  await node?.stop();
});
beforeEach(() => {
  Object.assign(between, { change: null, cut: null });
  between.be('pass');
});

const locked = '[data-when=locked]:not([hidden])';

async function browser(t, kind = 'chromium', more = {}) {
  const b = await open(kind, { port: between.port, ...more });
  t.after(() => b.close());
  return b.tab();
}

async function signIn(page, { worker = true, kind = 'kept' } = {}) {
  await page.goto(`${node.exeunt}/signin`);
  await fillIn(page, node.ada, kind);
  if (worker) await workerReady(page);
  return page.evaluate(() => document.body.dataset.session);
}

async function signOut(page) {
  await page.goto(`${node.exeunt}/signout`);
  await click(page, 'main form[action="/signout"] button.danger');
}

async function lock(page) {
  await page.goto(`${node.exeunt}/sessions`);
  between.be('gone');
  await click(page, '.acct a[data-signout]');
  await sees(page, 'dialog#ask[open] button.danger');
  await click(page, 'dialog#ask button.danger');
  await sees(page, locked);
}

async function reason(session) {
  const { active, ended } = await node.sessions('ada');
  return active.some((s) => s.id === session) ? 'lives' : ended.find((s) => s.id === session)?.reason;
}

test('[R6.6 R6.7] a proxy strips Clear-Site-Data: the cookies go all the same, and no ticket is left', async (t) => {
  const page = await browser(t);
  between.change = (path, answer) => { answer.headers = answer.headers.filter(([n]) => !/^clear-site-data$/i.test(n)); };
  const session = await signIn(page);
  await signOut(page);
  await shows(page, /Signed out of this browser/);
  assert.equal(await reason(session), 'signed_out');
  await until('nothing is stored', () => page.evaluate(async () => (await indexedDB.databases()).length === 0), minutes);
  await page.goto(`${node.exeunt}/sessions`);
  await shows(page, /Sign in/);
  await signIn(page);
});

test('[R6.2 R6.7] a proxy caches pages in spite of no-store: one that is shown from a cache is blank at once', async (t) => {
  const page = await browser(t);
  between.change = (path, answer) => {
    if (!/^\/(sessions|settings)$/.test(path)) return;
    answer.status = 200;
    // With the Vary that we send, a browser would not show it once the cookies are gone.
    answer.headers = [...answer.headers.filter(([n]) => !/^(cache-control|vary)$/i.test(n)), ['Cache-Control', 'public, max-age=3600']];
  };
  const session = await signIn(page);
  await page.goto(`${node.exeunt}/settings`);
  await signOut(page);
  await shows(page, /Signed out of this browser/);
  assert.equal(await reason(session), 'signed_out');
  const answers = [];
  page.on('response', (r) => answers.push([new URL(r.url()).pathname, r.fromCache()]));
  await page.goto(`${node.exeunt}/settings`);
  await until('it is blank', async () => !/Ada Quill/.test(await page.evaluate(() => document.body.innerText).catch(() => 'Ada Quill')), minutes);
  await shows(page, /not signed in|no longer signed in|Sign in|Signed out/);
  t.diagnostic(`from the cache: ${answers.some(([path, cached]) => path === '/settings' && cached)}`);
});

test('[R6.6] scripts may set no cookie: the lock holds, cannot be stopped by hand, and the ticket is delivered', async (t) => {
  const page = await browser(t);
  const session = await signIn(page);
  await page.evaluateOnNewDocument((name) => {
    Object.defineProperty(Document.prototype, 'cookie', { get: () => `${name}=kept`, set() {} });
    Object.defineProperty(ServiceWorkerRegistration.prototype, 'cookies', { value: undefined });
  }, hereOf(session));
  await lock(page);
  await sees(page, '[data-out]:not([hidden])');
  await click(page, '[data-release]');
  await sees(page, '[data-held]:not([hidden])');
  await page.goto(`${node.exeunt}/sessions`);
  await sees(page, locked);
  between.be('pass');
  await shows(page, /Signed out of this browser/);
  assert.equal(await reason(session), 'signed_out');
});

test('[R6.6] addresses with "signout" in them are blocked: the lock can be stopped, and the half that is left ends the session', async (t) => {
  const page = await browser(t);
  const session = await signIn(page);
  await node.advance(60); // a pair that is this young might still be on its way
  await page.goto(`${node.exeunt}/sessions`);
  await click(page, '.acct a[data-signout]'); // the question is there before the extension is
  await sees(page, 'dialog#ask[open] button.danger');
  between.blocks = /signout|logout/;
  t.after(() => { between.blocks = null; });
  await click(page, 'dialog#ask button.danger');
  await sees(page, locked);
  await sees(page, '[data-out]:not([hidden])');
  assert.equal(await reason(session), 'lives');
  await click(page, '[data-release]');
  await shows(page, /incomplete|no longer signed in/);
  assert.equal(await reason(session), 'incomplete_credential');
});

test('[R6.7] the service worker of an app on another host has no part in our pages', async (t) => {
  const page = await browser(t);
  between.change = (path, answer) => {
    if (path !== '/foreign.js') return;
    Object.assign(answer, { status: 200, headers: [['Content-Type', 'text/javascript']],
      body: Buffer.from('self.addEventListener("install", () => skipWaiting()); self.addEventListener("activate", (e) => e.waitUntil(clients.claim())); self.addEventListener("fetch", (e) => e.respondWith(new Response("foreign")));') });
  };
  const session = await signIn(page);
  await page.goto(node.chirp);
  await page.evaluate(async () => {
    await navigator.serviceWorker.register('/foreign.js');
    await navigator.serviceWorker.ready;
  });
  await page.goto(`${node.chirp}/`);
  assert.equal(await page.evaluate(() => document.body.innerText), 'foreign', 'it has taken over the app');
  await signOut(page);
  await shows(page, /Signed out of this browser/);
  assert.equal(await reason(session), 'signed_out');
});

test('[R6.7] clocks that are a year apart change nothing: nothing in a browser is counted by its own', async (t) => {
  const page = await browser(t);
  await page.evaluateOnNewDocument(() => {
    const Real = Date;
    const off = 366 * 24 * 3600_000;
    // eslint-disable-next-line no-global-assign
    Date = class extends Real {
      constructor(...args) { super(...(args.length ? args : [Real.now() - off])); }

      static now() { return Real.now() - off; }
    };
  });
  let session = await signIn(page);
  await signOut(page);
  await shows(page, /Signed out of this browser/);
  assert.equal(await reason(session), 'signed_out');
  session = await signIn(page);
  await lock(page);
  between.be('pass');
  await shows(page, /Signed out of this browser/);
  assert.equal(await reason(session), 'signed_out');
});

test('[R6.6] storage that is full: the lock is in memory, the page says so, and the ticket is delivered', async (t) => {
  const page = await browser(t);
  const session = await signIn(page);
  const cdp = await page.createCDPSession();
  await cdp.send('Storage.overrideQuotaForOrigin', { origin: node.exeunt, quotaSize: 1 });
  await lock(page);
  const weak = await page.evaluate(() => !document.querySelector('[data-weak]').hidden);
  t.diagnostic(`the browser refused to store the lock: ${weak}`);
  between.be('pass');
  await shows(page, /Signed out of this browser/);
  assert.equal(await reason(session), 'signed_out');
});

for (const kind of ['chromium', 'firefox']) {
  test(`[R6.7] a private window of ${kind} can be signed out of, and closing it leaves nobody signed in`, async (t) => {
    const page = await browser(t, kind, { private: true });
    const session = await signIn(page, { worker: false });
    const workers = await page.evaluate(() => 'serviceWorker' in navigator);
    t.diagnostic(`${kind} has service workers in private windows: ${workers}`);
    await signOut(page);
    await shows(page, /Signed out of this browser/);
    assert.equal(await reason(session), 'signed_out');
    if (!workers) return;
    const again = await signIn(page, { worker: false });
    const ready = await workerReady(page, 15_000).catch(() => false);
    t.diagnostic(`${kind}: the worker controls a private window: ${Boolean(ready)}`);
    if (!ready) return;
    await lock(page);
    between.be('pass');
    await shows(page, /Signed out of this browser/);
    assert.equal(await reason(again), 'signed_out');
  });
}
