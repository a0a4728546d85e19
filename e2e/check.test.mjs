// "Am I really signed out?": things that survive a sign-out are planted, one in each test, and the check must name each; and
// it must find nothing in a browser that was signed out as it should be. In Chromium, through a proxy that can change answers.
import { test, before, after, beforeEach } from 'node:test';
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import axe from 'axe-core';
import { Node } from './lib/node.mjs';
import { Between } from './lib/between.mjs';
import { main, open, shows } from './lib/either.mjs';
import { profile } from './lib/browser.mjs';
import { elsewhere } from './lib/elsewhere.mjs';
import { request, until } from './lib/wait.mjs';
import { hereOf, tokenOf } from './lib/cookies.mjs';

const run = promisify(execFile);
const minutes = 120_000;
let node, between, chromium;
before(async () => {
  node = await Node.start();
  between = await Between.start();
  chromium = await open('chromium', { port: between.port });
});
beforeEach(() => {
  between.change = null;
  between.be('pass');
});
after(async () => {
  await chromium?.close();
  await between?.stop();
  await node?.stop();
});

/** A browser of its own: tab() opens pages in it. */
async function visitor(t, browser = chromium.browser) {
  const context = await browser.createBrowserContext();
  t.after(() => context.close());
  const tab = async () => {
    const page = await context.newPage();
    page.setDefaultTimeout(minutes);
    return page;
  };
  return { tab, page: await tab() };
}

async function another(t, name) {
  const b = await open(name, { port: between.port });
  t.after(() => b.close());
  return b;
}


async function signIn(page, account = node.ada, kind = 'kept') {
  await page.goto(`${node.exeunt}/signin${kind === 'shared' ? '?shared=1' : ''}`);
  await page.type('input[name=identifier]', account.handle);
  await page.type('input[name=password]', account.password);
  await page.click(`input[name=kind][value=${kind}]`);
  await page.click('main form button.primary');
  await page.waitForFunction(() => location.pathname === '/' && document.body?.dataset.session);
  await page.evaluate(async () => {
    await navigator.serviceWorker.ready;
    if (!navigator.serviceWorker.controller) {
      await new Promise((done) => { navigator.serviceWorker.addEventListener('controllerchange', done, { once: true }); });
    }
  });
  return page.evaluate(() => document.body.dataset.session);
}

async function signOut(page) {
  await page.goto(`${node.exeunt}/signout`);
  await page.click('main form[action="/signout"] button.danger');
  await page.waitForFunction(() => location.pathname === '/signed-out');
  await page.waitForFunction(() => document.readyState === 'complete');
}

/** What the page says is left, by layer, once it has looked everywhere. */
async function found(page) {
  await page.waitForFunction(() => document.querySelector('[data-check="full"]')?.ariaBusy === 'false');
  return page.evaluate(() => ({
    verdict: [...document.querySelectorAll('h1')].find((one) => one.checkVisibility()).innerText,
    left: Object.fromEntries([...document.querySelectorAll('[data-layer].left')].map((line) => [line.dataset.layer,
      [...line.querySelectorAll('[data-names] li')].map((one) => one.innerText)])),
    why: [...document.querySelectorAll('[data-reason]')].filter((one) => one.checkVisibility()).map((one) => one.dataset.reason),
    blind: [...document.querySelectorAll('[data-when="blind"]')].filter((one) => one.checkVisibility()).map((one) => one.closest('[data-layer]').dataset.layer),
    clear: Boolean(document.querySelector('form[action="/check/clear"]')),
    state: document.querySelector('[data-check]').dataset.state,
  }));
}

async function check(page, path = '/check') {
  await page.goto(node.exeunt + path);
  return found(page);
}

/** Presses the button of a layer, and waits until nothing is left there. */
async function fixed(page, layer) {
  await page.click(`[data-layer="${layer}"] [data-fix]`);
  await until(`${layer} is clean`, () => page.evaluate((name) => {
    const line = document.querySelector(`[data-layer="${name}"]`);
    return line && !line.classList.contains('left') && line.closest('[data-check]').ariaBusy === 'false';
  }, layer).catch(() => false), minutes);
}

