// A browser whose extensions make reading fetch, EventSource, BroadcastChannel or the
// locks throw, while scripts run. Pages are shown as the server rendered them, hidden
// when they are left, and every sign-out works.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { stage } from './lib/stage.mjs';
import { signIn } from './lib/browser.mjs';
import { enterChirp, secrets } from './lib/chirp.mjs';
import { until } from './lib/wait.mjs';

const s = stage();

async function refusing(t) {
  const page = await s.visit(t);
  const errors = [];
  page.on('pageerror', (error) => errors.push(error));
  await page.addInitScript(() => {
    const refuse = () => { throw new DOMException('blocked', 'SecurityError'); };
    for (const name of ['fetch', 'EventSource', 'BroadcastChannel']) Object.defineProperty(globalThis, name, { get: refuse });
    Object.defineProperty(Navigator.prototype, 'locks', { get: refuse });
  });
  await signIn(page, s.node);
  return { page, errors };
}

const veiled = (page) => page.locator('html[data-exeunt-veil]');

/** As the browser says when a page is left and brought back. */
const leaveAndReturn = (page) => page.evaluate(() => {
  window.dispatchEvent(new Event('pagehide'));
  window.dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }));
});

test('[R4.1 R6.6] where reading fetch and its like throws, pages are shown, hidden when left, and can be signed out of', async (t) => {
  const { page, errors } = await refusing(t);
  await enterChirp(page, s.node);
  for (const [address, secret] of [[`${s.node.exeunt}/settings`, /@ada/], [`${s.node.chirp}/drafts`, new RegExp(secrets.draft)]]) {
    await page.goto(address);
    assert.match(await page.locator('body').innerText(), secret, 'the server has just rendered it');
    await leaveAndReturn(page);
    await veiled(page).waitFor();
    await page.getByText('We cannot reach the server').waitFor();
    assert.equal(await page.locator('main').isVisible(), false, `${address} is shown unchecked`);
  }
  await page.locator('.exeunt-veil').getByRole('link', { name: 'Sign out' }).click();
  await page.waitForURL(/\/signout/);
  await Promise.all([page.waitForURL('**/signed-out*'), page.click('main form[action="/signout"] button.danger')]);
  assert.equal((await s.node.sessions('ada')).ended[0]?.reason, 'signed_out');
  await page.goBack();
  await page.goBack();
  assert.doesNotMatch(await page.content(), new RegExp(secrets.draft));
  assert.deepEqual(errors, []);
});

test('[R1.3 R6.6] its links to sign out lead to the page that asks', async (t) => {
  const { page } = await refusing(t);
  // With or without a worker, through which a browser could be signed out without the server.
  await until('the worker is ready', () => page.evaluate(() => Boolean(navigator.serviceWorker.controller)), 120_000);
  await page.locator('#main a[data-signout]').first().click();
  await page.waitForURL('**/signout');
  await Promise.all([page.waitForURL('**/signed-out*'), page.click('main form[action="/signout"] button.danger')]);
  await page.getByRole('heading', { name: 'Signed out of this browser' }).waitFor();
});

test('[R6.6] the form of a one-time link sends its origin, for browsers without fetch metadata', async (t) => {
  const page = await s.visit(t);
  const { link } = await s.node.call('reset', { handle: 'grace' });
  await page.goto(link);
  await page.fill('input[name=password]', 'nine lanterns in the rain');
  const [post] = await Promise.all([page.waitForRequest((r) => r.method() === 'POST'), page.click('main form button.primary')]);
  await page.waitForURL(`${s.node.exeunt}/signin`);
  assert.equal((await post.allHeaders()).origin, s.node.exeunt);
});
