// Passkeys in Chromium, whose virtual authenticator holds them (WebAuthn Level 3, section 11).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { desktop, fillIn, launch, signIn } from './lib/browser.mjs';
import { stage } from './lib/stage.mjs';
import { until } from './lib/wait.mjs';

const s = stage({}, launch);

const main = (page) => page.locator('main').innerText();

let made = 0;
async function account() {
  made += 1;
  const who = { handle: `key_${made}`, password: 'a slow boat past the lantern' };
  await s.node.call('add', who);
  return who;
}

/** A page with an authenticator that verifies its user by itself. */
async function withAuthenticator(t, more = {}) {
  const page = await s.visit(t, desktop);
  const cdp = await page.context().newCDPSession(page);
  await cdp.send('WebAuthn.enable', { enableUI: false });
  const { authenticatorId } = await cdp.send('WebAuthn.addVirtualAuthenticator', { options: {
    protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true,
    automaticPresenceSimulation: true, ...more } });
  const send = (verb, args = {}) => cdp.send(`WebAuthn.${verb}`, { authenticatorId, ...args });
  return { page, send, credentials: async () => (await send('getCredentials')).credentials };
}

async function addPasskey(page, name = '') {
  await page.goto(`${s.node.exeunt}/security/passkeys`);
  await page.fill('input[name=name]', name);
  await page.getByRole('button', { name: 'Make a passkey' }).click();
  await page.waitForURL(/\/security(\/codes)?$/);
  if (page.url().endsWith('/codes')) await page.getByRole('button', { name: 'I have saved them' }).click();
}

/** Signs out without the browser's own signing in again. */
async function leave(page) {
  await page.goto(`${s.node.exeunt}/signout`);
  await page.click('main form[action="/signout"] button.danger');
  await page.waitForURL('**/signed-out*');
}

test('[R4.4] a passkey is added, and signs in by the field or by the button', async (t) => {
  const who = await account();
  const { page, send, credentials } = await withAuthenticator(t);
  await signIn(page, s.node, who);
  await page.goto(`${s.node.exeunt}/security/passkeys`);
  assert.match(await main(page), /signs you in by itself/);
  await addPasskey(page, 'My laptop');
  await page.goto(`${s.node.exeunt}/security`);
  assert.match(await main(page), /My laptop[\s\S]*not used yet/);
  assert.equal((await credentials()).length, 1);

  // The browser offers it in the field, and nobody presses anything: here the authenticator answers at once.
  await leave(page);
  await page.goto(`${s.node.exeunt}/signin?return=/security`);
  await page.waitForURL(`${s.node.exeunt}/security`); // the device was kept the last time, so nothing is left to choose
  assert.match(await main(page), /last used [\s\S]* in Chrom/);

  // By the button, while the browser waits for somebody to choose it in the field.
  await send('setAutomaticPresenceSimulation', { enabled: false });
  await leave(page);
  await page.context().clearCookies();
  await page.goto(`${s.node.exeunt}/signin`);
  await page.check('input[name=kind][value=shared]');
  await send('setAutomaticPresenceSimulation', { enabled: true });
  await page.getByRole('button', { name: 'Sign in with a passkey' }).click();
  await page.waitForURL(`${s.node.exeunt}/`);
  const [active] = (await s.node.sessions(who.handle)).active;
  assert.equal(active.kind, 'shared');
});

test('a passkey is the second step after the password, and one that was declined can be tried again', async (t) => {
  const who = await account();
  const { page, send } = await withAuthenticator(t);
  await signIn(page, s.node, who);
  await addPasskey(page);
  await leave(page);
  await send('setAutomaticPresenceSimulation', { enabled: false });
  await page.goto(`${s.node.exeunt}/signin`);
  await fillIn(page, who);
  await page.getByText('Your password is right').waitFor();
  await send('setUserVerified', { isUserVerified: false });
  await send('setAutomaticPresenceSimulation', { enabled: true });
  await page.getByRole('button', { name: 'Use a passkey' }).click();
  await page.getByText('The passkey was not used').waitFor();
  await send('setUserVerified', { isUserVerified: true });
  await page.getByRole('button', { name: 'Use a passkey' }).click();
  await page.waitForURL(`${s.node.exeunt}/`);
});

