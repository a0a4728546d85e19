// Signing out on a phone, and of a phone that is lost.
import test from 'node:test';
import assert from 'node:assert/strict';
import { desktop, phone, signIn } from './lib/browser.mjs';
import { both, stage } from './lib/stage.mjs';
import { dialogClosed, everyDialog, everyPage, inside, newest } from './lib/pages.mjs';
import { cookieHeader, request } from './lib/wait.mjs';

const s = stage();

async function phoneOf(t, script = true) {
  const page = await s.visit(t, { ...phone, javaScriptEnabled: script });
  await signIn(page, s.node);
  return page;
}

const live = async () => (await s.node.sessions('ada')).active.map((one) => one.id).sort();

both(test, '[R2.1] the avatar opens a drawer with Settings and privacy, then Sign out, and a last tap confirms', async (t, script) => {
  const page = await phoneOf(t, script);
  const before = await live();
  for (const path of inside.filter((one) => one !== '/menu')) {
    await page.goto(s.node.exeunt + path);
    assert.equal(await page.locator('nav.panel').isVisible(), false, `${path}: no panel on a phone`);
    const avatar = page.locator('.topbar a.open');
    const box = await avatar.boundingBox();
    assert.ok(box.x < 40 && box.y < 20, `${path}: the avatar is in the top corner`);
    await avatar.tap();
    if (script) await page.locator('dialog#drawer[open]').waitFor();
    else await page.waitForURL('**/menu?*');
    const drawer = page.locator(script ? 'dialog#drawer' : 'main nav.drawer');
    const names = (await drawer.locator('a').allInnerTexts()).map((text) => text.trim());
    assert.ok(names.indexOf('Settings and privacy') > 0 && names.at(-1) === 'Sign out @ada', `${path}: ${names}`);
    assert.ok(names.indexOf('Settings and privacy') < names.indexOf('Sign out @ada'));
    await drawer.getByRole('link', { name: 'Close the menu' }).tap();
    if (script) await dialogClosed(page, 'drawer');
    await page.waitForURL((url) => url.pathname + url.search === path);
  }
  await page.locator('.topbar a.open').tap();
  await page.locator(script ? 'dialog#drawer' : 'main nav.drawer').getByRole('link', { name: 'Sign out @ada' }).tap();
  const ask = page.locator('form[action="/signout"]:visible');
  await ask.getByText('Sign out of @ada on this browser?').waitFor();
  assert.deepEqual(await live(), before, 'nothing has ended before the last tap');
  await ask.getByRole('button', { name: 'Sign out', exact: true }).tap();
  await page.waitForURL('**/signed-out');
  assert.equal(await page.locator('h1').innerText(), 'Signed out of this browser');
  assert.equal((await live()).length, before.length - 1);
});

test('[R2.1] Back closes the drawer and the confirmation, and leaves the page where it was', async (t) => {
  const page = await phoneOf(t);
  await page.goto(`${s.node.exeunt}/security`);
  for (let round = 0; round < 2; round++) {
    await page.locator('.topbar a.open').tap();
    await page.locator('dialog#drawer[open]').waitFor();
    if (round === 1) {
      await page.locator('dialog#drawer').getByRole('link', { name: 'Sign out @ada' }).tap();
      await page.locator('dialog#ask[open]').waitFor();
    }
    await page.goBack();
    await page.waitForFunction(() => !document.querySelector('dialog[open]'));
    assert.equal(new URL(page.url()).pathname, '/security');
  }
  assert.equal((await page.goBack())?.url(), `${s.node.exeunt}/`, 'no step is left over in the history');
});

