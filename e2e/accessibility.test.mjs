// Everybody can use it: by keyboard alone, with a screen reader, in the dark,
// on a narrow screen or at 400 % zoom.
import test from 'node:test';
import assert from 'node:assert/strict';
import axe from 'axe-core';
import { desktop, phone, shell, signIn } from './lib/browser.mjs';
import { both, stage } from './lib/stage.mjs';
import { chirpPages, dialogClosed, everyDialog, everyPage } from './lib/pages.mjs';
import { cookieHeader, request } from './lib/wait.mjs';

const s = stage({}, shell);

/** What axe finds serious or critical, as one line each. */
async function findings(page, rules) {
  if (!await page.evaluate(() => 'axe' in window)) await page.evaluate(axe.source);
  const { violations, passes } = await page.evaluate((only) => window.axe.run(document, {
    resultTypes: ['violations'], ...(only ? { runOnly: { type: 'rule', values: only } } : {}),
  }), rules);
  assert.ok(passes.length > 0, 'axe has looked');
  return violations.filter((v) => v.impact === 'serious' || v.impact === 'critical')
    .flatMap((v) => v.nodes.map((node) => `${v.id} (${v.impact}): ${node.target} ${node.html.slice(0, 160)}`));
}

/** Elements that reach beyond the window's sides. */
function overflowing() {
  const wide = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= wide && document.body.scrollWidth <= wide) return [];
  return [...document.querySelectorAll('body *')].filter((node) => node.getBoundingClientRect().right > wide + 0.5 && node.checkVisibility())
    .map((node) => node.outerHTML.slice(0, 120)).slice(0, 3).concat(`scrolls to ${document.documentElement.scrollWidth} of ${wide}`);
}

for (const [device, base] of Object.entries({ desktop, phone })) {
  test(`axe finds nothing serious on any page, light and dark: ${device}`, async (t) => {
    const page = await s.visit(t, base);
    const found = [];
    let looked = 0;
    const look = async (name) => {
      for (const colorScheme of ['light', 'dark']) {
        await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
        // Colours are all that a scheme changes.
        const rules = colorScheme === 'dark' ? ['color-contrast', 'link-in-text-block'] : undefined;
        found.push(...(await findings(page, rules)).map((one) => `${name}, ${colorScheme}: ${one}`));
      }
      looked++;
    };
    await everyPage(page, s.node, look);
    await signIn(page, s.node);
    await everyDialog(page, s.node, look);
    await chirpPages(page, s.node, look);
    assert.ok(looked > 40, `${looked} pages`);
    assert.deepEqual(found, []);
    await page.goto(`${s.node.exeunt}/help`);
    await page.evaluate(() => { for (const p of document.querySelectorAll('main p')) p.style.cssText = 'color: #aaa; background: #fff'; });
    assert.notDeepEqual(await findings(page, ['color-contrast']), [], 'a fault would have been found');
  });
}

test('nothing overflows at 320 pixels, which is 400 % zoom on a desktop; axe finds nothing serious there', async (t) => {
  const narrow = { width: desktop.viewport.width / 4, height: Math.floor(desktop.viewport.height / 4) };
  assert.equal(narrow.width, 320);
  const page = await s.visit(t, { ...desktop, viewport: narrow });
  const found = [];
  const look = async (name) => {
    found.push(...(await page.evaluate(overflowing)).map((one) => `${name}: ${one}`));
    // What depends on the width; the pages themselves are the phone's.
    found.push(...(await findings(page, ['target-size', 'scrollable-region-focusable', 'color-contrast'])).map((one) => `${name}: ${one}`));
  };
  await everyPage(page, s.node, look);
  await signIn(page, s.node);
  await everyDialog(page, s.node, look);
  await chirpPages(page, s.node, look);
  assert.deepEqual(found, []);
  await page.goto(`${s.node.exeunt}/help`);
  await page.evaluate(() => { document.querySelector('h1').style.cssText = 'inline-size: 400px'; });
  assert.notDeepEqual(await page.evaluate(overflowing), [], 'an overflow would have been found');
});

/** Presses Tab until the focus is on what matches, and sees the focus ring on the way. */
async function tabTo(page, selector, key = 'Tab') {
  for (let i = 0; i < 80; i++) {
    await page.keyboard.press(key);
    const at = await page.evaluate((wanted) => {
      const node = document.activeElement;
      if (!node || node === document.body) return { ring: true };
      const style = getComputedStyle(node);
      const box = node.closest('label') ?? node; // a choice is drawn as its label
      const ring = [style, getComputedStyle(box)].some((one) => (one.outlineStyle !== 'none' && parseFloat(one.outlineWidth) >= 2) || one.boxShadow !== 'none');
      return { found: node.matches(wanted), ring, html: node.outerHTML.slice(0, 100) };
    }, selector);
    assert.ok(at.ring, `the focus can be seen on ${at.html}`);
    if (at.found) return;
  }
  assert.fail(`${selector} cannot be reached with ${key}`);
}

