// Several accounts in one browser: added, switched, signed out of alone and together.
import test from 'node:test';
import assert from 'node:assert/strict';
import { fillIn, phone, desktop, signIn } from './lib/browser.mjs';
import { both, stage } from './lib/stage.mjs';
import { request, until } from './lib/wait.mjs';

const s = stage();
const minutes = 120_000;

const reasons = async () => {
  const all = [];
  for (const { handle } of [s.node.ada, s.node.grace]) all.push(...(await s.node.sessions(handle)).ended.map((one) => `${handle} ${one.reason}`));
  return all;
};

/** Signs both in, grace last. */
async function two(t, options = desktop) {
  const page = await s.visit(t, options);
  await signIn(page, s.node, s.node.ada);
  await page.goto(`${s.node.exeunt}/signin`);
  assert.match(await page.locator('main').innerText(), /You are signed in as @ada in this browser, and stay so/);
  await Promise.all([page.waitForURL(`${s.node.exeunt}/`), fillIn(page, s.node.grace)]);
  return page;
}

const active = (page) => page.locator('.acct .who').first().innerText();
const openMenu = async (page) => { if (!await page.locator('.acct[open]').count()) await page.click('.acct > summary'); };

both(test, '[R8.1] an account is added, and switched to in the menu and in the confirmation', async (t, script) => {
  const before = (await reasons()).length;
  const page = await two(t, { ...desktop, javaScriptEnabled: script });
  assert.match(await active(page), /@grace/);
  assert.match(await page.title(), /@grace/);
  const icon = await page.getAttribute('link[rel=icon]', 'href');
  assert.equal((await request(s.node.exeunt + icon)).headers['content-type'], 'image/svg+xml');
  await openMenu(page);
  await Promise.all([page.waitForURL(`${s.node.exeunt}/`), page.click('.menu button[form=switch]')]);
  await until('ada is active', async () => /@ada/.test(await active(page)), minutes);
  assert.notEqual(await page.getAttribute('link[rel=icon]', 'href'), icon);

  await openMenu(page);
  await page.click('.menu a[href="/signout"]');
  const box = script ? page.locator('dialog#ask[open]') : page.locator('main');
  await box.getByRole('heading', { name: 'Sign out of @ada on this browser?' }).waitFor();
  await Promise.all([page.waitForURL(`${s.node.exeunt}/`), box.locator('button[form=switch]').click()]);
  await until('grace is active', async () => /@grace/.test(await active(page)), minutes);
  assert.equal((await reasons()).length, before, 'nothing has ended');
});

both(test, '[R8.1] who has no second account yet creates one beside the first', async (t, script) => {
  const page = await s.visit(t, { ...desktop, javaScriptEnabled: script });
  await signIn(page, s.node, s.node.ada);
  const before = (await reasons()).length;
  const handle = `second-${script ? 'with' : 'without'}`;
  await openMenu(page);
  await Promise.all([page.waitForURL('**/signin'), page.click('.menu a[href="/signin"]')]);
  await page.getByRole('heading', { name: 'Add an account' }).waitFor();
  await Promise.all([page.waitForURL('**/signup'), page.click('main a[href="/signup"]')]);
  await page.fill('input[name=handle]', handle);
  await page.fill('input[name=password]', 'a long walk by the sea wall');
  await page.check('input[name=kind][value=kept]');
  await Promise.all([page.waitForURL(`${s.node.exeunt}/`), page.click('main form button.primary')]);
  await until('the new account is active', async () => (await active(page)).includes(`@${handle}`), minutes);
  await openMenu(page);
  assert.match(await page.locator('.menu button[form=switch]').innerText(), /@ada/);
  assert.equal((await reasons()).length, before, 'nothing has ended');
});

test('[R8.1] on a phone the drawer switches', async (t) => {
  const page = await two(t, phone);
  await page.click('[data-drawer]');
  const drawer = page.locator('dialog#drawer[open]');
  await Promise.all([page.waitForURL(`${s.node.exeunt}/`), drawer.locator('button[form=switch]').click()]);
  await until('ada is active', async () => /@ada/.test(await page.title()), minutes);
});