test('a form asks for a passkey instead of the password, loses nothing that was typed, and then asks no more', async (t) => {
  const who = await account();
  const { page, credentials } = await withAuthenticator(t);
  await signIn(page, s.node, who);
  await addPasskey(page);
  await s.node.advance(660);
  await page.goto(`${s.node.exeunt}/security`);
  await page.getByRole('link', { name: /^Remove / }).click();
  await page.getByRole('button', { name: 'Confirm with a passkey' }).waitFor();
  assert.equal(await page.locator('input[name=current]').isVisible(), false);
  await page.getByRole('button', { name: 'Type instead' }).click();
  assert.equal(await page.locator('input[name=current]').isVisible(), true);

  // Its address asks for the password in any case; what else is needed, the passkey proves.
  await page.goto(`${s.node.exeunt}/settings`);
  await page.fill('input[name=name]', 'Ada by the weir');
  await page.fill('input[name=email]', 'ada.weir@example.com');
  await page.fill('input[name=current]', who.password);
  await page.getByRole('button', { name: 'Confirm with a passkey' }).click();
  await page.getByText('Saved').waitFor();
  assert.equal((await s.node.call('account', { handle: who.handle })).name, 'Ada by the weir');

  // The proof is young now: renaming and removing ask for nothing.
  await page.goto(`${s.node.exeunt}/security`);
  await page.getByRole('link', { name: /^Rename / }).click();
  await page.fill('input[name=name]', 'Key ring');
  await page.getByRole('button', { name: 'Save the name' }).click();
  await page.getByText('The name was changed').waitFor();
  await page.getByRole('link', { name: 'Remove Key ring' }).click();
  assert.equal(await page.getByRole('button', { name: 'Confirm with a passkey' }).count(), 0);
  await page.getByRole('button', { name: 'Remove it' }).click();
  await page.getByText('It was removed').waitFor();
  // The browser was told, and has forgotten it.
  await until('the authenticator has forgotten the passkey', async () => (await credentials()).length === 0);
});

test('a form with a proof and a new passkey asks for both, one after the other; the same device is not added twice', async (t) => {
  const who = await account();
  const { page } = await withAuthenticator(t);
  await signIn(page, s.node, who);
  await addPasskey(page, 'First');
  await s.node.advance(660);
  await page.goto(`${s.node.exeunt}/security/passkeys`);
  await page.fill('input[name=name]', 'Second');
  await page.getByRole('button', { name: 'Make a passkey' }).click();
  await page.getByText('already has a passkey of your account').waitFor();
  assert.equal(await page.inputValue('input[name=name]'), 'Second');
  const other = await page.context().newCDPSession(page);
  await other.send('WebAuthn.enable', { enableUI: false });
  await other.send('WebAuthn.addVirtualAuthenticator', { options: { protocol: 'ctap2', transport: 'usb', hasResidentKey: true,
    hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true } });
  await page.getByRole('button', { name: 'Make a passkey' }).click();
  await page.waitForURL('**/security');
  assert.match(await main(page), /Second/);
});

test('a passkey that the site does not know any more is refused with another way, and the browser is told', async (t) => {
  const who = await account();
  const { page, credentials } = await withAuthenticator(t);
  await signIn(page, s.node, who);
  await addPasskey(page);
  await s.node.call('drop_factors', { handle: who.handle });
  await page.waitForURL('**/ended*'); // the page has noticed, and leads nowhere else any more
  await page.goto(`${s.node.exeunt}/signin`);
  await page.getByText('This passkey is not registered here').waitFor();
  await until('the authenticator has forgotten the passkey', async () => (await credentials()).length === 0);
  await page.goto(`${s.node.exeunt}/signin`);
  await fillIn(page, who);
  await page.waitForURL(`${s.node.exeunt}/`);
});

test('without JavaScript everything else works, and the pages say what passkeys need', async (t) => {
  const who = await account();
  const { page } = await withAuthenticator(t);
  await signIn(page, s.node, who);
  await page.goto(`${s.node.exeunt}/security/passkeys`);
  await page.getByRole('button', { name: 'Make a passkey' }).click();
  await page.waitForURL('**/security/codes');
  const codes = await page.locator('section.codes code').allInnerTexts();

  const plain = await s.visit(t, { ...desktop, javaScriptEnabled: false });
  await plain.goto(`${s.node.exeunt}/signin`);
  assert.match(await main(plain), /Passkeys need JavaScript/);
  assert.equal(await plain.getByRole('button', { name: 'Sign in with a passkey' }).isVisible(), false);
  await fillIn(plain, who);
  await plain.getByText('Your password is right').waitFor();
  assert.match(await main(plain), /Passkeys need JavaScript/);
  await plain.locator('details summary', { hasText: 'recovery' }).click();
  await plain.locator('main details input[name=code]').fill(codes[2]);
  await plain.locator('main details button').click();
  await plain.waitForURL('**/recovered');
  await s.node.advance(660);
  await plain.goto(`${s.node.exeunt}/security/passkeys`);
  assert.match(await main(plain), /Passkeys need JavaScript/);
  await plain.goto(`${s.node.exeunt}/security`);
  await plain.getByRole('link', { name: /^Remove / }).click();
  await plain.fill('input[name=current]', who.password);
  await plain.fill('input[name=code]', codes[5]);
  await plain.getByRole('button', { name: 'Remove it' }).click();
  await plain.getByText('It was removed').waitFor();
});