const focused = (page, selector) => page.evaluate((wanted) => Boolean(document.activeElement?.matches(wanted)), selector);
const arrived = (page, path, act) => Promise.all([page.waitForURL(`${s.node.exeunt}${path}`), act()]);

async function keySignIn(page, account) {
  await page.goto(`${s.node.exeunt}/signin`);
  await tabTo(page, 'input[name=identifier]');
  await page.keyboard.type(account.handle);
  await tabTo(page, 'input[name=password]');
  await page.keyboard.type(account.password);
  await tabTo(page, 'input[name=kind]');
  await page.keyboard.press('Space');
  await arrived(page, '/', () => page.keyboard.press('Enter'));
}

both(test, 'keyboard alone: skip link, sign up, choose a shared computer, sign out by the page, cancel', async (t, script) => {
  const page = await s.visit(t, { ...desktop, javaScriptEnabled: script });
  const account = { handle: `keys_${script ? 'js' : 'no'}`, password: 'plum-otter-lantern-31' };
  await page.goto(`${s.node.exeunt}/signin`);
  await page.keyboard.press('Tab');
  assert.ok(await focused(page, 'a.skip'));
  const skip = await page.locator('a.skip').boundingBox();
  assert.ok(skip.y >= 0 && skip.x >= 0, 'the skip link shows when it has the focus');
  await page.keyboard.press('Enter');
  await tabTo(page, 'main *');
  assert.ok(await focused(page, 'main *'), 'the next stop is on the page');
  await tabTo(page, 'main a[href^="/signup"]');
  await arrived(page, '/signup', () => page.keyboard.press('Enter'));
  await tabTo(page, 'input[name=handle]');
  await page.keyboard.type(account.handle);
  await tabTo(page, 'input[name=password]');
  await page.keyboard.type(account.password);
  await tabTo(page, 'input[name=kind]');
  await page.keyboard.press('ArrowRight');
  assert.equal(await page.locator('input[name=kind][value=shared]').isChecked(), true);
  await tabTo(page, 'main form button.primary');
  await arrived(page, '/', () => page.keyboard.press('Enter'));
  const { active } = await s.node.sessions(account.handle);
  assert.deepEqual(active.map((one) => one.kind), ['shared']);

  // By the page: from the panel without script, by its address with.
  if (script) await page.goto(`${s.node.exeunt}/signout`);
  else {
    await tabTo(page, '.panel .acct > summary');
    await page.keyboard.press('Enter');
    await tabTo(page, '.panel .acct a[href="/signout"]');
    await arrived(page, '/signout', () => page.keyboard.press('Enter'));
  }
  await tabTo(page, 'main form [data-cancel]');
  await arrived(page, '/sessions', () => page.keyboard.press('Enter'));
  assert.equal((await s.node.sessions(account.handle)).active.length, 1, 'cancelled');
  await page.goto(`${s.node.exeunt}/signout`);
  await tabTo(page, 'main form button.danger');
  await arrived(page, '/signed-out', () => page.keyboard.press('Enter'));
  assert.equal((await s.node.sessions(account.handle)).active.length, 0);
});

both(test, 'keyboard alone: sign in, list, details, end one, everywhere else, change the password', async (t, script) => {
  const account = s.node.grace;
  const others = [];
  for (let i = 0; i < 2; i++) {
    const other = await s.visit(t, phone);
    await signIn(other, s.node, account);
    others.push({ id: await other.locator('body').getAttribute('data-session'), jar: await cookieHeader(other.context(), s.node.exeunt) });
    await other.goto('about:blank');
  }
  const status = async ({ jar }) => (await request(`${s.node.exeunt}/session/state`, { headers: { Cookie: jar } })).status;
  const page = await s.visit(t, { ...desktop, javaScriptEnabled: script });
  await keySignIn(page, account);
  await tabTo(page, '.panel a[href="/sessions"]');
  await arrived(page, '/sessions', () => page.keyboard.press('Enter'));
  await tabTo(page, `[data-row="${others[0].id}"] details > summary`);
  await page.keyboard.press('Enter');
  assert.equal(await page.locator(`[data-row="${others[0].id}"] details dl`).isVisible(), true);
  await tabTo(page, `[data-row="${others[0].id}"] button`);
  await page.keyboard.press('Enter');
  await page.locator(`[data-row="${others[0].id}"][data-state=ended]`).waitFor();
  assert.deepEqual([await status(others[0]), await status(others[1])], [401, 200]);
  await page.goto(`${s.node.exeunt}/sessions`);
  await tabTo(page, '#main a[href="/signout?scope=others"]');
  await page.keyboard.press('Enter');
  await page.locator('form[action="/sessions/end"] button.danger:visible').waitFor();
  if (!script) await tabTo(page, 'form[action="/sessions/end"] button.danger');
  assert.equal(await status(others[1]), 200, 'nothing has ended before it is confirmed');
  await page.keyboard.press('Enter');
  await page.getByText('Signed out everywhere else.').waitFor();
  assert.equal(await status(others[1]), 401);
  await page.goto(`${s.node.exeunt}/security`);
  await tabTo(page, 'input[name=current]');
  await page.keyboard.type(account.password);
  await tabTo(page, 'main input[name=password]');
  account.password = `quite-new-${account.password}`;
  await page.keyboard.type(account.password);
  await page.keyboard.press('Enter');
  await page.getByText('Your password was changed.').waitFor();
});