test('[R8.2] signing out of one leaves the tabs of the other as they are', async (t) => {
  const page = await two(t);
  const context = page.context();
  const others = [];
  for (const path of ['/sessions', '/settings', '/help']) {
    const tab = await context.newPage();
    await tab.goto(s.node.exeunt + path);
    await tab.evaluate(() => {
      window.veiled = 0;
      new MutationObserver(() => { window.veiled += document.documentElement.hasAttribute('data-exeunt-veil') ? 1 : 0; })
        .observe(document.documentElement, { attributes: true });
    });
    others.push(tab);
  }
  const grace = await page.locator('body').getAttribute('data-session');
  await openMenu(page);
  await Promise.all([page.waitForURL(`${s.node.exeunt}/`), page.click('.menu button[form=switch]')]);
  const ada = await page.locator('body').getAttribute('data-session');
  const asked = others.map((tab) => tab.waitForResponse(`**/session/state?session=${grace}`));
  await page.goto(`${s.node.exeunt}/signout`);
  await Promise.all([page.waitForURL('**/signed-out'), page.click('main form[action="/signout"] button.danger')]);
  await page.getByRole('heading', { name: 'Signed out of one account' }).waitFor();
  await page.getByText('@grace is still signed in').waitFor();
  assert.equal((await s.node.sessions('ada')).ended.find((one) => one.id === ada)?.reason, 'signed_out');
  for (const tab of others) await tab.evaluate(() => window.dispatchEvent(new Event('focus')));
  await Promise.all(asked);
  for (const tab of others) assert.deepEqual(await tab.evaluate(() => [window.veiled, location.pathname !== '/ended']), [0, true], tab.url());
  await others[1].reload();
  assert.match(await others[1].title(), /Settings/);
});

both(test, '[R8.2] all are signed out together', async (t, script) => {
  const page = await two(t, { ...desktop, javaScriptEnabled: script });
  const [before] = [(await reasons()).filter((one) => /signed_out/.test(one)).length];
  await openMenu(page);
  await page.click('.menu a[href="/signout/all"]');
  const box = script ? page.locator('dialog#ask[open]') : page.locator('main');
  await box.getByRole('heading', { name: 'Sign out of all 2 accounts in this browser?' }).waitFor();
  await Promise.all([page.waitForURL('**/signed-out'), box.locator('button.danger').click()]);
  await page.getByRole('heading', { name: 'Signed out of all 2 accounts in this browser' }).waitFor();
  assert.doesNotMatch(await page.locator('body').innerText(), /ada|grace/i);
  assert.equal((await reasons()).filter((one) => /signed_out/.test(one)).length, before + 2);
  const names = (await page.context().cookies()).map((c) => c.name).filter((name) => /exeunt-(ses_|active|used)/.test(name));
  assert.deepEqual(names, []);
});

both(test, '[R4.3 R8.1] a form in a tab of an account that is not active does nothing, and says whose it is', async (t, script) => {
  const page = await two(t, { ...desktop, javaScriptEnabled: script });
  const tab = await page.context().newPage();
  await tab.goto(`${s.node.exeunt}/settings`);
  await openMenu(page);
  await Promise.all([page.waitForURL(`${s.node.exeunt}/`), page.click('.menu button[form=switch]')]);
  await until('ada is active', async () => /@ada/.test(await active(page)), minutes);
  await tab.fill('form[action="/settings/profile"] input[name=name]', 'Somebody Else');
  await tab.click('form[action="/settings/profile"] button.primary, form[action="/settings/profile"] .actions button');
  await tab.getByRole('heading', { name: 'This tab belongs to @grace' }).waitFor();
  await Promise.all([tab.waitForURL('**/settings'), tab.click('main form[action="/accounts/switch"] button.primary')]);
  assert.doesNotMatch(await tab.content(), /Somebody Else/);
  await page.reload();
  assert.doesNotMatch(await page.content(), /Somebody Else/);
  assert.match(await active(page), /@grace/);
});
