// Links by mail, from a real mail server: an address is confirmed, a forgotten password is set anew, a change of the address
// is undone.
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { desktop, fillIn, phone, shell, signIn } from './lib/browser.mjs';
import { submit } from './lib/pages.mjs';
import { both, stage } from './lib/stage.mjs';
import { totp } from './lib/totp.mjs';

const s = stage({}, shell);
const folder = fileURLToPath(new URL('./out/mail-links/', import.meta.url));
const word = 'a slow boat past the lantern';
const next = 'nine herons in the weir';
const form = 'main form:not([action])';
const main = (page) => page.locator('main').innerText();
const says = async (page, ...texts) => { for (const t of texts) assert.match(await main(page), t); };

/** Keeps a picture of the page, to be looked at. */
async function look(page, script, name) {
  if (!process.env.EXEUNT_SCREENSHOT) return;
  await mkdir(folder, { recursive: true });
  await page.screenshot({ path: `${folder}${name} ${script ? 'script' : 'plain'}.png`, fullPage: true });
}

const visit = (t, script, options = {}) => s.visit(t, { ...desktop, colorScheme: 'light', ...options, javaScriptEnabled: script });

async function signUp(page, handle) {
  await page.goto(`${s.node.exeunt}/signup`);
  await page.fill('input[name=handle]', handle);
  await page.fill('input[name=email]', `${handle}@example.com`);
  await page.fill('input[name=password]', word);
  await page.check('input[name=kind][value=kept]');
  await Promise.all([page.waitForURL(`${s.node.exeunt}/`), page.click('main form button.primary')]);
}

/** Signs up and confirms the address. */
async function confirmed(page, handle) {
  await signUp(page, handle);
  const mail = await s.node.mail(`${handle}@example.com`);
  await page.goto(mail.links[0]);
  await submit(page, form);
  return mail;
}

async function forgot(page, who) {
  await page.goto(`${s.node.exeunt}/signin`);
  await page.getByRole('link', { name: 'Forgot your password?' }).click();
  await page.fill('input[name=identifier]', who);
  await submit(page, 'main form[action="/forgot"]');
  await says(page, /a mail is on its way/);
}

both(test, 'a new account\'s address is confirmed on a phone that is not signed in, and then signs in', async (t, script) => {
  const [page, mobile] = [await visit(t, script), await visit(t, script, { ...phone, colorScheme: 'dark' })];
  const handle = script ? 'confirm1' : 'confirm2';
  await signUp(page, handle);
  const mail = await s.node.mail(`${handle}@example.com`);
  await page.goto(`${s.node.exeunt}/settings`);
  await says(page, /Confirm your e-mail address/, new RegExp(`mail that we sent to ${handle}@example.com`));
  await look(page, script, 'settings unconfirmed');
  await page.getByRole('button', { name: 'Send the mail again' }).click();
  await page.getByText('The mail is on its way').waitFor();
  await s.node.mail(`${handle}@example.com`, { after: mail });
  await mobile.goto(mail.links[0]);
  await says(mobile, new RegExp(`${handle}@example.com`), new RegExp(`@${handle}`));
  await look(mobile, script, 'confirm phone');
  assert.equal((await s.node.call('account', { handle })).confirmed, false, 'looking confirms nothing');
  await submit(mobile, form);
  await says(mobile, /The address is confirmed/);
  await look(mobile, script, 'confirmed phone');
  await mobile.goto(`${s.node.exeunt}/signin`);
  await Promise.all([mobile.waitForURL(`${s.node.exeunt}/`), fillIn(mobile, { handle: `${handle}@example.com`, password: word })]);
  await page.goto(`${s.node.exeunt}/settings`);
  await says(page, /was confirmed (just now|\d+ (second|minute))/);
  assert.doesNotMatch(await main(page), /Send the mail again/);
});

