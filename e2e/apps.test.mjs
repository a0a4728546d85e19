// Apps that sign people in: what their pages say of them, before and after a sign-out, and while apps are being told.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { desktop, signIn } from './lib/browser.mjs';
import { enterChirp } from './lib/chirp.mjs';
import { both, stage } from './lib/stage.mjs';

const s = stage();

async function enterGazette(page) {
  await page.goto(`${s.node.gazette}/sign-in`);
  const ask = page.locator('form[action="/authorize/decide"] button[value=continue]');
  if (await ask.count()) await ask.click();
  await page.waitForURL(`${s.node.gazette}/**`);
}

/** Somebody who is signed in here, to Chirp and to Gazette. */
async function inBoth(t, script) {
  const page = await s.visit(t, { ...desktop, javaScriptEnabled: script });
  await signIn(page, s.node);
  await enterChirp(page, s.node);
  await enterGazette(page);
  return page;
}

const main = (page) => page.locator('main').innerText();

both(test, '[R5.4] before a sign-out each app is told how far it reaches, and afterwards how far it has reached', async (t, script) => {
  const page = await inBoth(t, script);
  await page.goto(`${s.node.exeunt}/signout`);
  assert.match(await main(page), /Chirp\s+Closes at once\.\s+Gazette\s+Is told at once\. You can see whether it has confirmed\./);
  await page.locator('main button.danger').click();
  await page.waitForURL('**/signed-out');
  assert.match(await main(page), /Chirp\s+Closed at once\./);
  const confirmed = page.getByText(/Has confirmed at \d\d:\d\d/);
  if (script) {
    await confirmed.waitFor(); // by itself
  } else {
    while (!await confirmed.count()) await page.getByRole('link', { name: 'Check again' }).click();
  }
  assert.equal(await page.getByRole('link', { name: 'Check again' }).count(), 0, 'there is nothing left to wait for');
  await page.goto(s.node.gazette);
  assert.equal(await page.locator('.account form').count(), 0, 'Gazette is signed out');
});

both(test, '[R5.1] an app that asks for a sign-out gets what the person chooses, and them back', async (t, script) => {
  const page = await inBoth(t, script);
  const leave = () => page.locator('.account form button').click();
  await leave();
  await page.waitForURL(`${s.node.exeunt}/end_session?**`);
  assert.match(await main(page), /Gazette asks to sign you out. Afterwards you return to Gazette./);
  assert.match(await main(page), /Sign out of this browser and its 2 apps/);
  await page.getByRole('button', { name: 'Only Gazette' }).click();
  await page.getByText('your sign-in service did what you chose there').waitFor(); // it had its state back
  await page.goto(`${s.node.exeunt}/sessions`);
  assert.match(await page.locator('.here').innerText(), /Chirp/);
  assert.doesNotMatch(await page.locator('.here').innerText(), /Gazette/);
  // The logout token names the browser's session, which is also the next sign-in's: on a slow machine it may come after that.
  do await enterGazette(page); while (!await page.locator('.account form button').count());
  await leave();
  await page.getByRole('button', { name: 'Sign out of this browser and its 2 apps' }).click();
  await page.getByText('your sign-in service did what you chose there').waitFor();
  await page.goto(`${s.node.exeunt}/sessions`);
  await page.getByRole('button', { name: 'Sign in', exact: true }).waitFor();
});

both(test, '[R5.1] the page of apps says what acts in one\'s name, and ends it', async (t, script) => {
  const page = await inBoth(t, script);
  await page.goto(`${s.node.exeunt}/`);
  await page.locator('.panel').getByRole('link', { name: 'Apps' }).click();
  const row = page.locator('#app-gazette');
  assert.match(await row.innerText(), /^Gazette\s+Signed in .* last used .*\s+In Chrome on Linux.*\s+Is told at once\. You can see whether it has confirmed\.\s+May see: that you are signed in, your handle, name and picture/);
  await row.getByRole('button', { name: 'Sign out of Gazette' }).click();
  await page.getByText(/sign-ins? of Gazette ended\./).waitFor();
  await row.locator('summary').click();
  await row.getByRole('button', { name: 'Remove access' }).click();
  await page.getByText('Gazette has no access any more.').waitFor();
  assert.equal(await row.count(), 0);
  await page.goto(`${s.node.gazette}/sign-in`);
  await page.getByText(/Continue to Gazette as/).waitFor();
});