for (const [name, kind] of [['chromium', 'kept'], ['chromium', 'shared'], ['firefox', 'kept'], ['firefox', 'shared']]) {
  test(`[R6.7] ${name}: in a browser that was signed out, ${kind}, nothing is found, and the page after the sign-out says so`, async (t) => {
    const { page } = await visitor(t, name === 'firefox' ? (await another(t, name)).browser : chromium.browser);
    assert.deepEqual((await check(page)).left, {}, 'before anybody has signed in');
    const session = await signIn(page, node.ada, kind);
    const inside = await check(page);
    assert.deepEqual([inside.verdict, inside.left, inside.why, inside.state], ['You are signed in', {}, [], 'live']);
    await signOut(page);
    await shows(page, /nothing of the sign-in is left in it/);
    const link = await page.$eval('[data-check] a.btn', (a) => a.getAttribute('href'));
    assert.match(link, kind === 'kept' ? /^\/receipts\/.*\/check$/ : /^\/check$/);
    for (const path of new Set([link, '/check'])) {
      const { verdict, left, why, clear, blind, state } = await check(page, path);
      assert.deepEqual({ verdict, left, why, clear, blind, state }, { verdict: 'You are signed out', left: {}, why: [], clear: false, blind: [], state: 'nobody' });
      const said = await main(page);
      assert.match(said, /The session ended, with all tokens of its apps/);
      assert.doesNotMatch(said, /@ada|Quill/);
      assert.ok(!said.includes(session));
    }
  });
}