/** What can be tapped here and is smaller than 44 by 44 CSS pixels. */
function smallTargets() {
  const wanted = 'a[href], button, summary, input:not([type=hidden]), select, textarea, [role=button], [tabindex="0"]';
  const root = [...document.querySelectorAll('dialog[open]')].at(-1) ?? document;
  const small = [];
  for (const node of root.querySelectorAll(wanted)) {
    // A radio button is tapped on its label, which is what counts.
    const target = node.matches('input[type=radio], input[type=checkbox]') ? node.closest('label') : node;
    if (!target.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue;
    const box = target.getBoundingClientRect();
    if (box.width === 0 || box.bottom < 0 || box.right < 0) continue; // the skip link, until it has the focus
    if (box.width >= 43.99 && box.height >= 43.99) continue;
    small.push(`${node.outerHTML.slice(0, 120)} is ${box.width.toFixed(1)} by ${box.height.toFixed(1)}`);
  }
  return { small, seen: root.querySelectorAll(wanted).length };
}

both(test, '[R2.1] everything that can be tapped is at least 44 by 44 pixels, on every page', async (t, script) => {
  const page = await s.visit(t, { ...phone, javaScriptEnabled: script });
  const found = [];
  let seen = 0;
  const look = async (name) => {
    const got = await page.evaluate(smallTargets);
    seen += got.seen;
    found.push(...got.small.map((one) => `${name}: ${one}`));
  };
  await everyPage(page, s.node, look);
  if (script) {
    await signIn(page, s.node);
    await everyDialog(page, s.node, look);
  }
  assert.ok(seen > 150, `only ${seen} targets seen`);
  assert.deepEqual(found, []);
  await page.goto(`${s.node.exeunt}/signin`);
  await page.setViewportSize({ width: 1280, height: 860 });
  await page.locator('.word').first().evaluate((link) => { link.style.cssText = 'display:inline-block;min-height:0;height:20px'; });
  assert.notDeepEqual((await page.evaluate(smallTargets)).small, [], 'a small one would have been found');
});

/** Resolves with when the page went blank, as the page itself saw it. */
async function blanking(page) {
  let done;
  const blank = new Promise((resolve) => { done = resolve; });
  await page.exposeFunction('wentBlank', () => done(performance.now()));
  await page.evaluate(() => {
    const look = () => {
      if (!document.documentElement.hasAttribute('data-exeunt-veil')) return;
      // Not what it says: what can be seen.
      const main = document.querySelector('main');
      if (!main || getComputedStyle(main).visibility === 'hidden' || getComputedStyle(main).display === 'none') window.wentBlank();
    };
    new MutationObserver(look).observe(document, { attributes: true, childList: true, subtree: true });
  });
  return blank;
}

for (const script of [true, false]) {
  const how = script ? 'with' : 'without';
  test(`[R2.2] a lost phone is ended from a desktop ${how} script: its page is blank within a second, its next request refused`, async (t) => {
    const lost = await phoneOf(t);
    const id = await newest(s.node, 'ada');
    await lost.goto(`${s.node.exeunt}/settings`);
    assert.match(await lost.locator('main').innerText(), /@ada/, 'it shows private things');
    const stolen = await cookieHeader(lost.context(), s.node.exeunt);
    const state = () => request(`${s.node.exeunt}/session/state`, { headers: { Cookie: stolen } });
    assert.equal((await state()).status, 200, 'it works so far');
    const blank = blanking(lost);

    // Any browser will do, after signing in there.
    const other = await s.visit(t, { ...desktop, javaScriptEnabled: script });
    await signIn(other, s.node);
    await other.goto(`${s.node.exeunt}/sessions`);
    const row = other.locator(`[data-row="${id}"]`);
    assert.match(await row.innerText(), /Chrome on Android/);
    assert.match(await row.getByRole('button').innerText(), /^Sign out\s+of Chrome on Android$/);
    const answered = other.waitForResponse((r) => r.request().method() === 'POST').then(() => performance.now());
    await row.getByRole('button').click();
    const said = await answered;
    const took = await blank - said;
    assert.ok(took < 1000, `blank ${took.toFixed(0)} ms after the sign-out was answered`);

    const refused = await state();
    assert.equal(refused.status, 401);
    assert.equal(JSON.parse(refused.text).reason, 'signed_out');
    const next = await request(`${s.node.exeunt}/settings`, { headers: { Cookie: stolen } });
    assert.equal(next.status, 303);
    assert.match(next.headers.location, /^\/ended/);
    await lost.waitForURL('**/ended*');
    const text = await lost.locator('body').innerText();
    assert.match(text, /You are no longer signed in here[\s\S]*signed out, here or from another device/);
    assert.doesNotMatch(text, /ada|Quill|Linux/i, 'the finder of the phone learns nothing');
    await other.waitForURL('**/sessions*');
    assert.match(await other.locator(`[data-row="${id}"]`).innerText(), /Signed out just now/);
  });
}
