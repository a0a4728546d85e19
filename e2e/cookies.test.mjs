// What a browser may hold instead of a sign-in: every kind of garbage, half of
// a pair, somebody else's half. It is never taken for a sign-in, never a loop,
// never an error of ours; it is explained once and removed. And on a shared
// computer nothing is left behind.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Node } from './lib/node.mjs';
import { launch, desktop, profile, signIn, signOut } from './lib/browser.mjs';
import { until } from './lib/wait.mjs';
import { hereOf, isHere, isToken, ours, planted as cookie, tokenOf, ASKED, DEVICE } from './lib/cookies.mjs';

let node, browser;
before(async () => { node = await Node.start(); browser = await launch(); });
after(async () => { await browser?.close(); await node?.stop(); });

async function pairOf(account) {
  const context = await browser.newContext(desktop);
  const page = await context.newPage();
  await signIn(page, node, account);
  const jar = await context.cookies();
  const value = (is) => jar.find((c) => is(c.name))?.value;
  const pair = { token: value(isToken), here: value(isHere), session: await page.locator('body').getAttribute('data-session') };
  await context.close();
  assert.match(pair.token, /^exs_/);
  assert.ok(pair.here && pair.session);
  return pair;
}

// A browser that holds what is given, and counts what it is answered.
async function holding(cookies, options = {}) {
  const context = await browser.newContext({ ...desktop, ...options });
  await context.addCookies(cookies.filter(Boolean));
  const page = await context.newPage();
  const answers = [];
  page.on('response', (r) => { if (r.request().isNavigationRequest()) answers.push({ status: r.status(), path: new URL(r.url()).pathname }); });
  return { context, page, answers };
}

const junk = 'junk'.repeat(1000); // 4 kB, as much as a browser takes

const garbage = [
  ['a token cut short', (p) => [[tokenOf(p.session), p.token.slice(0, -7)], [hereOf(p.session), p.here]]],
  ['a token with a character changed', (p) => [[tokenOf(p.session), flip(p.token)], [hereOf(p.session), p.here]]],
  ['a token with something added', (p) => [[tokenOf(p.session), `${p.token}A`], [hereOf(p.session), p.here]]],
  ['a token in capitals', (p) => [[tokenOf(p.session), p.token.toUpperCase()], [hereOf(p.session), p.here]]],
  ['4 kB of junk as the token', (p) => [[tokenOf(p.session), junk], [hereOf(p.session), p.here]]],
  ['4 kB of junk in both', (p) => [[tokenOf(p.session), junk], [hereOf(p.session), junk]]],
  ['the prefix of an app session', (p) => [[tokenOf(p.session), p.token.replace('exs_', 'exa_')], [hereOf(p.session), p.here]]],
  ['a prefix of another version', (p) => [[tokenOf(p.session), p.token.replace('exs_', 'exs2_')], [hereOf(p.session), p.here]]],
  ['the halves exchanged', (p) => [[tokenOf(p.session), p.here], [hereOf(p.session), p.token]]],
  ['the readable half alone', (p) => [[hereOf(p.session), p.here]]],
  ['the readable half with an empty token', (p) => [[tokenOf(p.session), ''], [hereOf(p.session), p.here]]],
  ['a percent-encoded token', (p) => [[tokenOf(p.session), p.token.replace('_', '%5F')], [hereOf(p.session), p.here]]],
  ['JSON', (p) => [[tokenOf(p.session), '{"session":"ses_1"}'], [hereOf(p.session), 'null']]],
  ['markup', (p) => [[tokenOf(p.session), '<script>alert(1)</script>'], [hereOf(p.session), "'--"]]],
];

function flip(token) {
  const at = token.length - 12;
  return token.slice(0, at) + (token[at] === 'a' ? 'b' : 'a') + token.slice(at + 1);
}

