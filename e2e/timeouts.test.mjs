// Idle timeouts: the server's, whatever the browser does. The node's clock and
// the page's are moved together, so nothing here waits for real time.
import test from 'node:test';
import assert from 'node:assert/strict';
import { desktop, phone, signIn } from './lib/browser.mjs';
import { both, stage } from './lib/stage.mjs';
import { enterChirp } from './lib/chirp.mjs';
import { cookieHeader, request, until } from './lib/wait.mjs';
import { isToken } from './lib/cookies.mjs';

// Shared sessions warn 12 s before their end, kept ones 2 minutes.
const s = stage({ 'shared-idle': '60s', 'kept-idle': '10m' });

async function signedIn(t, { kind = 'shared', script = true, as = desktop, frozen = script } = {}) {
  const page = await s.visit(t, { ...as, javaScriptEnabled: script });
  if (frozen) await page.clock.install();
  await signIn(page, s.node, s.node.ada, kind);
  return page;
}

/**
 * Lets time go by for the server and for these pages. A page's own questions
 * are answered in between: it takes 4 s without an answer for a server away.
 */
async function pass(seconds, ...pages) {
  await s.node.advance(seconds);
  for (const page of pages) {
    for (let left = seconds; left > 0; left -= 3) {
      await page.clock.runFor(Math.min(left, 3) * 1000);
      await page.evaluate(() => fetch('/session/state').then((answer) => answer.text())).catch(() => {}); // the page may have left
    }
  }
}

/** Opens a page and waits until it knows how long it has. */
async function open(page, path) {
  await page.goto('about:blank'); // no request of the page before is taken for this one's
  const told = page.waitForResponse('**/session/state*');
  await page.goto(s.node.exeunt + path);
  await (await told).finished();
  await page.evaluate(() => fetch('/session/state').then((answer) => answer.text())); // the first was read before this
}

const jarOf = (page) => cookieHeader(page.context(), s.node.exeunt);
const ask = async (jar) => {
  const got = await request(`${s.node.exeunt}/session/state`, { headers: { Cookie: jar } });
  return { status: got.status, ...JSON.parse(got.text) };
};
const lastSeen = async () => Math.max(...(await s.node.sessions('ada')).active.map((one) => Date.parse(one.seen)));
const warning = (page) => page.locator('dialog#idle[open]');
const quiet = (page) => page.locator('dialog#idle:not([open])').waitFor({ state: 'attached' });

test('[R3.5] the server ends an unused session at its limit, each kind at its own, whatever the browser says', async (t) => {
  const [shared, kept] = [await signedIn(t, { frozen: false }), await signedIn(t, { kind: 'kept', frozen: false })];
  const jars = [await jarOf(shared), await jarOf(kept)];
  for (const page of [shared, kept]) await page.goto('about:blank');
  await s.node.advance(55);
  assert.deepEqual((await Promise.all(jars.map(ask))).map((one) => one.status), [200, 200]);
  await s.node.advance(6);
  const [over, goesOn] = await Promise.all(jars.map(ask));
  assert.equal(over.status, 401);
  assert.equal(over.reason, 'idle');
  assert.equal(goesOn.status, 200, 'a kept session has its own limit');
  const cookies = await shared.context().cookies();
  assert.ok(cookies.some((one) => isToken(one.name)), 'the browser still has its cookies');
  await shared.goto(`${s.node.exeunt}/settings`);
  assert.match(await shared.locator('main').innerText(), /You are no longer signed in here[\s\S]*not used for too long/);
  await s.node.advance(10 * 60);
  assert.equal((await ask(jars[1])).reason, 'idle');
});

for (const [device, as] of Object.entries({ desktop, phone })) {
  test(`[R3.5] a warning comes before the idle end, and "Stay signed in" works: ${device}`, async (t) => {
    const page = await signedIn(t, { as });
    await open(page, '/sessions');
    await pass(40, page);
    assert.equal(await warning(page).count(), 0, 'not before its time');
    await pass(9, page);
    await warning(page).waitFor();
    const left = /signed out in (\d+) seconds/.exec(await warning(page).innerText());
    assert.ok(Number(left?.[1]) > 0 && Number(left[1]) <= 12, left?.[0]);
    assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Stay signed in', 'the focus is on it');
    const noted = page.waitForResponse('**/session/activity');
    await warning(page).getByRole('button', { name: 'Stay signed in' }).click();
    assert.equal((await noted).status(), 204);
    await quiet(page);
    await pass(40, page);
    assert.equal((await ask(await jarOf(page))).status, 200, 'past the first limit');
    assert.equal(await warning(page).count(), 0);
    await pass(9, page);
    await warning(page).waitFor();
  });
}

test('[R3.5] a warning that nobody answers is followed by the end: the page goes blank and says why', async (t) => {
  const page = await signedIn(t);
  await open(page, '/settings');
  await pass(50, page);
  await warning(page).waitFor();
  await pass(12, page);
  await page.waitForURL('**/ended*');
  const text = await page.locator('body').innerText();
  assert.match(text, /not used for too long, so it expired/);
  assert.doesNotMatch(text, /ada|Quill/i);
});

test('[R3.5] a page that cannot reach the server at its end hides what it shows, and that is no activity', async (t) => {
  const page = await signedIn(t);
  await open(page, '/settings');
  const jar = await jarOf(page);
  await pass(50, page);
  await warning(page).waitFor();
  const before = (await ask(jar)).idleIn;
  await page.route('**/session/state*', (route) => route.abort());
  await page.clock.runFor(14_000);
  await page.getByText('We cannot reach the server').waitFor();
  assert.equal(await warning(page).count(), 0, 'nothing private is in front of the veil');
  assert.equal(await page.locator('main').evaluate((main) => getComputedStyle(main).visibility === 'visible' && main.offsetHeight > 0), false);
  assert.ok((await ask(jar)).idleIn <= before, 'closing the warning was not taken for an answer');
  await page.unroute('**/session/state*');
  await pass(12, page);
  await page.waitForURL('**/ended*');
});