test('[R6.7] what is found in the browser is sent nowhere, and the server is asked once', async (t) => {
  const { page } = await visitor(t);
  await page.goto(`${node.exeunt}/help`);
  await page.evaluate(() => { localStorage.setItem('a-private-name', 'x'); });
  const asked = [];
  page.on('request', (r) => { if (!/\/assets\//.test(r.url()) && r.url().startsWith(node.exeunt)) asked.push(r); });
  const { left } = await check(page);
  assert.deepEqual(left, { storage: ['a-private-name'] });
  const sent = asked.filter((r) => r.response());
  assert.deepEqual(sent.map((r) => `${r.method()} ${new URL(r.url()).pathname}`).filter((one) => !/favicon|manifest/.test(one)), ['GET /check', 'GET /check']);
  assert.ok(!asked.some((r) => (r.url() + (r.postData() ?? '') + JSON.stringify(r.headers())).includes('a-private-name')));
});

test('[R6.7] survivor: cookies of a session that was ended elsewhere', async (t) => {
  const { page } = await visitor(t);
  const session = await signIn(page);
  await page.goto('about:blank');
  await node.call('end', { handle: 'ada', session });
  const { verdict, left, why, state } = await check(page);
  assert.deepEqual([verdict, left, why, state], ['Something is left in this browser', { cookies: [hereOf(session)] }, ['cookies'], 'ended']);
  assert.match(await main(page), /administrator/);
  await fixed(page, 'cookies');
  const after = await found(page);
  assert.deepEqual([after.left, after.state], [{}, 'nobody']);
});

test('[R6.7] survivor: the readable half of a sign-in alone', async (t) => {
  const { page } = await visitor(t);
  const session = await signIn(page);
  await page.goto('about:blank');
  await page.deleteCookie({ name: tokenOf(session), url: node.exeunt.replace('http:', 'https:') });
  const { left, state } = await check(page);
  assert.deepEqual([left, state], [{ cookies: [hereOf(session)] }, 'readable']);
  await page.click('form[action="/check/clear"] button');
  await shows(page, /You are signed out/);
  assert.deepEqual((await found(page)).left, {});
});

test('[R6.7] survivor: the hidden half of a sign-in alone', async (t) => {
  const { page } = await visitor(t);
  const session = await signIn(page);
  await page.goto('about:blank');
  await page.deleteCookie({ name: hereOf(session), url: node.exeunt.replace('http:', 'https:') });
  const early = await check(page);
  assert.deepEqual([early.state, early.clear], ['arriving', false], 'its other half may still arrive');
  await node.advance(60);
  const { verdict, left, state } = await check(page);
  assert.deepEqual([verdict, left.cookies, state === 'half' || state === 'ended'], ['Something is left in this browser', undefined, true]);
  await page.click('form[action="/check/clear"] button');
  await shows(page, /Nothing\. Nobody is signed in here/);
  const { ended } = await node.sessions('ada');
  assert.equal(ended.find((s) => s.id === session)?.reason, 'incomplete_credential');
});

for (const [where, layer, names, plant] of [
  ['local storage', 'storage', ['left-over'], () => { localStorage.setItem('left-over', 'x'); }],
  ['session storage', 'storage', ['left-over'], () => { sessionStorage.setItem('left-over', 'x'); }],
  ['a database', 'databases', ['somebody-elses'], () => new Promise((done) => {
    const r = indexedDB.open('somebody-elses', 1);
    r.onsuccess = () => { r.result.close(); done(); };
  })],
  ['a page in the cache of scripts', 'caches', ['copies: /sessions'], async () => {
    const cache = await caches.open('copies');
    await cache.put('/sessions', new Response('<title>Sessions</title>'));
  }],
]) {
  test(`[R6.7] survivor: ${where}`, async (t) => {
    const { page } = await visitor(t);
    await signIn(page);
    await signOut(page);
    await page.goto(`${node.exeunt}/help`);
    await page.evaluate(plant);
    const { verdict, left, why } = await check(page);
    assert.deepEqual([verdict, left, why], ['Something is left in this browser', { [layer]: names }, [layer]]);
    await fixed(page, layer);
    assert.deepEqual([(await found(page)).left, (await found(page)).verdict], [{}, 'You are signed out']);
  });
}

test('[R6.7] survivor: a page that was put into the cache of our own worker', async (t) => {
  const { page } = await visitor(t);
  await signIn(page);
  await page.evaluate(async () => {
    const [name] = await caches.keys();
    await (await caches.open(name)).put('/settings', new Response('<title>Settings</title>'));
  });
  const { left } = await check(page);
  assert.deepEqual(Object.keys(left), ['caches']);
  assert.match(left.caches[0], /: \/settings$/);
  await fixed(page, 'caches');
  assert.ok(await page.evaluate(async () => (await (await caches.open((await caches.keys())[0])).keys()).length) > 1, 'the worker keeps what it needs');
});

const replaced = (name, value) => (answer) => {
  answer.headers = [...answer.headers.filter(([n]) => n.toLowerCase() !== name.toLowerCase()), [name, value]];
};

/** What a proxy does that has pages kept: with the Vary that we send, a browser would not show it once the cookies are gone. */
const mayBeKept = (answer) => { replaced('Cache-Control', 'max-age=3600')(answer); replaced('Vary', 'Accept-Encoding')(answer); };

test('[R6.7] survivor: a page in the browser’s cache, because a proxy said that it may be kept', async (t) => {
  const { page } = await visitor(t);
  await signIn(page);
  between.change = (path, answer) => { if (path === '/sessions') mayBeKept(answer); };
  await page.goto(`${node.exeunt}/sessions`);
  between.change = null;
  await signOut(page);
  const { left, why } = await check(page);
  assert.deepEqual([left, why], [{ http: ['/sessions'] }, ['http']]);
  await fixed(page, 'http');
  assert.deepEqual((await found(page)).left, {});
});

test('[R6.7] a proxy that keeps or changes answers is named, and one that only says that it is there is not', async (t) => {
  const { page } = await visitor(t);
  between.change = (path, answer) => { if (path === '/check') replaced('Via', '1.1 a-proxy')(answer); };
  assert.deepEqual((await check(page)).left, {});
  between.change = (path, answer) => {
    if (path === '/check') for (const [n, v] of [['Via', '1.1 a-proxy'], ['Age', '17'], ['Cache-Control', 'private, max-age=0']]) replaced(n, v)(answer);
  };
  const { left, verdict } = await check(page);
  assert.deepEqual([left, verdict], [{ proxy: ['Cache-Control: private, max-age=0', 'Age: 17', 'Via: 1.1 a-proxy'] }, 'You are signed out']);
});

test('[R6.7] firefox names what survives, too', async (t) => {
  const { page } = await visitor(t, (await another(t, 'firefox')).browser);
  await signIn(page);
  between.change = (path, answer) => { if (path === '/sessions') mayBeKept(answer); };
  await page.goto(`${node.exeunt}/sessions`);
  between.change = null;
  await signOut(page);
  await page.goto(`${node.exeunt}/help`);
  await page.evaluate(async () => {
    localStorage.setItem('left-over', 'x');
    await (await caches.open('copies')).put('/sessions', new Response('<title>Sessions</title>'));
    await new Promise((done) => { const r = indexedDB.open('somebody-elses', 1); r.onsuccess = () => { r.result.close(); done(); }; });
  });
  const { left } = await check(page);
  assert.deepEqual(left, { storage: ['left-over'], databases: ['somebody-elses'], caches: ['copies: /sessions'], http: ['/sessions'] });
  for (const layer of Object.keys(left)) await fixed(page, layer);
});

test('[R6.7] survivor: a service worker that is not ours', async (t) => {
  const { page } = await visitor(t);
  between.change = (path, answer) => {
    if (path === '/foreign.js') Object.assign(answer, { status: 200, headers: [['Content-Type', 'text/javascript']], body: Buffer.from('// nothing') });
  };
  await page.goto(`${node.exeunt}/help`);
  await page.evaluate(async () => {
    const one = await navigator.serviceWorker.register('/foreign.js', { scope: '/sessions' });
    const worker = one.installing ?? one.waiting ?? one.active;
    if (worker.state !== 'activated') await new Promise((done) => { worker.addEventListener('statechange', () => worker.state === 'activated' && done()); });
  });
  const { left, why } = await check(page);
  assert.deepEqual([left, why], [{ worker: ['/foreign.js (/sessions)'] }, ['worker']]);
  await fixed(page, 'worker');
});

test('[R6.7] survivor: another tab that still has a page of the sign-in', async (t) => {
  const { page, tab } = await visitor(t);
  const session = await signIn(page);
  const other = await tab();
  await other.goto(`${node.exeunt}/sessions`);
  await other.setOfflineMode(true); // it cannot ask the server any more
  await page.bringToFront();
  await page.goto('about:blank');
  await node.call('end', { handle: 'ada', session });
  await page.goto(`${node.exeunt}/help`);
  const { left, why } = await check(page);
  assert.deepEqual([left.tabs, why.includes('tabs')], [['/sessions'], true]);
  await fixed(page, 'tabs');
  assert.doesNotMatch(await main(other), /This browser/, 'it is empty');
});

test('[R6.7] survivor: a page that the browser has brought back', async (t) => {
  const { page } = await visitor(t);
  await check(page);
  await page.goto(`${node.exeunt}/help`);
  await page.goBack();
  const { left, why, verdict } = await found(page);
  assert.deepEqual([left, why, verdict], [{ restored: ['/check'] }, ['restored'], 'You are signed out']);
});

test('[R6.7] survivor: a sign-out that has not reached the server', async (t) => {
  const { page } = await visitor(t);
  await signIn(page);
  await page.goto(`${node.exeunt}/sessions`);
  between.be('gone');
  await page.click('.acct summary');
  await page.click('.acct a[data-signout]');
  await page.waitForSelector('dialog#ask[open] button.danger');
  await page.click('dialog#ask button.danger');
  await page.waitForSelector('[data-out]:not([hidden])');
  await page.click('[data-out] summary');
  await page.click('[data-release]');
  await until('the lock has gone', () => page.evaluate(() => !document.querySelector('[data-when=locked]:not([hidden])')).catch(() => false), minutes);
  between.change = (path, answer) => { if (path === '/signout/ticket') answer.status = 503; }; // it is not delivered yet
  between.be('pass');
  const { left, why } = await check(page);
  assert.deepEqual([left.ticket, why.includes('ticket')], [['released'], true]);
  between.change = null;
  await fixed(page, 'ticket');
  // The mark by which the server knew that a ticket waits is of no use any more.
  const after = await found(page);
  if (after.left.cookies) {
    assert.ok(after.left.cookies.includes('__Host-exeunt-ticket'), `${after.left.cookies}`);
    await fixed(page, 'cookies');
  }
  assert.deepEqual((await check(page)).left, {});
  assert.doesNotMatch(await page.evaluate(() => document.cookie), /exeunt/);
});

test('[R6.7] survivor: another account, and the same one again', async (t) => {
  const { page } = await visitor(t);
  await signIn(page);
  await signOut(page);
  const link = await page.$eval('[data-check] a.btn', (a) => a.getAttribute('href'));
  for (const [account, says] of [[node.grace, /Another account is signed in here\./], [node.ada, /You have signed in again since\./]]) {
    await signIn(page, account);
    const { verdict, left } = await check(page, link);
    assert.deepEqual([verdict, left], ['You are signed in', {}]);
    const said = await main(page);
    assert.match(said, says);
    assert.ok(said.includes(`@${account.handle}`));
    assert.match(said, /Sign out now/);
    await signOut(page);
  }
});

test('[R6.7] survivor: an app that cannot be told', async (t) => {
  const site = await elsewhere({ '/back': 'back in the app' }, 'notes.localhost');
  t.after(() => site.close());
  const { stdout } = await run(process.env.EXEUNT_BIN, ['clients', 'add', 'notes', '--name=Notes', `--redirect-uri=${site.url}/back`, `--data=${node.data}`, '--json']);
  const { client_secret: secret } = JSON.parse(stdout);
  const verifier = 'a-verifier-that-is-long-enough-for-rfc-7636-0123';
  const { page } = await visitor(t);
  await signIn(page);
  await page.goto(`${node.exeunt}/authorize?${new URLSearchParams({ client_id: 'notes', redirect_uri: `${site.url}/back`, response_type: 'code',
    scope: 'openid', state: 's', code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256' })}`);
  await page.click('form[action="/authorize/decide"] button.primary');
  await page.waitForFunction(() => location.pathname === '/back');
  const code = new URL(page.url()).searchParams.get('code');
  const answer = await request(`${node.exeunt}/oauth/token`, { method: 'POST',
    headers: { 'Content-Type': 'application/x-www-form-urlencoded', Authorization: `Basic ${Buffer.from(`notes:${secret}`).toString('base64')}` },
    body: new URLSearchParams({ grant_type: 'authorization_code', code, redirect_uri: `${site.url}/back`,
      code_verifier: verifier }).toString() });
  assert.equal(answer.status, 200, `${page.url()} ${code} ${answer.text}`);
  await check(page);
  assert.match(await main(page), /notes Cannot be told\. Sign out there too/i);
  await signOut(page);
  const { verdict, left } = await check(page);
  assert.deepEqual([verdict, left], ['You are signed out here, but not in every app', {}]);
  assert.match(await main(page), /notes You may still be signed in there: it cannot be told\. Sign out there too/i);
});

test('[R6.7] survivor: a saved password that fills itself in', async (t) => {
  const own = await open('chromium', { port: between.port }); // passwords are saved for a profile
  t.after(() => own.close());
  const page = await own.tab();
  assert.deepEqual((await check(page)).left, {}, 'before');
  await page.goto('chrome://password-manager/passwords');
  await page.evaluate((url) => chrome.passwordsPrivate.addPassword({ url, username: 'ada', password: 'a word', note: '', useAccountStore: false }), node.exeunt);
  let got;
  await until('the browser fills it in', async () => { got = await check(page); return got.left.password; }, minutes); // saved a moment later
  assert.deepEqual([got.left, got.why], [{ password: ['Handle or e-mail', 'Password'] }, ['password']]);
  assert.match(await main(page), /Chrome on a computer: Menu at the top right/);
  await page.focus('#try-password');
  await page.keyboard.press('Enter');
  await found(page);
  assert.equal(page.url(), `${node.exeunt}/check`, 'the fields lead nowhere');
});

test('[R6.7] survivor: a window that was restored', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'exeunt-profile-'));
  await mkdir(join(dir, 'Default'));
  await writeFile(join(dir, 'Default', 'Preferences'), JSON.stringify({ session: { restore_on_startup: 1 } }));
  const first = await profile({ folder: dir });
  let second;
  try {
    await first.context.pages()[0].goto(`${node.exeunt}/check`);
    await first.context.close();
    second = await profile({ folder: dir });
    const restored = await until('the restored tab', () => second.context.pages().find((p) => p.url().startsWith('http')), minutes);
    const { left, why } = await found(restored);
    assert.deepEqual([left, why], [{ restored: ['/check'] }, ['restored']]);
  } finally {
    await first.context.close().catch(() => {});
    await second?.context.close();
    await first.remove();
  }
});

