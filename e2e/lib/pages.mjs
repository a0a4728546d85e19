// Walks a browser through every page a person can see, in the states that
// matter, for the tests that look at all of them: reach, size, looks.
import { fillIn, signIn } from './browser.mjs';
import { enterChirp } from './chirp.mjs';
import { request } from './wait.mjs';
import { TOKEN } from './cookies.mjs';

/** The pages of somebody who is signed in, by address. */
export const inside = ['/', '/sessions', '/sessions/ended', '/security', '/security/app', '/security/passkeys', '/security/codes', '/review', '/secure', '/account/delete', '/settings', '/language', '/help', '/help?q=phone', '/help?q=zebra', '/menu', '/signout',
  '/signout?scope=others', '/signout?scope=account', '/apps', '/end_session', '/check',
  '/activity', '/activity?kind=sign_outs', '/activity?kind=changes'];

/** The pages that need nobody, by address. */
export const outside = ['/signin', '/signin?shared=1', '/signup', '/forgot', '/help', '/help?q=phone', '/help?q=zebra', '/signed-out', '/ended', '/check', '/locked', '/language'];

/** A request of an app that is not first-party, so that the person is asked. */
export const authorize = (node) => `/authorize?${new URLSearchParams({
  client_id: 'gazette', redirect_uri: `${node.gazette}/callback`, response_type: 'code', scope: 'openid profile', state: 'a-state-of-the-app',
  code_challenge: 'E9Melhoa2OwvFrEMTJGuCHaoeK1t8URWbuGJSstw-cM', code_challenge_method: 'S256',
})}`;

/**
 * Shows every page in turn and calls look(name) on each. The browser must hold
 * no sign-in; it holds none afterwards. Menus and details are opened where they
 * are; what only a script opens is in everyDialog.
 */
export async function everyPage(page, node, look) {
  await strangersPages(page, node, look);
  await signIn(page, node);
  await membersPages(page, node, look);
  await lastPages(page, node, look);
  await severalPages(page, node, look);
}

let accounts = 0;

/** The link of a mail about an unfamiliar sign-in, to a new account. */
async function unfamiliarLink(node) {
  const handle = `unfamiliar${accounts += 1}`;
  const [email, password] = [`${handle}@example.com`, 'seven herons at the weir'];
  await node.call('add', { handle, password, email });
  for (const app of ['one', 'two']) {
    const { status } = await request(`${node.exeunt}/api/v1/signin`, { method: 'POST',
      headers: { 'Content-Type': 'application/json', 'User-Agent': app }, body: JSON.stringify({ identifier: handle, password, label: app }) });
    if (status !== 201) throw new Error(`${app} is not signed in: ${status}`);
  }
  return (await node.mail(email)).links.find((l) => l.includes('/not-me/'));
}

async function strangersPages(page, node, look) {
  for (const path of outside) {
    await page.goto(node.exeunt + path);
    await look(`outside ${path}`);
  }
  await page.goto(`${node.exeunt}/signin`);
  await page.fill('input[name=identifier]', 'nobody_here');
  await page.fill('input[name=password]', 'not the password');
  await page.check('input[name=kind][value=kept]');
  await submit(page, 'main form');
  await look('sign-in refused');
  await page.goto(`${node.exeunt}/signup`);
  await page.fill('input[name=handle]', 'somebody');
  await page.fill('input[name=password]', 'password1');
  await page.check('input[name=kind][value=kept]');
  await submit(page, 'main form');
  await look('sign-up refused');
  await page.goto(`${node.exeunt}/setup/spent-or-never-made`);
  await look('a spent link');
  const { link } = await node.call('reset', { handle: 'grace' });
  await page.goto(link);
  await look('a new password');
  await page.fill('input[name=password]', 'short');
  await submit(page, 'main form');
  await look('a new password refused');
  const mailed = await unfamiliarLink(node);
  await page.goto(mailed);
  await look('an unfamiliar sign-in');
  await submit(page, 'main form:has(.danger)');
  await look('an unfamiliar sign-in disowned');
  await page.goto(`${node.exeunt}/not-me/never-made`);
  await look('a link that asks nothing any more');
  await page.goto(`${node.exeunt}/no-such-page`);
  await look('outside not found');
}

