// Signing out on a desktop browser.
import test from 'node:test';
import assert from 'node:assert/strict';
import { desktop, signIn } from './lib/browser.mjs';
import { both, stage } from './lib/stage.mjs';
import { enterChirp } from './lib/chirp.mjs';
import { dialogClosed, inside } from './lib/pages.mjs';
import { cookieHeader, request, until } from './lib/wait.mjs';

const s = stage();

async function signedIn(t, script = true, kind = 'kept') {
  const page = await s.visit(t, { ...desktop, javaScriptEnabled: script });
  await signIn(page, s.node, s.node.ada, kind);
  return page;
}

/** The account's live sessions, as the server has them. */
const live = async () => (await s.node.sessions('ada')).active.map((one) => one.id).sort();

const menus = { 'the account menu': '.panel .acct', More: '.panel .also' };

both(test, '[R1.1] every signed-in page has the panel at the left edge, with picture, handle and More', async (t, script) => {
  const page = await signedIn(t, script);
  for (const path of inside) {
    await page.goto(s.node.exeunt + path);
    const panel = await page.locator('nav.panel').boundingBox();
    assert.equal(panel.x, 0, path);
    assert.ok(panel.y <= 0 && panel.height >= desktop.viewport.height, `${path}: the panel is as high as the window`);
    const main = await page.locator('main').boundingBox();
    assert.ok(main.x >= panel.width, `${path}: the page stands beside the panel`);
    const account = page.locator('nav.panel .acct > summary');
    const foot = await account.boundingBox();
    assert.ok(foot.y + foot.height > desktop.viewport.height - 40, `${path}: the account is at the foot`);
    assert.match(await account.innerText(), /Ada Quill\s+@ada/);
    const picture = await account.locator('.avatar').boundingBox();
    assert.ok(picture.width >= 32 && picture.height >= 32, `${path}: the picture is shown`);
    assert.equal((await page.locator('nav.panel .also > summary').innerText()).trim(), 'More');
  }
});

both(test, '[R1.2] More opens "Settings and support", and neither it nor Settings and privacy ends a session', async (t, script) => {
  const page = await signedIn(t, script);
  const before = await live();
  await page.click('.panel .also > summary');
  const more = page.locator('.panel .also .box');
  assert.ok(await more.getByText('Settings and support').isVisible());
  assert.deepEqual((await more.innerText()).trim().split(/\s*\n\s*/), ['Settings and support', 'Settings and privacy', 'Help', 'Display', 'Sign out'],
    'the heading heads its list, and "Sign out" comes last');
  await more.getByRole('link', { name: 'Settings and privacy' }).click();
  await page.waitForURL('**/settings');
  assert.equal(await page.locator('h1').innerText(), 'Settings and privacy');
  for (const name of ['name', 'email']) assert.ok(await page.locator(`main input[name=${name}]`).isVisible(), 'account settings are here');
  await page.locator('form[action="/settings/profile"] button.btn').click();
  await page.getByText('Saved.').waitFor();
  await page.click('.panel .also > summary');
  await page.locator('.panel .also .box').getByRole('link', { name: 'Display' }).click();
  await page.waitForURL('**/settings#display');
  assert.deepEqual(await live(), before);
});

for (const [where, menu] of Object.entries(menus)) {
  both(test, `[R1.3] from every page "Sign out" is three clicks away in ${where}`, async (t, script) => {
    const page = await signedIn(t, script);
    for (const path of inside) {
      await page.goto(s.node.exeunt + path);
      await page.click(`${menu} > summary`); // one
      const link = page.locator(`${menu} a[href="/signout"]`);
      assert.match(await link.innerText(), /^Sign out/);
      assert.equal(await link.evaluate((a) => Boolean(a.closest('.menu, .box') && a.closest('ul').children.length === 1
        && a.closest('ul').previousElementSibling?.matches('hr, h2'))), true, `${path}: it stands apart`);
      await link.click(); // two
      const form = page.locator('form[action="/signout"]:visible').filter({ has: page.locator('input[name=scope][value=session]') });
      const last = form.getByRole('button', { name: 'Sign out', exact: true });
      await last.waitFor(); // three
    }
    assert.equal(await page.locator('nav.panel > ul > li > a[href="/signout"]').count(), 0, 'not among ordinary navigation');
    await page.getByRole('button', { name: 'Sign out', exact: true }).locator('visible=true').click();
    await page.waitForURL('**/signed-out');
    assert.equal(await page.locator('h1').innerText(), 'Signed out of this browser');
  });
}

