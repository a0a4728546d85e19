// Nothing private comes back after a sign-out: not by Back, not from the
// back-forward cache or the HTTP cache, not in a restored window, and not by a
// request that is played again.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Node } from './lib/node.mjs';
import { launch, desktop, phone, profile, signIn, signOut } from './lib/browser.mjs';
import { enterChirp, secrets } from './lib/chirp.mjs';
import { film, paint } from './lib/camera.mjs';
import { elsewhere } from './lib/elsewhere.mjs';
import { copied } from './lib/cookies.mjs';

const unguarded = '<!doctype html><title>control</title><main class="private"><h1>A private page without a guard</h1></main>';
const nothingPrivate = /Ada Quill|@ada\b|learn the exits|stage door code|kale will be/;

let node, browser, other;
before(async () => {
  node = await Node.start();
  browser = await launch();
  other = await elsewhere({
    '/': '<!doctype html><title>elsewhere</title><p>Elsewhere',
    '/private': { body: unguarded, headers: { 'Cache-Control': 'no-store' } },
  });
});
after(async () => { await browser?.close(); await other?.close(); await node?.stop(); });

// loaded waits for a page that may have been loaded, brought back, or be on
// its way elsewhere.
const loaded = (page) => until(() => page.evaluate(() => document.readyState === 'complete').catch(() => false), 'the page');

// text is what a page holds now, whatever it is about to do.
async function text(page) {
  let got;
  await until(async () => { got = await page.content().catch(() => undefined); return got !== undefined; });
  return got;
}

const sessionOf = async (handle) => (await node.sessions(handle)).active;

// Leaves a page for another site, lets something happen, and goes back, filmed.
async function backTo(page, happens) {
  await paint(page);
  const seen = await film(page);
  await page.waitForFunction(() => new Promise((done) => { requestAnimationFrame(() => requestAnimationFrame(() => done(true))); }));
  // The first frame may be of before the page was coloured, and without a change
  // there is no second: so the page is moved a little.
  let moved = 0;
  await until(async () => {
    if (seen.sees) return true;
    moved = 1 - moved;
    await page.evaluate((px) => { document.documentElement.style.paddingTop = `${px}px`; }, moved);
    return false;
  }, 'a frame of the private page while it is open');
  await seen.stop();
  await page.goto(`${other.url}/`);
  await happens();
  const camera = await film(page);
  await until(() => camera.frames > 0);
  await page.evaluate(() => { history.back(); }).catch(() => {});
  // A page that is brought back has no load event.
  await page.waitForURL((u) => u.href !== `${other.url}/`, { waitUntil: 'commit' });
  return camera;
}

async function until(done, what = 'a condition', limit = 10000) {
  const end = performance.now() + limit;
  while (!(await done())) {
    assert.ok(performance.now() < end, `${what} did not come`);
    await new Promise((next) => { setTimeout(next, 20); });
  }
}

test('control: this browser brings a page without our guard back from its back-forward cache, and the camera sees it', async () => {
  const context = await browser.newContext(desktop);
  const page = await context.newPage();
  await page.goto(`${other.url}/private`);
  await page.evaluate(() => { window.addEventListener('pageshow', (e) => { window.restored = e.persisted; }); });
  const camera = await backTo(page, async () => {});
  await page.waitForFunction(() => window.restored !== undefined);
  assert.equal(await page.evaluate(() => window.restored), true, 'the page was loaded anew: the other tests would show nothing');
  await until(() => camera.frames > 1);
  assert.ok((await camera.stop()).private > 0, 'the camera missed a page that was brought back');
  await context.close();
});

test('[R4.1 R6.2] Back after being ended from elsewhere shows nothing private in any frame', async (t) => {
  for (const path of ['/settings', '/sessions', 'chirp:/drafts', 'chirp:/messages/grace', 'chirp:/']) {
    await t.test(path, async () => {
      const context = await browser.newContext(desktop);
      const page = await context.newPage();
      await signIn(page, node);
      const session = await page.locator('body').getAttribute('data-session');
      const inChirp = path.startsWith('chirp:');
      if (inChirp) await enterChirp(page, node);
      await page.goto(inChirp ? node.chirp + path.slice(6) : node.exeunt + path);
      assert.match(await text(page), nothingPrivate, 'there was nothing private to begin with');
      const camera = await backTo(page, () => node.call('end', { handle: 'ada', session }));
      await page.getByText(/administrator ended|ended by an administrator/i).waitFor();
      assert.doesNotMatch(await text(page), nothingPrivate);
      const shot = await camera.stop();
      assert.ok(shot.all > 0, 'nothing was filmed');
      assert.equal(shot.private, 0, `${shot.private} of ${shot.all} frames showed something private`);
      await context.close();
    });
  }
});

