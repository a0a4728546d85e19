// A shared computer: what every page says there, and that the time it tells is the server's.
import test from 'node:test';
import assert from 'node:assert/strict';
import axe from 'axe-core';
import { desktop, phone, signIn } from './lib/browser.mjs';
import { both, stage } from './lib/stage.mjs';
import { enterChirp } from './lib/chirp.mjs';
import { inside, newest } from './lib/pages.mjs';
import { cookieHeader, request, until } from './lib/wait.mjs';

const s = stage();

const strip = (page) => page.locator('[data-exeunt-strip]');
const left = async (page) => (await strip(page).locator('[data-exeunt-left]').innerText()).trim();

/** A page on which time goes on only when it is told to, signed in on a shared computer. */
async function signedIn(t, { script = true, frozen = false, as = desktop } = {}) {
  const page = await s.visit(t, { ...as, javaScriptEnabled: script });
  if (frozen) await page.clock.install();
  await signIn(page, s.node, s.node.ada, 'shared');
  return page;
}

both(test, '[R4.2] every page on a shared computer says so, how long is left and how to sign out, and its title nothing', async (t, script) => {
  const page = await signedIn(t, { script });
  await enterChirp(page, s.node);
  const chirp = ['/', '/drafts', '/messages', '/messages/grace'].map((path) => s.node.chirp + path);
  for (const address of [...inside.map((path) => s.node.exeunt + path), ...chirp]) {
    await page.goto(address);
    assert.equal(await strip(page).count(), 1, address);
    const said = (await strip(page).innerText()).replace(/\s+/g, ' ');
    assert.match(said, script ? /^Shared computer 1[45] min left Sign out$/
      : /^Shared computer 1[45] min left when this page was loaded Sign out$/, address);
    assert.match(await strip(page).locator('a').getAttribute('href'), /\/(exeunt\/)?sign-?out$/);
    assert.doesNotMatch(await page.title(), /ada|grace|@|quill|example|linux|chrom/i, `the title of ${address}`);
  }
  await page.goto(`${s.node.exeunt}/sessions`);
  await strip(page).locator('a').click();
  await page.locator(script ? 'dialog#ask[open] button.danger' : 'main form[action="/signout"] button.danger').click();
  await page.waitForURL('**/signed-out*');
  assert.equal(await strip(page).count(), 0);
});

test('a browser of one\'s own has no strip', async (t) => {
  const page = await s.visit(t);
  await signIn(page, s.node);
  await enterChirp(page, s.node);
  for (const address of [s.node.exeunt, s.node.chirp]) {
    await page.goto(address);
    assert.equal(await strip(page).count(), 0, address);
  }
});

test('the time that is left is the server\'s: it goes down with the server\'s clock, and up with activity in an app', async (t) => {
  const page = await signedIn(t, { frozen: true });
  await page.goto(`${s.node.exeunt}/sessions`);
  await until('the page has been told', async () => /^1[45] min left$/.test(await left(page)), 120_000);
  await s.node.advance(20);
  await asks(page); // a page before it was closed
  await s.node.advance(5 * 60); // the page's own clock stands still
  await page.clock.runFor(31_000); // it asks again every 30 s
  await until('ten minutes or fewer', async () => /^(9|10) min left$/.test(await left(page)), 120_000);
  const app = await page.context().newPage(); // the activity
  await enterChirp(app, s.node);
  await app.goto('about:blank');
  await page.bringToFront();
  await page.clock.runFor(31_000);
  await until('the page shows it', async () => /^1[45] min left$/.test(await left(page)), 120_000);
});

test('the strip of one tab goes up with activity in another', async (t) => {
  const page = await signedIn(t);
  await page.goto(`${s.node.exeunt}/sessions`);
  await until('the page has been told', async () => /^1[45] min left$/.test(await left(page)), 120_000);
  await s.node.advance(20);
  await asks(page); // a page before it was closed
  await s.node.advance(6 * 60);
  await asks(page);
  await until('it went down', async () => /^[89] min left$/.test(await left(page)), 120_000);
  const other = await page.context().newPage();
  await other.goto(`${s.node.exeunt}/settings`);
  await other.mouse.move(20, 20); // input: the page notes it and tells the others
  await other.mouse.move(60, 60);
  await page.bringToFront();
  await until('it went up', async () => /^1[45] min left$/.test(await left(page)), 120_000);
});

for (const [device, as] of Object.entries({ desktop, phone, 'at 400 % zoom': { viewport: { width: 320, height: 215 } } })) {
  test(`the strip is usable: nothing overflows, axe finds nothing, the skip link comes first: ${device}`, async (t) => {
    const page = await signedIn(t, { as });
    await enterChirp(page, s.node);
    for (const [address, colorScheme] of [s.node.exeunt, s.node.chirp].flatMap((one) => [[one, 'light'], [one, 'dark']])) {
      await page.emulateMedia({ colorScheme });
      await page.goto(address);
      await until('the page is shown', () => strip(page).isVisible(), 120_000);
      await page.evaluate(axe.source);
      const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
      assert.deepEqual(violations.filter((v) => /serious|critical/.test(v.impact)).map((v) => `${v.id} ${v.nodes[0].html}`), [], address);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= document.documentElement.clientWidth), address);
      await page.keyboard.press('Tab');
      assert.equal(await page.evaluate(() => document.activeElement.className), 'skip', address);
      await page.keyboard.press('Tab');
      assert.ok(await page.evaluate(() => document.activeElement.closest('[data-exeunt-strip]') !== null), address);
      assert.equal(await page.locator('[data-exeunt-strip] [role=status], [data-exeunt-strip] [aria-live], [data-exeunt-strip][aria-live]').count(), 0,
        'a screen reader is not told of each minute');
      if (process.env.EXEUNT_SCREENSHOT) {
        await page.screenshot({ path: `${process.env.EXEUNT_SCREENSHOT}/strip ${device} ${colorScheme} ${new URL(address).hostname}.png` });
      }
    }
  });
}