/** Opens the confirmation from the sessions page. */
async function ask(page, script) {
  await page.goto(`${s.node.exeunt}/sessions`);
  await page.click('#main a[href="/signout"]');
  if (script) await page.locator('dialog#ask[open]').waitFor();
  else await page.waitForURL('**/signout');
  return page.locator(script ? 'dialog#ask' : 'main');
}

async function stillOn(page, script, before) {
  if (script) await dialogClosed(page, 'ask');
  await page.waitForURL('**/sessions', { waitUntil: 'commit' });
  assert.deepEqual(await live(), before, 'nothing has ended');
  if (!script) return;
  assert.equal(await page.evaluate(() => document.activeElement?.matches('#main a[href="/signout"]')), true, 'the focus is back where it was');
}

both(test, '[R1.4] the confirmation names the account and what ends, and cancels by Escape, the button and Back', async (t, script) => {
  const page = await signedIn(t, script);
  await enterChirp(page, s.node);
  const before = await live();
  let box = await ask(page, script);
  assert.equal(await box.locator('#ask-title').innerText(), 'Sign out of @ada on this browser?');
  assert.match(await box.innerText(), /Apps in this sign-in\s+Chirp\s+Closes at once/);
  assert.match(await box.innerText(), /Chrome on Linux, signed in/);
  assert.match(await box.innerText(), /stays? signed in\./, 'what does not end is said, too');
  assert.equal(await box.locator('details.ways[open]').count(), 0, 'wider scopes are out of the way');
  if (script) {
    assert.equal(await page.evaluate(() => document.activeElement?.textContent), 'Sign out', 'the focus is on the button');
    await page.keyboard.press('Escape');
    await stillOn(page, script, before);
    box = await ask(page, script);
  }
  await box.getByText('Cancel').click();
  await stillOn(page, script, before);
  await ask(page, script);
  await page.goBack({ waitUntil: 'commit' }); // out of the back-forward cache nothing is loaded
  await stillOn(page, script, before);
  await page.goto(s.node.chirp);
  assert.equal(new URL(page.url()).origin, s.node.chirp, 'Chirp is signed in still');
  assert.match(await page.locator('body').innerText(), /@ada/);
});

both(test, '[R1.4 R5.1] "More ways to sign out" offers the other scopes, and switching between them ends nothing', async (t, script) => {
  const page = await signedIn(t, script);
  const before = await live();
  const box = await ask(page, script);
  await box.locator('details.ways > summary').click();
  await box.getByRole('link', { name: 'Sign out everywhere, including here' }).click();
  await box.getByText('Sign out of @ada everywhere, including here?').waitFor();
  assert.match(await box.innerText(), /You will also be signed out of \d+ other sessions/);
  await box.locator('details.ways > summary').click();
  await box.getByRole('link', { name: 'Sign out everywhere else' }).click();
  await box.getByText('Sign out everywhere else?').waitFor();
  await box.getByText('Cancel').click();
  await stillOn(page, false, before);
});

both(test, '[R1.5 R3.3] afterwards the page says what happened, when, and what was cleared', async (t, script) => {
  const page = await signedIn(t, script);
  await enterChirp(page, s.node);
  const mine = await page.context().newPage();
  await mine.goto(`${s.node.exeunt}/security`);
  const stolen = await cookieHeader(page.context(), s.node.exeunt);
  assert.match(stolen, /__Host-exeunt-ses_\w+=exs_/);
  const box = await ask(page, script);
  const from = Date.now() - 1000;
  await box.getByRole('button', { name: 'Sign out', exact: true }).click();
  await page.waitForURL('**/signed-out');
  const main = await page.locator('main').innerText();
  assert.match(main, /^Signed out of this browser$/m);
  assert.match(main, /Chirp\s+Closed at once/);
  assert.match(main, /On the server\s+Recorded/);
  assert.match(main, /In this browser\s+The sign-in and everything/);
  const at = Date.parse(await page.locator('main .when time').getAttribute('datetime'));
  assert.ok(at >= from - 1000 && at <= Date.now() + 1000, 'the time is the sign-out\'s');
  assert.doesNotMatch(await cookieHeader(page.context(), s.node.exeunt), /exs_|-here=/, 'the cookies are cleared');
  assert.equal((await request(`${s.node.exeunt}/session/state`, { headers: { Cookie: stolen } })).status, 401);
  if (script) {
    await mine.waitForURL(/\/(signed-out|ended)/);
    assert.doesNotMatch(await mine.locator('body').innerText(), /ada/i);
  }
  await page.reload();
  assert.match(await page.locator('h1').innerText(), /Signed out/, 'it can be read again');
});