test('[R6.1] garbage cookies are signed out, explained once, removed, and never a loop', async (t) => {
  const p = await pairOf(node.ada);
  for (const javaScriptEnabled of [true, false]) {
    const { context, page, answers } = await holding([], { javaScriptEnabled });
    for (const [what, cookies] of garbage) {
      await t.test(`${what}, script ${javaScriptEnabled ? 'on' : 'off'}`, async () => {
        answers.length = 0;
        const held = cookies(p).map(([name, value]) => cookie(name, value));
        await context.addCookies(held);
        assert.equal((await ours(context)).length, held.length, 'the browser did not take the cookies');
        await page.goto(`${node.exeunt}/sessions`);
        assert.equal(new URL(page.url()).pathname, '/ended');
        assert.equal(await page.locator('h1').innerText(), 'You are no longer signed in here');
        assert.match(await page.locator('main').innerText(), /damaged|Nobody is signed in/);
        assert.doesNotMatch(await page.content(), /Ada|@ada|Grace/);
        assert.deepEqual(await ours(context), [], 'the garbage is still there');
        // Explained once: the next visit is a stranger's.
        await page.goto(`${node.exeunt}/sessions`);
        assert.equal(new URL(page.url()).pathname, '/signin');
        assert.ok(answers.length <= 4, `${answers.length} answers`);
        assert.ok(answers.every((a) => a.status < 400), JSON.stringify(answers));
      });
    }
    await context.close();
  }
  const left = await node.sessions('ada');
  assert.ok(left.active.some((s) => s.id === p.session), 'garbage ended a session that it is no half of');
});

test('[R6.1] garbage does not stand in the way of signing in or out', async () => {
  const p = await pairOf(node.ada);
  const { context, page } = await holding([]);
  for (const [what, cookies] of garbage.filter((_, i) => i % 4 === 0)) {
    await context.addCookies(cookies(p).map(([name, value]) => cookie(name, value)));
    await signIn(page, node);
    await page.goto(`${node.exeunt}/sessions`);
    assert.equal(new URL(page.url()).pathname, '/sessions', what);
    await signOut(page, node);
    assert.deepEqual((await ours(context)).filter((n) => n !== '__Host-exeunt-notice'), [], what);
  }
  await context.close();
});

test('[R6.1] a damaged note of a sign-out says nothing', async () => {
  for (const value of ['junk', junk, 'AAAA.done=signed_out&scope=account&ended=99&at=1', '']) {
    const { context, page } = await holding([cookie('__Host-exeunt-notice', value)]);
    assert.ok((await page.goto(`${node.exeunt}/signed-out`)).ok());
    await page.getByRole('heading', { name: 'You are not signed in' }).waitFor();
    assert.doesNotMatch(await page.content(), /99|Signed out everywhere/);
    await context.close();
  }
});

test('[R6.1 R3.4] an incomplete credential is refused at once, and ends the session once it is no longer young', async (t) => {
  const grace = await pairOf(node.grace);
  const halves = [
    ['without its partner', '/sessions', () => null],
    ["with another account's partner", '/sessions', (p) => cookie(hereOf(p.session), grace.here)],
    ['with junk for a partner', '/session/state', (p) => cookie(hereOf(p.session), 'junk')],
  ];
  for (const [what, path, partner] of halves) {
    await t.test(`${what}, at ${path}`, async () => {
      const ada = await pairOf(node.ada);
      const { context, page, answers } = await holding([cookie(tokenOf(ada.session), ada.token), partner(ada)]);
      await page.goto(node.exeunt + path);
      assert.doesNotMatch(await page.content(), /Ada Quill|Grace Wren|data-session/);
      assert.ok(answers.length <= 3 && answers.every((a) => a.status < 500), JSON.stringify(answers));
      assert.ok((await ours(context)).includes(tokenOf(ada.session)), 'a sign-in under way was undone');
      assert.ok((await node.sessions('ada')).active.some((s) => s.id === ada.session), 'a young pair was ended');

      await node.advance(31);
      await page.goto(node.exeunt + path);
      if (path === '/session/state') await page.goto(`${node.exeunt}/ended`);
      assert.equal(new URL(page.url()).pathname, '/ended');
      assert.match(await page.locator('main').innerText(), /sign-in cookies were incomplete, so we ended the session/);
      assert.doesNotMatch(await page.content(), /Ada|@ada|Grace|Chrome on/);
      assert.deepEqual(await ours(context), []);
      const { ended } = await node.sessions('ada');
      assert.equal(ended.find((s) => s.id === ada.session)?.reason, 'incomplete_credential');
      assert.ok((await node.sessions('grace')).active.some((s) => s.id === grace.session), 'the other account lost its session');
      // The whole pair, put together again, is dead too.
      const whole = await holding([cookie(tokenOf(ada.session), ada.token), cookie(hereOf(ada.session), ada.here)]);
      await whole.page.goto(`${node.exeunt}/sessions`);
      assert.equal(new URL(whole.page.url()).pathname, '/ended');
      await whole.context.close();
      await context.close();
    });
  }
});