// --- closing the last page

/** How many beacons the pages of this browser's origin have sent. */
const beacons = (page) => page.evaluate(() => Number(localStorage.getItem('beacons') ?? 0));

/** Counts beacons, which no debugger tells of once their page is gone. */
const counting = (page) => page.context().addInitScript(() => {
  const send = navigator.sendBeacon.bind(navigator);
  navigator.sendBeacon = (...of) => {
    localStorage.setItem('beacons', Number(localStorage.getItem('beacons') ?? 0) + 1);
    return send(...of);
  };
});

/** Closes a page as a person does. */
async function close(page) {
  const gone = page.waitForEvent('close');
  await page.close({ runBeforeUnload: true });
  await gone;
  // Nobody can wait for a beacon; what is asked after it, by the same browser, comes after it.
  await new Promise((done) => { setTimeout(done, 1000); });
}

/** An open page asks, as it does by itself every 30 s. */
async function asks(page) {
  const answered = page.waitForResponse(/\/state(\?|$)/);
  await page.evaluate(() => window.dispatchEvent(new Event('focus')));
  await (await answered).finished();
}

const jarOf = (page) => cookieHeader(page.context(), s.node.exeunt);
const stateOf = async (jar) => JSON.parse((await request(`${s.node.exeunt}/session/state`, { headers: { Cookie: jar } })).text);

async function told(page) {
  await until('the page has been told', async () => /min left$/.test(await left(page)), 120_000);
  await asks(page);
}

test('[R4.2] a minute after the last page on a shared computer was closed the session ends, and says why', async (t) => {
  const page = await signedIn(t);
  await page.goto(`${s.node.exeunt}/sessions`);
  await told(page);
  const jar = await jarOf(page);
  const again = await page.context().newPage();
  await close(page);
  const mine = await newest(s.node, 'ada');
  const lives = async () => (await s.node.sessions('ada')).active.some((one) => one.id === mine); // asking as this browser would be a sign of life
  await s.node.advance(70);
  assert.ok(await lives(), 'not before its time');
  await s.node.advance(6);
  const { state, reason } = await stateOf(jar);
  assert.deepEqual({ state, reason }, { state: 'ended', reason: 'closed' });
  await again.goto(s.node.exeunt);
  assert.match(await again.locator('main').innerText(), /Its last page on a shared computer was closed/);
});

for (const [what, go] of Object.entries({
  'going to another page': (page) => page.goto(`${s.node.exeunt}/settings`),
  'loading the page again': (page) => page.reload(),
})) {
  test(`${what} is no closing`, async (t) => {
    const page = await signedIn(t);
    await counting(page);
    await page.goto(`${s.node.exeunt}/sessions`);
    await told(page);
    const before = await beacons(page);
    await go(page);
    await told(page);
    assert.equal(await beacons(page), before + 1, 'browsers send it here, too');
    await s.node.advance(20);
    await asks(page);
    await s.node.advance(60);
    assert.equal((await stateOf(await jarOf(page))).state, 'live');
  });
}

test('with two pages open, closing one ends nothing; closing the other does', async (t) => {
  const page = await signedIn(t);
  const other = await page.context().newPage();
  for (const one of [page, other]) {
    await one.goto(`${s.node.exeunt}/sessions`);
    await told(one);
  }
  const jar = await jarOf(page);
  await close(page);
  await s.node.advance(20);
  await asks(other);
  await s.node.advance(60);
  assert.equal((await stateOf(jar)).state, 'live');
  await close(other);
  await s.node.advance(80);
  assert.equal((await stateOf(jar)).reason, 'closed');
});

test('an open page of an app keeps the session; when it is closed, too, the session ends', async (t) => {
  const page = await signedIn(t);
  await enterChirp(page, s.node);
  const app = page;
  await told(app);
  const own = await app.context().newPage();
  await own.goto(s.node.exeunt);
  await told(own);
  const jar = await jarOf(own);
  await close(own);
  await s.node.advance(20);
  await asks(app);
  await s.node.advance(60);
  assert.equal((await stateOf(jar)).state, 'live');
  await close(app);
  await s.node.advance(80);
  assert.equal((await stateOf(jar)).reason, 'closed');
});

test('a page of one\'s own browser says nothing when it is closed', async (t) => {
  const page = await s.visit(t);
  await counting(page);
  await signIn(page, s.node);
  await asks(page);
  await page.goto(`${s.node.exeunt}/settings`);
  assert.equal(await beacons(page), 0);
});