test('[R6.7] a clock that is far off is named', async (t) => {
  const { page } = await visitor(t);
  await page.evaluateOnNewDocument(() => { const { now } = Date; Date.now = () => now() + 2 * 3600_000; });
  const { left, verdict } = await check(page);
  assert.deepEqual([Object.keys(left), verdict], [['clock'], 'You are signed out']);
  assert.match(left.clock[0], /^\+[12]:\d\d h$/);
});

test('[R6.7] what was found can be read by everybody, light and dark, and removed by keyboard alone', async (t) => {
  const { page } = await visitor(t);
  await page.goto(`${node.exeunt}/help`);
  await page.evaluate(async () => {
    localStorage.setItem('left-over', 'x');
    await (await caches.open('copies')).put('/sessions', new Response('<title>Sessions</title>'));
  });
  const { left } = await check(page);
  assert.deepEqual(Object.keys(left), ['storage', 'caches']);
  await page.evaluate(axe.source);
  for (const value of ['light', 'dark']) {
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value }]);
    const bad = await page.evaluate(async () => (await window.axe.run(document, { resultTypes: ['violations'] })).violations
      .filter((v) => v.impact === 'serious' || v.impact === 'critical').flatMap((v) => v.nodes.map((n) => `${v.id}: ${n.html}`)));
    assert.deepEqual(bad, [], value);
  }
  for (const layer of ['storage', 'caches']) {
    for (let i = 0; i < 60 && !await page.evaluate((name) => document.activeElement.matches(`[data-layer="${name}"] [data-fix]`), layer); i++) {
      await page.keyboard.press('Tab');
    }
    await page.keyboard.press('Enter');
    await until(`${layer} is clean`, () => page.evaluate((name) => !document.querySelector(`[data-layer="${name}"]`).classList.contains('left'), layer), minutes);
  }
  await until('the page says so', async () => (await found(page)).verdict === 'You are signed out', minutes);
  assert.ok(await page.evaluate(() => Boolean(document.activeElement.closest('[data-check]'))), 'the focus is not lost with the button');
});

test('[R6.7] without script the server’s half is there, and the page says what it cannot see', async (t) => {
  const { page } = await visitor(t);
  const session = await signIn(page);
  await page.goto('about:blank');
  await node.call('end', { handle: 'ada', session });
  await page.setJavaScriptEnabled(false);
  await page.goto(`${node.exeunt}/check`);
  const said = await main(page);
  assert.match(said, /can only be seen with JavaScript/);
  assert.match(said, /A sign-in that has ended/);
  await page.click('form[action="/check/clear"] button');
  await shows(page, /You are signed out/);
});