both(test, '[R4.4] a forgotten password: a link by mail sets a new one, every session ends, and the second step is still asked for', async (t, script) => {
  const [page, mobile] = [await visit(t, script), await visit(t, script, { ...phone, colorScheme: 'dark' })];
  const handle = script ? 'forgot1' : 'forgot2';
  const first = await confirmed(page, handle);
  await page.goto(`${s.node.exeunt}/security/app`);
  await page.locator('details summary', { hasText: 'type this key' }).click();
  const secret = await page.locator('ol.steps code').innerText();
  const now = async () => Date.parse((await s.node.call('now')).now);
  await page.fill('input[name=app_code]', totp(secret, await now()));
  await submit(page, 'main form', 'button.primary');
  await s.node.call('advance', { seconds: 60 });

  await forgot(mobile, 'nobody-at-all');
  await look(mobile, script, 'forgot sent phone');
  const unknown = await mobile.content();
  await forgot(mobile, handle);
  assert.equal(await mobile.content(), unknown, 'the answer is the same whether or not there is such an account');
  const mail = await s.node.mail(`${handle}@example.com`, { after: first, subject: /Set a new password/ });
  await mobile.goto(`${s.node.exeunt}/forgot`);
  await look(mobile, script, 'forgot phone');
  await mobile.goto(mail.links[0]);
  await look(mobile, script, 'reset phone');
  await mobile.fill('input[name=password]', next);
  await submit(mobile, form, 'button.primary');
  await says(mobile, /Your new password is set/);
  await s.node.mail(`${handle}@example.com`, { subject: /was changed/ });
  await page.goto(`${s.node.exeunt}/`);
  assert.match(page.url(), /\/(ended|signin)/, 'every session has ended');
  await fillIn(mobile, { handle, password: next });
  await mobile.getByText('Your password is right').waitFor();
  await mobile.locator('main form[action="/signin/code"] input[name=code]').first().fill(totp(secret, await now()));
  await Promise.all([mobile.waitForURL(`${s.node.exeunt}/`), mobile.locator('main form[action="/signin/code"] button').first().click()]);
  await mobile.goto(mail.links[0]);
  await says(mobile, /This link no longer works/);
  await look(mobile, script, 'link spent phone');
  await mobile.getByRole('link', { name: 'Send a link' }).click();
  await mobile.waitForURL('**/forgot');
});

both(test, 'another address: pending until it is confirmed, and undone from the old mailbox with everything that came with it', async (t, script) => {
  const [thief, owner] = [await visit(t, script), await visit(t, script, { ...phone, colorScheme: 'dark' })];
  const handle = script ? 'change1' : 'change2';
  const [old, stolen] = [`${handle}@example.com`, `mallory-${handle}@example.com`];
  await confirmed(thief, handle);
  await thief.goto(`${s.node.exeunt}/settings`);
  await thief.fill('input[name=email]', stolen);
  await thief.fill('input[name=current]', word);
  await submit(thief, 'form[action="/settings/profile"]');
  await says(thief, /replaces the present address once you open the link/);
  await look(thief, script, 'settings pending');
  assert.deepEqual((({ email, confirmed: c, pending }) => [email, c, pending])(await s.node.call('account', { handle })), [old, true, stolen]);
  const mail = await s.node.mail(stolen);
  await thief.goto(mail.links[0]);
  await look(thief, script, 'confirm replaces');
  await submit(thief, form);
  await says(thief, /The address is confirmed/);

  const [undo] = (await s.node.mail(old, { subject: /was changed/ })).links;
  await owner.goto(undo);
  await says(owner, new RegExp(old), new RegExp(stolen), /Every session of the account ends/);
  await look(owner, script, 'undo phone');
  await submit(owner, form);
  assert.match(owner.url(), /\/reset\/exi_/);
  await thief.goto(`${s.node.exeunt}/`);
  assert.match(thief.url(), /\/(ended|signin)/);
  await s.node.mail(stolen, { subject: /was undone/ });
  await owner.goto(undo);
  await says(owner, /The change was undone/);
  await look(owner, script, 'undone phone');
  await submit(owner, form);
  await owner.fill('input[name=password]', next);
  await submit(owner, form, 'button.primary');
  await Promise.all([owner.waitForURL(`${s.node.exeunt}/`), fillIn(owner, { handle: old, password: next })]);
  await owner.goto(`${s.node.exeunt}/activity`);
  await says(owner, /A change of the e-mail address was undone/, /Another e-mail address was entered/);
  await owner.goto(`${s.node.exeunt}/settings`);
  assert.equal(await owner.inputValue('input[name=email]'), old);
});

test('a change of mind: the present address is kept', async (t) => {
  const page = await visit(t, true);
  await confirmed(page, 'mind');
  await page.goto(`${s.node.exeunt}/settings`);
  await page.fill('input[name=email]', 'other-mind@example.com');
  await page.fill('input[name=current]', word);
  await submit(page, 'form[action="/settings/profile"]');
  await page.getByRole('button', { name: 'Keep the present address' }).click();
  await page.getByText('The new address was discarded').waitFor();
  await page.goto((await s.node.mail('other-mind@example.com')).links[0]);
  await says(page, /This link no longer works/);
  const other = await visit(t, true);
  await signIn(other, s.node, { handle: 'mind@example.com', password: word });
});