test('[R6.1] a script that deletes the readable half locks the browser at once', async () => {
  const { context, page } = await holding([]);
  await signIn(page, node);
  const session = await page.locator('body').getAttribute('data-session');
  await node.advance(31);
  await page.evaluate((name) => { document.cookie = `${name}=; Max-Age=0; Secure; Path=/`; }, hereOf(session));
  // The page may have noticed before it is sent elsewhere.
  await page.goto(`${node.exeunt}/settings`).catch(() => {});
  await until('on the page that explains', () => new URL(page.url()).pathname === '/ended', 15000);
  assert.equal((await node.sessions('ada')).ended.find((s) => s.id === session)?.reason, 'incomplete_credential');
  await context.close();
});

// --- a shared computer

const storage = () => (async () => ({
  local: Object.keys(localStorage), session: Object.keys(sessionStorage),
  databases: (await indexedDB.databases()).map((d) => d.name), caches: await caches.keys(),
  workers: (await navigator.serviceWorker.getRegistrations()).length,
  readable: document.cookie,
}))();

// Every file of a profile folder that has one of the texts in it.
async function filesWith(dir, texts) {
  const needles = texts.flatMap((text) => [Buffer.from(text), Buffer.from(text, 'utf16le')]);
  const found = [];
  for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath ?? entry.path, entry.name);
    const content = await readFile(path).catch(() => Buffer.alloc(0));
    for (const needle of needles) if (content.includes(needle)) found.push(`${path}: ${needle.toString().replaceAll('\0', '')}`);
  }
  return found;
}

