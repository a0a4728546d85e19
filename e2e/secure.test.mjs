// Deleting an account, reviewing what uses it, and securing it: with script and without, on a desktop and a phone.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { desktop, fillIn, phone, shell, signIn } from './lib/browser.mjs';
import { both, stage } from './lib/stage.mjs';
import { until } from './lib/wait.mjs';

const s = stage({}, shell);

const main = (page) => page.locator('main').innerText();
const button = (page, name) => page.locator('main').getByRole('button', { name, exact: true });

async function account(handle) {
  const who = { handle, password: 'a slow boat past the lantern' };
  await s.node.call('add', who);
  return who;
}

async function enter(page, who) {
  await page.goto(`${s.node.exeunt}/signin`);
  await fillIn(page, who);
}

const signedOut = async (page) => {
  await page.goto(`${s.node.exeunt}/`);
  assert.match(page.url(), /\/(ended|signin)/);
};

/** A picture for whoever wants to look: SHOTS names a folder. */
const picture = async (page, name) => {
  if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/${name}.png`, fullPage: true });
};

both(test, 'an account is deleted, kept at the next sign-in, and otherwise gone after seven days', async (t, script) => {
  const who = await account(script ? 'leaver1' : 'leaver2');
  const look = `${script ? 'script' : 'plain'}`;
  const [page, other] = [await s.visit(t, { ...desktop, javaScriptEnabled: script }), await s.visit(t, { ...phone, colorScheme: 'dark', javaScriptEnabled: script })];
  await signIn(page, s.node, who);
  await signIn(other, s.node, who);
  await page.goto(`${s.node.exeunt}/settings`);
  await page.getByRole('link', { name: 'Delete my account…' }).click();
  await page.getByText('What follows').waitFor();
  await picture(page, `delete-${look}`);
  await other.goto(`${s.node.exeunt}/account/delete`);
  await picture(other, `delete-phone-${look}`);
  await button(page, 'Delete my account').click();
  await page.waitForURL('**/account/deleting');
  assert.match(await main(page), /will be deleted on/);
  await picture(page, `deleting-${look}`);
  await signedOut(other);

  await enter(other, who);
  await other.waitForURL('**/account/deleting');
  await picture(other, `keep-phone-${look}`);
  await other.goto(`${s.node.exeunt}/sessions`);
  assert.match(other.url(), /\/signin/, 'nothing else is reachable');
  await other.goto(`${s.node.exeunt}/account/deleting`);
  await button(other, 'Sign out').click();
  await other.waitForURL('**/signed-out');
  await enter(other, who);
  await button(other, 'Keep my account').click();
  await other.waitForURL('**/settings');
  assert.match(await main(other), /Your account is kept/);

  await other.goto(`${s.node.exeunt}/account/delete`);
  await button(other, 'Delete my account').click();
  await other.waitForURL('**/account/deleting');
  await s.node.call('advance', { seconds: 7 * 24 * 3600 + 1 });
  await until('the account to be gone', async () => {
    await s.node.call('advance', { seconds: 61 });
    await enter(page, who);
    await page.waitForLoadState('load');
    return /do not match/.test(await main(page));
  }, 120_000);
});

both(test, '[R7.4] sessions and apps are reviewed one by one, by keys where there is script', async (t, script) => {
  const who = await account(script ? 'reviewer1' : 'reviewer2');
  const page = await s.visit(t, { ...(script ? desktop : phone), javaScriptEnabled: script, colorScheme: script ? 'light' : 'dark' });
  const [first, second] = [await s.visit(t), await s.visit(t)];
  await signIn(first, s.node, who);
  await s.node.call('advance', { seconds: 60 });
  await signIn(second, s.node, who);
  await signIn(page, s.node, who);
  await page.goto(`${s.node.exeunt}/security`);
  await page.locator('main a[href="/review"]').first().click();
  await picture(page, `review-start-${script}`);
  await button(page, 'Begin the review').click();
  await page.getByText('1 of 2').waitFor();
  await picture(page, `review-${script}`);
  if (script) await page.keyboard.press('e');
  else await button(page, 'End').click();
  await page.getByText('2 of 2').waitFor();
  await signedOut(first);
  await page.goto(`${s.node.exeunt}/`); // left, and taken up again
  await page.goto(`${s.node.exeunt}/review`);
  await page.getByText('2 of 2').waitFor();
  if (script) await page.keyboard.press('K');
  else await button(page, 'Keep').click();
  await page.getByText('You kept 1 and ended 1').waitFor();
  await picture(page, `reviewed-${script}`);
  await second.goto(`${s.node.exeunt}/sessions`);
  assert.match(second.url(), /\/sessions$/);

  await page.goto('about:blank'); // an open page would notice that its session expires
  await s.node.call('advance', { seconds: 90 * 24 * 3600 });
  await enter(page, who);
  await button(page, 'Not now').waitFor();
  await picture(page, `remind-${script}`);
  await button(page, 'Not now').click();
  await page.waitForURL(`${s.node.exeunt}/`);
  await page.waitForLoadState('load');
  assert.equal(await button(page, 'Not now').count(), 0);
});

both(test, '[R7.5] securing an account ends everything first, and is finished in another browser', async (t, script) => {
  const who = await account(script ? 'worried1' : 'worried2');
  const page = await s.visit(t, { ...(script ? desktop : phone), javaScriptEnabled: script, colorScheme: script ? 'light' : 'dark' });
  const [thief, home] = [await s.visit(t), await s.visit(t, { ...desktop, javaScriptEnabled: script })];
  await signIn(thief, s.node, who);
  await signIn(page, s.node, who);
  await page.goto(`${s.node.exeunt}/security`);
  await page.getByRole('link', { name: 'Secure my account' }).click();
  await picture(page, `secure-start-${script}`);
  await button(page, 'Sign everybody else out').click();
  await page.getByText('of 5 steps are done').waitFor();
  await signedOut(thief);
  await picture(page, `secure-${script}`);
  await button(page, 'This is right E-mail address').click();
  await page.getByText('3 of 5 steps are done').waitFor();

  await signIn(home, s.node, who);
  await home.goto(`${s.node.exeunt}/`);
  await home.getByRole('link', { name: 'Go on', exact: true }).click();
  await home.getByText('3 of 5 steps are done').waitFor();
  await button(home, 'Stop here').click();
  await home.getByText('You closed this list').waitFor();
  await home.goto(`${s.node.exeunt}/`);
  assert.equal(await home.getByRole('link', { name: 'Go on', exact: true }).count(), 0);
});