test('[R4.1 R6.2] Back after signing out shows nothing private, with and without script', async () => {
  for (const javaScriptEnabled of [true, false]) {
    const context = await browser.newContext({ ...desktop, javaScriptEnabled });
    const page = await context.newPage();
    await signIn(page, node);
    for (const path of ['/settings', '/security', '/sessions']) {
      await page.goto(node.exeunt + path);
      assert.match(await text(page), nothingPrivate);
      await paint(page);
    }
    await signOut(page, node);
    const camera = await film(page);
    for (let i = 0; i < 6; i += 1) {
      const at = page.url();
      await page.goBack({ waitUntil: 'commit' }).catch(() => {});
      await loaded(page);
      assert.doesNotMatch(await text(page), nothingPrivate, `${at}, back ${i + 1} times, script ${javaScriptEnabled}`);
    }
    const shot = await camera.stop();
    assert.equal(shot.private, 0, `${shot.private} of ${shot.all} frames showed something private, script ${javaScriptEnabled}`);
    await context.close();
  }
});

test("[R4.1 R6.2] Back to Chirp after signing out at the authority, or of Chirp only, shows nothing private", async (t) => {
  for (const [what, leave, javaScriptEnabled] of [
    ['at the authority', (page) => signOut(page, node), true],
    ['of Chirp only', leaveChirp, true],
    ['of Chirp only, script off', leaveChirp, false],
  ]) {
    await t.test(what, async () => {
      const context = await browser.newContext({ ...desktop, javaScriptEnabled });
      const page = await context.newPage();
      await signIn(page, node);
      await enterChirp(page, node);
      for (const [path, secret] of [['/messages/grace', secrets.message], ['/drafts', secrets.draft]]) {
        await page.goto(node.chirp + path);
        assert.match(await text(page), new RegExp(secret));
        await paint(page);
      }
      await leave(page);
      const camera = await film(page);
      for (let i = 0; i < 5; i += 1) {
        await page.goBack({ waitUntil: 'commit' }).catch(() => {});
        await loaded(page);
        if (!page.url().startsWith(node.chirp)) continue;
        assert.doesNotMatch(await text(page), nothingPrivate, `at ${page.url()}`);
      }
      const shot = await camera.stop();
      if (what !== 'of Chirp only' && javaScriptEnabled) assert.equal(shot.private, 0, `${shot.private} of ${shot.all} frames`);
      await context.close();
    });
  }
});

async function leaveChirp(page) {
  await page.locator('details.acct summary').click();
  await Promise.all([page.waitForURL('**/exeunt/signed-out'), page.click('form[action="/exeunt/sign-out-app"] button')]);
}

// How a session can end while its pages lie behind the page that is shown. The pages
// of both sites were left as soon as they had loaded.
const endings = {
  async 'signed out in Chirp'(page) {
    await page.locator('details.acct summary').click();
    await page.getByRole('link', { name: 'Sign out of this browser' }).click();
    await page.waitForURL(/\/signout/);
    await Promise.all([page.waitForURL('**/signed-out*'), page.click('main form[action="/signout"] button.danger')]);
  },
  async 'signed out at the authority'(page) { await signOut(page, node); },
  async 'signed out in another tab'(page) {
    await page.goto(other.url);
    const tab = await page.context().newPage();
    await signOut(tab, node);
    await tab.close();
  },
  async 'ended from elsewhere'(page, session) {
    await page.goto(other.url);
    await node.call('end', { handle: 'ada', session });
  },
};

/** Visits private pages of both sites without script, lets the session end, goes back through all; counts the steps. */
async function backThrough(name, device, end) {
  const context = await browser.newContext({ ...device, javaScriptEnabled: false });
  const page = await context.newPage();
  const cdp = await context.newCDPSession(page);
  const restored = [];
  cdp.on('Page.frameNavigated', (e) => { if (e.type === 'BackForwardCacheRestore') restored.push(e.frame.url); });
  await cdp.send('Page.enable');
  await page.goto(`${other.url}/private`);
  await page.goto(other.url);
  await page.goBack({ waitUntil: 'commit' });
  await until(() => restored.length === 1, 'control: a page without our protection is brought back', 120000);
  await signIn(page, node);
  const session = await page.locator('body').getAttribute('data-session');
  await page.goto(`${node.exeunt}/settings`);
  await enterChirp(page, node);
  for (const path of ['/messages/grace', '/drafts']) {
    await page.goto(node.chirp + path);
    assert.match(await text(page), nothingPrivate);
  }
  await end(page, session);
  let steps = 0;
  do {
    await page.goBack({ waitUntil: 'commit' });
    await loaded(page);
    steps += 1;
    assert.doesNotMatch(await text(page), nothingPrivate, `${name}: at ${page.url()}, back ${steps} times`);
  } while (page.url() !== `${other.url}/private`); // where the person came from
  assert.deepEqual(restored.filter((at) => !at.startsWith(other.url)), [], `${name}: out of the back-forward cache`);
  await context.close();
  return steps;
}

test('[R4.1 R6.2] with script off Back shows nothing private, however the session ended', async () => {
  const runs = [
    ...Object.entries(endings).map(([name, end]) => [`desktop, ${name}`, desktop, end]),
    ...['signed out in Chirp', 'ended from elsewhere'].map((name) => [`phone, ${name}`, phone, endings[name]]),
  ];
  let steps = 0;
  for (const run of runs) steps += await backThrough(...run);
  steps += await backThrough('desktop, timed out', desktop, async (page) => {
    await page.goto(other.url);
    await node.advance(31 * 24 * 3600);
  });
  assert.ok(steps >= 28, `${steps} steps back`);
});

