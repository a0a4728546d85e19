// A real extension that blocks every script and every fetch, as security
// software does. JavaScript is on, so nothing meant for browsers without it
// helps. Signing in, signing out and ending another session are form posts.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Node } from './lib/node.mjs';
import { desktop, profile, signIn } from './lib/browser.mjs';
import { ours } from './lib/cookies.mjs';
import { enterChirp, secrets } from './lib/chirp.mjs';

const extension = join(dirname(fileURLToPath(import.meta.url)), 'extension');

let node, held, page, blocked;
before(async () => {
  node = await Node.start();
  held = await profile({ ...desktop, extension });
  page = await held.context.newPage();
  blocked = [];
  held.context.on('requestfailed', (r) => { if (/BLOCKED_BY_CLIENT/.test(r.failure()?.errorText ?? '')) blocked.push(r.resourceType()); });
});
after(async () => { await held?.context.close(); await held?.remove(); await node?.stop(); });

test('control: the extension is there, and blocks scripts and fetches', async () => {
  await page.goto(`${node.exeunt}/signin`);
  assert.ok(blocked.includes('script'), `blocked: ${blocked}`);
  assert.equal(await page.evaluate(() => fetch('/session/state').then(() => 'answered', () => 'blocked')), 'blocked');
  assert.equal(await page.evaluate(() => 1 + 1), 2);
});

test('[R6.6] signing in and signing out work with scripts and fetches blocked by an extension', async () => {
  await signIn(page, node);
  const session = await page.locator('body').getAttribute('data-session');
  await page.goto(`${node.exeunt}/sessions`);
  await page.getByRole('heading', { name: 'Sessions' }).waitFor();
  // By the links and buttons of the page, not by addresses.
  await page.locator('main a[href="/signout"]').first().click();
  await page.waitForURL('**/signout');
  await page.getByRole('heading', { name: /Sign out of @ada/ }).waitFor();
  await Promise.all([page.waitForURL('**/signed-out*'), page.click('main form[action="/signout"] button.danger')]);
  await page.getByRole('heading', { name: 'Signed out of this browser' }).waitFor();
  assert.deepEqual((await ours(held.context)).filter((n) => n !== '__Host-exeunt-notice'), []);
  assert.equal((await node.sessions('ada')).ended.find((s) => s.id === session)?.reason, 'signed_out');
  await page.goto(`${node.exeunt}/sessions`);
  assert.equal(new URL(page.url()).pathname, '/signin');
});

test('[R6.6 R5.1] ending another session, all others, and everywhere work too', async () => {
  await signIn(page, node);
  await page.goto(`${node.exeunt}/sessions`);
  const before = (await node.sessions('ada')).active.length;
  const row = page.locator('form[action^="/sessions/ses_"]').first();
  const other = (await row.getAttribute('action')).split('/')[2];
  await Promise.all([page.waitForEvent('load'), row.locator('button').click()]);
  const now = await node.sessions('ada');
  assert.equal(now.active.length, before - 1);
  assert.ok(now.ended.some((s) => s.id === other));
  await page.goto(`${node.exeunt}/sessions`);
  await page.goto(`${node.exeunt}/signout?scope=others`);
  await Promise.all([page.waitForEvent('load'), page.click('main form[action="/sessions/end"] button.danger')]);
  assert.equal((await node.sessions('ada')).active.length, 1);
  await page.goto(`${node.exeunt}/signout?scope=account`);
  await Promise.all([page.waitForURL('**/signed-out*'), page.click('main form[action="/signout"] button.danger')]);
  assert.equal((await node.sessions('ada')).active.length, 0);
});

test('[R6.6 R4.3] Chirp, too, is entered and left, and refuses a post after the end', async () => {
  await signIn(page, node);
  const session = await page.locator('body').getAttribute('data-session');
  await enterChirp(page, node);
  await page.goto(`${node.chirp}/drafts`);
  assert.match(await page.content(), new RegExp(secrets.draft));
  await page.goto(`${node.chirp}/`);
  await page.fill('#text', 'Typed behind the extension');
  await node.call('end', { handle: 'ada', session });
  const [answer] = await Promise.all([page.waitForResponse((r) => r.request().method() === 'POST'), page.click('form[action="/posts"] button.primary')]);
  assert.equal(answer.status(), 401);
  await page.getByText('Nothing was posted').waitFor();
  await signIn(page, node);
  await enterChirp(page, node);
  assert.doesNotMatch(await page.content(), /Typed behind the extension/);
  await page.goto(`${node.chirp}/exeunt/sign-out`);
  await Promise.all([page.waitForURL('**/signed-out*'), page.click('main form[action="/signout"] button.danger')]);
  await page.goto(`${node.chirp}/drafts`);
  assert.doesNotMatch(await page.content(), new RegExp(secrets.draft));
});