test('[R1.5] the page that signs out shows its result every time, whatever the event stream says meanwhile', async (t) => {
  for (let round = 0; round < 5; round++) {
    const page = await signedIn(t);
    await page.goto(`${s.node.exeunt}/signout`);
    await page.locator('main form button.danger').click();
    await page.waitForURL(/\/(signed-out|ended)/);
    assert.equal(await page.locator('h1').innerText(), 'Signed out of this browser');
    await page.context().close();
  }
});

both(test, '[R1.5 R5.2] after signing out everywhere the page says how many ended', async (t, script) => {
  const account = s.node.grace;
  const page = await s.visit(t, { ...desktop, javaScriptEnabled: script });
  await signIn(page, s.node, account);
  const { active } = await s.node.sessions('grace');
  await page.goto(`${s.node.exeunt}/signout?scope=account`);
  await page.locator('main form button.danger').click();
  await page.waitForURL('**/signed-out');
  const main = await page.locator('main').innerText();
  assert.match(main, /^Signed out everywhere$/m);
  assert.match(main, active.length === 1 ? /One session ended/ : new RegExp(`${active.length} sessions ended`));
  await until('nobody is signed in', async () => (await s.node.sessions('grace')).active.length === 0);
});

both(test, '[R5.1] "Sign out everywhere else" asks first, names what ends, and says how many have ended', async (t, script) => {
  const other = await signedIn(t);
  const id = await other.locator('body').getAttribute('data-session');
  await other.goto('about:blank');
  const page = await signedIn(t, script);
  const before = await live();
  await page.goto(`${s.node.exeunt}/sessions`);
  await page.click('#main a[href="/signout?scope=others"]');
  const box = page.locator(script ? 'dialog#ask' : 'main');
  await box.getByText('You stay signed in on this browser.').waitFor();
  assert.match(await box.innerText(), /Sign out everywhere else\?[\s\S]*Chrome on Linux/);
  assert.deepEqual(await live(), before);
  await box.getByText('Cancel').click();
  await cancelled(page, script, before);
  await page.click('#main a[href="/signout?scope=others"]');
  await Promise.all([page.waitForURL('**/sessions'), box.locator('button.danger').click()]);
  await page.getByText(/Signed out everywhere else\. .* ended\./).waitFor();
  assert.deepEqual(await live(), [await page.locator('body').getAttribute('data-session')]);
  assert.equal(await page.locator(`[data-row="${id}"]`).count(), 0, 'what has ended is not among what is signed in');
  await page.reload();
  assert.equal(await page.getByText('Signed out everywhere else.').count(), 0, 'it is said once');
});

async function cancelled(page, script, before) {
  if (script) await dialogClosed(page, 'ask');
  else await page.waitForURL('**/sessions');
  assert.deepEqual(await live(), before, 'nothing has ended');
}

both(test, '[R5.1] the button of this browser keeps to one line in a wide font and leaves room for the words', async (t, script) => {
  const page = await signedIn(t, script);
  for (const path of ['/', '/sessions']) {
    for (const width of [1280, 1130, 1119, 900, 720, 719, 390, 320]) {
      await page.setViewportSize({ width, height: 800 });
      await page.goto(s.node.exeunt + path);
      await page.evaluate(() => { document.body.style.letterSpacing = '.04em'; });
      const at = `${path} at ${width}`;
      const [button, words] = await page.evaluate(() => {
        const row = document.querySelector('.here .row');
        const text = row.querySelector('.btn');
        const range = document.createRange();
        range.selectNodeContents(text);
        return [{ lines: new Set([...range.getClientRects()].map((r) => r.top)).size, right: text.getBoundingClientRect().right }, row.querySelector('div').getBoundingClientRect().width];
      });
      if (width > 320) assert.equal(button.lines, 1, `${at}: one line`);
      assert.ok(button.right <= width, `${at}: it is on the page`);
      assert.ok(words >= 200, `${at}: the words beside it have ${words} px`);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), `${at}: nothing sticks out`);
    }
  }
});