test('[R4.1 R6.2] the HTTP cache holds no private page, also offline', async () => {
  const context = await browser.newContext(desktop);
  const page = await context.newPage();
  await signIn(page, node);
  const visited = ['/', '/settings', '/security', '/sessions', '/sessions/ended', '/help', '/session/state', '/menu', '/signout'];
  for (const path of visited) await page.goto(node.exeunt + path);
  await enterChirp(page, node);
  const inChirp = ['/', '/drafts', '/messages', '/messages/grace', '/exeunt/state'];
  for (const path of inChirp) await page.goto(node.chirp + path);
  await signOut(page, node);
  const cached = (paths) => page.evaluate(async (list) => {
    const found = [];
    for (const path of list) {
      const got = await fetch(path, { cache: 'only-if-cached', mode: 'same-origin' }).catch(() => null);
      if (got?.ok) found.push(path);
    }
    return found;
  }, paths);
  const asset = await page.locator('link[rel=stylesheet]').first().getAttribute('href');
  await page.goto(`${node.exeunt}/signin`);
  await page.evaluate((path) => fetch(path).then((r) => r.text()), asset);
  assert.deepEqual(await cached([asset]), [asset], 'control: what may be cached is found');
  assert.deepEqual(await cached(visited), []);
  await page.goto(`${node.chirp}/`);
  assert.deepEqual(await cached(inChirp), []);
  await context.setOffline(true);
  for (const address of [`${node.exeunt}/settings`, `${node.chirp}/drafts`, `${node.chirp}/messages/grace`]) {
    await assert.rejects(page.goto(address), /ERR_INTERNET_DISCONNECTED/);
    assert.doesNotMatch(await text(page), nothingPrivate);
  }
  await context.close();
});

test('[R3.3 R4.1] a copy of the cookies is refused from the moment of the sign-out, at the authority and at Chirp', async () => {
  const context = await browser.newContext(desktop);
  const page = await context.newPage();
  await signIn(page, node);
  await enterChirp(page, node);
  const thief = await browser.newContext(desktop);
  await thief.addCookies(await copied(context));
  const tab = await thief.newPage();
  await tab.goto(`${node.exeunt}/settings`);
  assert.match(await text(tab), nothingPrivate, 'control: the copy works before');
  await tab.goto(`${node.chirp}/drafts`);
  assert.match(await text(tab), nothingPrivate, 'control: the copy works at Chirp before');
  const stolen = await copied(context);
  await signOut(page, node);
  const again = await browser.newContext(desktop);
  await again.addCookies(stolen);
  const replay = await again.newPage();
  await replay.goto(`${node.exeunt}/settings`);
  assert.equal(new URL(replay.url()).pathname, '/ended');
  // To a dead credential the reason and the time only.
  assert.match(await replay.locator('main').innerText(), /signed out/i);
  assert.doesNotMatch(await text(replay), nothingPrivate);
  assert.equal((await replay.goto(`${node.chirp}/drafts`)).status(), 401);
  assert.doesNotMatch(await text(replay), nothingPrivate);
  // The open pages of the first thief, one of them already shown, too.
  await until(async () => !nothingPrivate.test(await text(tab)), 'the open page going blank', 3000);
  for (const c of [context, thief, again]) await c.close();
});

test('[R4.1] a restored window shows nothing private once the session has ended', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'exeunt-profile-'));
  await mkdir(join(dir, 'Default'));
  await writeFile(join(dir, 'Default', 'Preferences'), JSON.stringify({ session: { restore_on_startup: 1 } }));
  const first = await profile({ ...desktop, folder: dir });
  try {
    const page = first.context.pages()[0] ?? await first.context.newPage();
    await signIn(page, node);
    const session = await page.locator('body').getAttribute('data-session');
    await enterChirp(page, node);
    await page.goto(`${node.chirp}/drafts`);
    const second = await first.context.newPage();
    await second.goto(`${node.exeunt}/settings`);
    assert.match(await text(second), nothingPrivate);
    await first.context.close();
    assert.ok((await sessionOf('ada')).some((s) => s.id === session), 'closing the browser ended a kept session');

    for (const ended of [false, true]) {
      if (ended) await node.call('end', { handle: 'ada', session });
      const again = await profile({ ...desktop, folder: dir });
      const restored = () => again.context.pages().filter((p) => p.url().startsWith('http'));
      await until(() => restored().length >= 2, 'the restored tabs');
      for (const tab of restored()) {
        await loaded(tab);
        const shown = await text(tab);
        if (!ended) assert.match(shown, nothingPrivate, `control: ${tab.url()} is not restored`);
        else assert.doesNotMatch(shown, nothingPrivate, tab.url());
      }
      await again.context.close();
    }
  } finally {
    await first.context.close().catch(() => {});
    await first.remove();
  }
});
