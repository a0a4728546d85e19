// Signing in in two steps, with an authenticator app made here from what the page shows.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { desktop, fillIn, phone, shell, signIn } from './lib/browser.mjs';
import { both, stage } from './lib/stage.mjs';
import { totp } from './lib/totp.mjs';

const s = stage({}, shell);

const now = async () => Date.parse((await s.node.call('now')).now);
const main = (page) => page.locator('main').innerText();

async function account(handle) {
  const who = { handle, password: 'a slow boat past the lantern' };
  await s.node.call('add', who);
  return who;
}

/** Adds an app on the Security page of somebody who is signed in; the codes only the first time. */
async function addApp(page, name) {
  await page.goto(`${s.node.exeunt}/security/app`);
  await page.locator('details summary', { hasText: 'type this key' }).click();
  const secret = await page.locator('ol.steps code').innerText();
  await page.fill('input[name=app_code]', totp(secret, await now()));
  await page.fill('input[name=name]', name);
  await page.click('main form button.primary');
  return secret;
}

async function password(page, who) {
  await page.goto(`${s.node.exeunt}/signin`);
  await fillIn(page, who);
  await page.getByText('Your password is right').waitFor();
}

async function code(page, text) {
  const recovery = text.length > 6;
  if (recovery) await page.locator('details summary', { hasText: 'recovery' }).click();
  const form = page.locator(recovery ? 'main details form' : 'main form[action="/signin/code"]').first();
  await form.locator('input[name=code]').fill(text);
  await form.locator('button').click();
}

both(test, '[R2.2 R4.4] a lost phone that held the authenticator: a recovery code signs in anywhere, everything else is ended, a new app is added', async (t, script) => {
  const ada = await account(script ? 'lost1' : 'lost2');
  const [lost, home] = [await s.visit(t, { ...phone, javaScriptEnabled: script }), await s.visit(t, { ...desktop, javaScriptEnabled: script })];
  await signIn(home, s.node, ada);
  const held = await addApp(home, 'My phone');
  await home.waitForURL('**/security/codes');
  const codes = await home.locator('section.codes code').allInnerTexts();
  assert.equal(codes.length, 10);
  await home.getByRole('button', { name: 'I have saved them' }).click();
  await s.node.call('advance', { seconds: 60 });

  await password(lost, ada);
  await code(lost, totp(held, await now()));
  await lost.waitForURL(`${s.node.exeunt}/`);

  // From any browser: the password, and a code from paper.
  const anywhere = await s.visit(t, { ...desktop, javaScriptEnabled: script });
  await password(anywhere, ada);
  await code(anywhere, '000000');
  await anywhere.getByText('This code is wrong').waitFor();
  await code(anywhere, codes[4]);
  await anywhere.waitForURL('**/recovered');
  assert.match(await main(anywhere), /you have 9 left[\s\S]*Have you lost your phone\?/);
  await anywhere.getByRole('button', { name: 'Sign out everywhere else' }).click();
  await anywhere.waitForURL('**/sessions');
  for (const page of [lost, home]) { // with script they may be leaving already, which a load would get in the way of
    await page.goto(`${s.node.exeunt}/`).catch((err) => { if (!/interrupted/.test(err.message)) throw err; });
    await page.waitForURL(/\/(ended|signin)/);
  }

  // A new app, and the old one is worth nothing.
  const fresh = await addApp(anywhere, 'New phone');
  await anywhere.waitForURL('**/security');
  await anywhere.getByRole('link', { name: 'Remove My phone' }).click();
  await anywhere.getByRole('button', { name: 'Remove it' }).click();
  await anywhere.getByText('It was removed').waitFor();
  await s.node.call('advance', { seconds: 60 });
  await password(home, ada);
  await code(home, totp(held, await now()));
  await home.getByText('This code is wrong').waitFor();
  await code(home, totp(fresh, await now()));
  await home.waitForURL(`${s.node.exeunt}/`);
});