test('[R4.2] on a shared computer nothing persists once the browser is closed', async () => {
  for (const kind of ['shared', 'kept']) {
    const first = await profile(desktop);
    try {
      const page = await first.context.newPage();
      await signIn(page, node, node.ada, kind);
      for (const path of ['/sessions', '/settings', '/security', '/help']) await page.goto(node.exeunt + path);
      const session = await page.locator('body').getAttribute('data-session');
      assert.match(await page.content(), /Ada Quill/);
      // The service worker keeps its one page, and of somebody's own device the sign-out ticket.
      const ready = { local: [], session: [], databases: kind === 'kept' ? ['exeunt'] : [], caches: 1, workers: 1 };
      let kept;
      await until('the worker is ready', async () => {
        kept = await page.evaluate(storage);
        kept = { ...kept, caches: kept.caches.filter((name) => name.startsWith('exeunt /locked')).length };
        delete kept.readable;
        return JSON.stringify(Object.entries(kept).sort()) === JSON.stringify(Object.entries(ready).sort());
      }, 120_000).catch(() => assert.deepEqual(kept, ready));
      const jar = (await first.context.cookies()).filter((c) => c.name.startsWith('__Host-exeunt') && !(c.name === DEVICE && (kind === 'kept' || c.value === kind)) && !(c.name === ASKED && c.expires === -1));
      const place = kind === 'shared' ? 'shared' : session;
      assert.deepEqual(jar.map((c) => c.name).sort(), [tokenOf(place), hereOf(place)]);
      for (const c of jar) assert.equal(c.expires === -1, kind === 'shared', `${c.name} expires ${c.expires}`);
      const token = jar.find((c) => c.name === tokenOf(place)).value;
      await first.context.close();

      assert.notDeepEqual(await filesWith(first.dir, ['exeunt.localhost']), [], 'the search finds nothing where there is something');
      assert.deepEqual(await filesWith(first.dir, ['Ada Quill', node.ada.password, token, ...(kind === 'shared' ? [session] : [])]), []);

      const again = await profile({ ...desktop, folder: first.dir });
      const tab = await again.context.newPage();
      await tab.goto(`${node.exeunt}/sessions`);
      assert.equal(new URL(tab.url()).pathname, kind === 'shared' ? '/signin' : '/sessions');
      if (kind === 'shared') assert.equal(await tab.inputValue('input[name=identifier]'), '');
      await again.context.close();
    } finally {
      await first.context.close().catch(() => {});
      await first.remove();
    }
  }
});

test('[R4.2] the form asks the browser to remember nothing, with and without script', async () => {
  for (const javaScriptEnabled of [true, false]) {
    const { context, page } = await holding([], { javaScriptEnabled });
    await page.goto(`${node.exeunt}/signin${javaScriptEnabled ? '' : '?shared=1'}`);
    if (javaScriptEnabled) {
      assert.equal(await page.getAttribute('input[name=password]', 'autocomplete'), 'current-password');
      await page.check('input[name=kind][value=shared]');
    }
    assert.equal(await page.getAttribute('form[action="/signin"]', 'autocomplete'), 'off');
    for (const name of ['identifier', 'password']) assert.equal(await page.getAttribute(`input[name=${name}]`, 'autocomplete'), 'off');
    // What was typed is not shown again after a refusal.
    await page.fill('input[name=identifier]', node.ada.handle);
    await page.fill('input[name=password]', 'not the password');
    await Promise.all([page.waitForEvent('load'), page.click('main form button.primary')]);
    assert.equal(await page.inputValue('input[name=identifier]'), '');
    assert.equal(await page.inputValue('input[name=password]'), '');
    await context.close();
  }
});

test('[R4.2] a shared session ends after a short while unused, and two browsers get nothing in common', async () => {
  const seen = [];
  for (let i = 0; i < 2; i += 1) {
    const { context, page } = await holding([]);
    const headers = [];
    page.on('response', async (r) => headers.push(...(await r.headersArray()).filter((h) => /^(etag|set-cookie)$/i.test(h.name) && !r.url().includes('/assets/'))));
    await signIn(page, node, node.ada, 'shared');
    seen.push((await context.cookies()).filter((c) => c.name !== DEVICE).map((c) => c.value));
    assert.ok(headers.every((h) => h.name.toLowerCase() !== 'etag'), 'an entity tag can name a device');
    await signOut(page, node);
    const left = await ours(context);
    assert.deepEqual(left.filter((n) => n !== '__Host-exeunt-notice'), []);
    await context.close();
  }
  assert.deepEqual(seen[0].filter((v) => seen[1].includes(v)), [], 'a value came back: it would name the device');
  // Without script, or the page goes to the explanation by itself, which is given once.
  const { context, page } = await holding([], { javaScriptEnabled: false });
  await signIn(page, node, node.ada, 'shared');
  await node.advance(15 * 60 + 1);
  await page.goto(`${node.exeunt}/sessions`);
  assert.equal(new URL(page.url()).pathname, '/ended');
  assert.doesNotMatch(await page.content(), /Ada/);
  await context.close();
});