async function membersPages(page, node, look) {
  for (const path of [...inside, authorize(node), '/signin', '/authorize?client_id=nobody', '/no-such-page']) {
    await page.goto(node.exeunt + path);
    await openDetails(page);
    await look(`inside ${path.replace(/\?client_id=gazette.*/, '')}`);
  }
  await page.goto(`${node.exeunt}/security`);
  await page.fill('input[name=current]', 'not the password');
  await page.fill('input[name=password]', 'rather-long-and-new-8');
  await submit(page, 'form[action="/security/password"]');
  await look('password refused');
  await page.goto(`${node.exeunt}/settings`);
  await page.fill('input[name=email]', 'ada at example');
  await page.locator('form[action="/settings/profile"]').evaluate((form) => { form.noValidate = true; }).catch(() => {});
  await submit(page, 'form[action="/settings/profile"]');
  await look('profile refused');
  await page.goto(`${node.exeunt}/settings`);
  await submit(page, 'form[action="/settings/profile"]');
  await look('profile saved');
  if (await openMenu(page, '.panel .also')) await look('More open');
  if (await openMenu(page, '.panel .acct')) await look('account menu open');
}

async function openDetails(page) {
  const closed = page.locator('main details:not([open]) > summary:visible');
  for (let left = await closed.count(); left > 0; left--) await closed.first().click();
}

async function openMenu(page, menu) {
  const summary = page.locator(`${menu} > summary`);
  if (!await summary.isVisible()) return false;
  await summary.click();
  await page.locator(`${menu}[open]`).waitFor();
  return true;
}

async function lastPages(page, node, look) {
  await page.goto(`${node.exeunt}/signout`);
  await submit(page, 'main form', 'button.danger');
  await look('signed out');
  await page.goto(new URL(await page.locator('main .cta a[href^="/receipts/"]').getAttribute('href'), node.exeunt).href);
  await look('a receipt');
  await page.goto(new URL(await page.locator('main a[href$="/check"]').getAttribute('href'), node.exeunt).href);
  await look('a sign-out checked');
  await signIn(page, node, node.ada, 'shared');
  await page.goto(`${node.exeunt}/sessions`);
  await look('sessions on a shared computer');
  const stale = await page.locator('#main form[action^="/sessions/"] input[name=session]').first().inputValue();
  await page.goto(`${node.exeunt}/signout`);
  await submit(page, 'main form', 'button.danger');
  await look('signed out of a shared computer');
  await signIn(page, node);
  await page.goto(`${node.exeunt}/settings`);
  await setHidden(page, 'form[action="/settings/display"] input[name=session]', stale);
  await submit(page, 'form[action="/settings/display"]');
  await look('another sign-in');
  await page.goto('about:blank'); // an open page would notice by itself
  const { handle } = node.ada;
  await node.call('end', { handle, session: await newest(node, handle) });
  await page.goto(`${node.exeunt}/sessions`);
  await look('ended by an administrator');
  const url = node.exeunt.replace('http:', 'https:'); // Secure cookies can be put only there
  await page.context().addCookies([{ name: TOKEN, value: 'exs_garbage', url, secure: true, httpOnly: true }]);
  await page.goto(`${node.exeunt}/sessions`);
  await look('a damaged sign-in');
  await page.context().addCookies([{ name: TOKEN, value: 'exs_garbage', url, secure: true, httpOnly: true }]);
  await page.goto(`${node.exeunt}/check`);
  await page.locator('form[action="/check/clear"]').waitFor();
  await look('a damaged sign-in, checked');
  await page.context().clearCookies();
}