test('[R3.5] activity in another tab counts, and takes the warning away here', async (t) => {
  const page = await signedIn(t);
  const tab = await page.context().newPage();
  await tab.clock.install();
  await open(tab, '/help');
  await page.bringToFront();
  await open(page, '/sessions');
  await pass(50, page, tab);
  await warning(page).waitFor();
  await tab.bringToFront();
  await tab.goto(`${s.node.exeunt}/security`); // a page load is activity
  await page.bringToFront();
  await page.evaluate(() => window.dispatchEvent(new Event('focus')));
  await quiet(page);
  await pass(30, page);
  assert.equal((await ask(await jarOf(page))).status, 200);
});

test('[R3.5] real input in a page counts; the page is told apart from a machine', async (t) => {
  const page = await signedIn(t);
  await open(page, '/sessions');
  const jar = await jarOf(page);
  await pass(40, page);
  const before = (await ask(jar)).idleIn;
  await page.evaluate(() => document.dispatchEvent(new PointerEvent('pointerdown', { bubbles: true })));
  assert.ok((await ask(jar)).idleIn <= before, 'a script\'s event is no input');
  const noted = page.waitForResponse('**/session/activity');
  await page.mouse.move(200, 200);
  await noted;
  assert.ok((await ask(jar)).idleIn > before + 30_000);
});

test('[R3.5] activity in an app of the session counts for it, and the app has the same end', async (t) => {
  const page = await signedIn(t, { frozen: false });
  await enterChirp(page, s.node);
  const jar = await jarOf(page);
  for (let i = 0; i < 3; i++) {
    await s.node.advance(45);
    const before = await lastSeen();
    await page.goto(`${s.node.chirp}/drafts`);
    // Chirp checks in its own process, and hands activity in every few seconds.
    await until('the activity is handed in', async () => await lastSeen() > before + 30_000, 8000);
    assert.equal((await ask(jar)).status, 200, `used in Chirp only, after ${(i + 1) * 45} s`);
  }
  const chirp = await cookieHeader(page.context(), s.node.chirp);
  await page.goto('about:blank');
  await s.node.advance(61);
  assert.equal((await ask(jar)).reason, 'idle');
  assert.equal((await request(`${s.node.chirp}/exeunt/state`, { headers: { Cookie: chirp } })).status, 401);
});

test('[R3.5] an open page with its stream, polling, and an app\'s polling keep nothing alive', async (t) => {
  const page = await signedIn(t, { frozen: false });
  await enterChirp(page, s.node);
  const [jar, chirp] = [await jarOf(page), await cookieHeader(page.context(), s.node.chirp)];
  const streamed = page.waitForResponse('**/session/stream*');
  await page.goto(`${s.node.exeunt}/settings`);
  assert.equal((await streamed).status(), 200, 'the page holds a stream');
  let polls = 0;
  for (let i = 0; i < 6; i++) {
    await s.node.advance(9);
    assert.equal((await ask(jar)).status, 200);
    assert.equal((await request(`${s.node.chirp}/exeunt/state`, { headers: { Cookie: chirp } })).status, 200);
    await page.evaluate(() => window.dispatchEvent(new Event('focus'))); // it asks the server
    polls++;
  }
  assert.equal(polls, 6);
  await s.node.advance(9); // 63 s since the page was loaded
  assert.equal((await ask(jar)).reason, 'idle');
  await page.evaluate(() => window.dispatchEvent(new Event('focus'))).catch(() => {}); // it may have left already
  await page.waitForURL('**/ended*');
});

test('[R3.5] without script a banner warns by CSS, "Stay signed in" works, and then the page hides itself', async (t) => {
  for (const as of [desktop, phone]) {
    const page = await signedIn(t, { as, script: false });
    const speed = await page.context().newCDPSession(page);
    await speed.send('Animation.enable');
    await page.goto(`${s.node.exeunt}/settings`);
    const banner = page.locator('.idle-banner');
    const link = page.locator('link[rel=stylesheet][href^="/idle.css"]');
    const [, warn, end] = /warn=(\d+)&end=(\d+)/.exec(await link.getAttribute('href'));
    assert.ok(Number(warn) <= 48 && Number(warn) >= 40 && Number(end) <= 60 && Number(end) >= 50, `warns after ${warn} s, hides after ${end} s`);
    assert.equal(await banner.isVisible(), false);
    assert.equal(await page.locator('main h1').isVisible(), true);

    await speed.send('Animation.setPlaybackRate', { playbackRate: 60 });
    await until('the banner shows', () => banner.isVisible());
    const jar = await jarOf(page);
    await s.node.advance(40);
    const before = (await ask(jar)).idleIn;
    const stay = banner.getByRole('button', { name: 'Stay signed in' });
    await speed.send('Animation.setPlaybackRate', { playbackRate: 0 });
    await Promise.all([page.waitForResponse('**/session/stay'), stay.evaluate((button) => button.form.requestSubmit())]);
    await page.waitForURL('**/settings');
    assert.ok((await ask(jar)).idleIn > before + 20_000, 'the server knows');

    await speed.send('Animation.setPlaybackRate', { playbackRate: 60 });
    await until('the page is hidden', async () => !(await page.locator('main h1').isVisible()));
    await until('the note shows', () => page.locator('.idle-left').isVisible());
    assert.match(await page.locator('.idle-left').innerText(), /not used for a while, so its content is hidden/);
    await page.context().close();
  }
});