test('keyboard alone: the dialogs take the focus, keep it, and give it back', async (t) => {
  const page = await s.visit(t);
  await keySignIn(page, s.node.ada);
  await page.goto(`${s.node.exeunt}/security`);
  await tabTo(page, '.panel .acct > summary');
  await page.keyboard.press('Enter');
  await tabTo(page, '.panel .acct a[href="/signout"]');
  await page.keyboard.press('Escape');
  assert.ok(await focused(page, '.panel .acct > summary'), 'Escape closes the menu, with the focus on what opened it');
  await tabTo(page, 'main a[href="/signout?scope=account"]');
  await page.keyboard.press('Enter');
  await page.locator('dialog#ask[open]').waitFor();
  assert.ok(await focused(page, 'dialog#ask button.danger'));
  for (let i = 0; i < 8; i++) {
    await page.keyboard.press('Tab');
    assert.ok(await page.evaluate(() => document.activeElement === document.body || Boolean(document.activeElement.closest('dialog#ask'))), 'the focus does not get behind it');
  }
  await page.keyboard.press('Escape');
  await dialogClosed(page, 'ask');
  assert.ok(await focused(page, 'main a[href="/signout?scope=account"]'), 'and returns');
  await page.keyboard.press('Enter');
  await page.locator('dialog#ask[open]').waitFor();
  await tabTo(page, 'dialog#ask [data-cancel]');
  await page.keyboard.press('Enter');
  await dialogClosed(page, 'ask');
  assert.ok(await focused(page, 'main a[href="/signout?scope=account"]'));
  // Opened from a menu, which has closed since.
  await tabTo(page, '.panel .acct > summary', 'Shift+Tab');
  await page.keyboard.press('Enter');
  await tabTo(page, '.panel .acct a[href="/signout"]');
  await page.keyboard.press('Enter');
  await page.locator('dialog#ask[open]').waitFor();
  await page.keyboard.press('Escape');
  await dialogClosed(page, 'ask');
  assert.ok(await focused(page, '.panel .acct > summary, .panel .acct a[href="/signout"]'), 'the focus is not lost with the menu');
  const before = (await s.node.sessions('ada')).active.length;
  await tabTo(page, '.panel .also > summary', 'Shift+Tab');
  await page.keyboard.press('Enter');
  await tabTo(page, '.panel .also a[href="/signout"]');
  await page.keyboard.press('Enter');
  await page.locator('dialog#ask[open]').waitFor();
  await arrived(page, '/signed-out', () => page.keyboard.press('Enter'));
  assert.equal((await s.node.sessions('ada')).active.length, before - 1);
});

test('keyboard alone: the drawer of a narrow window takes the focus and gives it back', async (t) => {
  const page = await s.visit(t, { viewport: { width: 600, height: 700 } });
  await keySignIn(page, s.node.ada);
  await tabTo(page, '[data-drawer]');
  await page.keyboard.press('Enter');
  await page.locator('dialog#drawer[open]').waitFor();
  assert.ok(await focused(page, 'dialog#drawer *'));
  await page.keyboard.press('Escape');
  await dialogClosed(page, 'drawer');
  assert.ok(await focused(page, '[data-drawer]'));
  await page.keyboard.press('Enter');
  await page.locator('dialog#drawer[open]').waitFor();
  await tabTo(page, 'dialog#drawer a[href="/signout"]');
  await page.keyboard.press('Enter');
  await page.locator('dialog#ask[open]').waitFor();
  assert.ok(await focused(page, 'dialog#ask button.danger'));
  await arrived(page, '/signed-out', () => page.keyboard.press('Enter'));
});