/** Pages of a browser in which several accounts are signed in. */
async function severalPages(page, node, look) {
  await signIn(page, node);
  await page.goto(`${node.exeunt}/signin`);
  await look('sign-in of another account');
  await Promise.all([page.waitForURL(`${node.exeunt}/`), fillIn(page, node.grace)]);
  if (await openMenu(page, '.panel .acct')) await look('account menu of two accounts');
  for (const path of ['/accounts', '/menu', '/signout', `/authorize/choose${new URL(node.exeunt + authorize(node)).search}`, '/signout/all']) {
    await page.goto(node.exeunt + path);
    await openDetails(page);
    await look(`two accounts ${path.replace(/\?.*/, '')}`);
  }
  await submit(page, 'main form', 'button.danger');
  await look('signed out of all accounts');
  await page.context().clearCookies();
}

/** The account's session that began last. */
export async function newest(node, handle) {
  const { active } = await node.sessions(handle);
  return active.reduce((a, b) => (a.started > b.started ? a : b)).id;
}

/** Presses a form's button and waits for the page that answers. */
export async function submit(page, form, button = 'button:not([type=button])') {
  await Promise.all([page.waitForEvent('domcontentloaded'), page.locator(`${form} ${button}`).first().click()]);
  await page.waitForLoadState('load');
}

/** Writes a hidden field; through the debugger, so without page script too. */
async function setHidden(page, selector, value) {
  await page.locator(selector).evaluate((field, v) => { field.value = v; }, value);
}

/** Waits until a dialog is closed and its step of the history taken back, which is a moment later. */
export async function dialogClosed(page, id) {
  await page.waitForFunction((name) => !document.getElementById(name).open && !history.state?.dialog, id);
}

/** What only a script opens: look(name) on each, from the home page. */
export async function everyDialog(page, node, look) {
  await page.goto(`${node.exeunt}/sessions`);
  if (await page.locator('[data-drawer]').isVisible()) {
    await page.click('[data-drawer]');
    await page.locator('dialog#drawer[open]').waitFor();
    await look('drawer');
    await page.keyboard.press('Escape');
    await dialogClosed(page, 'drawer');
  }
  await page.locator('#main a[data-signout]').first().click();
  await page.locator('dialog#ask[open]').waitFor();
  await page.click('dialog#ask details > summary');
  await look('confirmation');
  await page.keyboard.press('Escape');
  await dialogClosed(page, 'ask');
  await page.evaluate(() => {
    document.getElementById('idle-when').textContent = 'You will be signed out in 12 seconds.';
    document.getElementById('idle').showModal();
  });
  await look('idle warning');
  await page.evaluate(() => document.getElementById('idle').close());
  await page.context().setOffline(true);
  await page.evaluate(() => { window.dispatchEvent(new Event('pagehide')); window.dispatchEvent(new Event('online')); });
  await page.getByText('We cannot reach the server').waitFor();
  await look('veil');
  await page.context().setOffline(false);
}

/** Chirp's pages: look(name) on each. The browser must be signed in, and not in Chirp. */
export async function chirpPages(page, node, look) {
  await page.goto(node.chirp);
  await look('Chirp, nobody');
  await enterChirp(page, node);
  for (const path of ['/', '/drafts', '/messages', '/messages/grace', '/no-such-page']) {
    await page.goto(node.chirp + path);
    await look(`Chirp ${path}`);
  }
  for (const path of ['/apps', '/end_session?client_id=chirp']) {
    await page.goto(node.exeunt + path);
    await openDetails(page);
    await look(`${path}, with an app`);
  }
  await page.goto(node.chirp);
  await page.click('.acct > summary');
  await look('Chirp, account menu');
  await page.getByRole('link', { name: 'Sign out of this browser' }).click();
  await page.waitForURL(`${node.exeunt}/signout*`);
  await look('asked from Chirp');
}
