// A sign-in from a browser that the account was not used with: whoever uses it elsewhere is asked, by a page and by mail.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { desktop, fillIn, phone, shell, signIn, signOut } from './lib/browser.mjs';
import { DEVICE } from './lib/cookies.mjs';
import { both, stage } from './lib/stage.mjs';
import { request } from './lib/wait.mjs';

const s = stage({}, shell);

const main = (page) => page.locator('main').innerText();
const active = async (who) => (await s.node.sessions(who.handle)).active.length;
const device = async (page) => (await page.context().cookies()).find((c) => c.name === DEVICE);

/** Somebody with a confirmed address, who uses a desktop browser; and the same account on a phone, where it is new. */
async function twoPlaces(t, script, handle) {
  const who = { handle, password: 'seven herons at the weir', mail: `${handle}@example.com` };
  await s.node.call('add', { ...who, email: who.mail });
  const home = await s.visit(t, { ...desktop, javaScriptEnabled: script });
  await signIn(home, s.node, who);
  assert.doesNotMatch(await main(home), /Was this you/);
  const away = await s.visit(t, { ...phone, javaScriptEnabled: script });
  await signIn(away, s.node, who);
  return { who, home, away };
}

both(test, '[R7.3] the mail about an unfamiliar sign-in disowns it without signing in, and leads to a new password', async (t, script) => {
  const { who, home, away } = await twoPlaces(t, script, script ? 'mailed1' : 'mailed2');
  const mail = await s.node.mail(who.mail);
  assert.match(mail.subject, /New sign-in/);
  assert.match(mail.text, /When: [\s\S]*Browser: Chrome on Android/);
  const link = mail.links.find((l) => l.includes('/not-me/'));
  const before = await active(who);
  for (let i = 0; i < 3; i += 1) assert.equal((await request(link)).status, 200); // as mail scanners do
  assert.equal(await active(who), before);

  const reader = await s.visit(t, { ...phone, javaScriptEnabled: script });
  await reader.goto(link);
  assert.match(await main(reader), new RegExp(`Somebody signed in to @${who.handle}[\\s\\S]*Chrome on Android`));
  assert.equal(await active(who), before);
  await reader.getByRole('button', { name: 'Sign out everywhere' }).click();
  await reader.getByRole('heading', { name: 'Everybody is signed out' }).waitFor();
  assert.equal(await active(who), 0);
  for (const page of [home, away]) {
    await page.goto(`${s.node.exeunt}/sessions`);
    assert.match(page.url(), /\/(ended|signin)/); // with script the page has noticed already, and said why
    if (!script) assert.match(await main(page), /This wasn’t me/);
  }
  await reader.reload();
  await reader.getByRole('button', { name: 'Set a new password' }).click();
  await reader.waitForURL('**/reset/*');
  who.password = 'eleven lanterns on the quay';
  await reader.fill('input[name=password]', who.password);
  await reader.click('main form button.primary');
  await reader.waitForURL('**/signin');
  await fillIn(reader, who);
  await reader.waitForURL('**/secure'); // which goes on with what somebody else may have changed
  await reader.goto(link);
  assert.match(await main(reader), /Everybody is signed out[\s\S]*change it at once/);
});

both(test, '[R7.3 R7.1] pages ask about an unfamiliar sign-in, and not whoever has just signed in', async (t, script) => {
  const { who, home, away } = await twoPlaces(t, script, script ? 'asked1' : 'asked2');
  await away.goto(`${s.node.exeunt}/`);
  assert.doesNotMatch(await main(away), /Was this you/);
  // With script the page that is open asks by itself.
  if (!script) await home.reload();
  await home.getByRole('heading', { name: 'Was this you?' }).waitFor();
  await home.goto(`${s.node.exeunt}/sessions`);
  assert.equal(await home.locator('#browser-rows .st.new').innerText(), 'Unfamiliar');
  await home.getByRole('button', { name: 'This was me' }).click();
  await home.getByText('Noted.').waitFor();
  assert.doesNotMatch(await main(home), /Was this you|Unfamiliar/);
  await signOut(away, s.node);
  await signIn(away, s.node, who); // the same phone is known by now
  await home.reload();
  assert.doesNotMatch(await main(home), /Was this you/);
});

both(test, '[R7.3] “This wasn’t me” on a page signs everybody out, and says what to do', async (t, script) => {
  const { who, home, away } = await twoPlaces(t, script, script ? 'asked3' : 'asked4');
  await home.goto(`${s.node.exeunt}/`);
  const button = home.getByRole('button', { name: 'Sign out everywhere', exact: true });
  assert.ok(!await button.isVisible(), 'one press asks first');
  await home.locator('.asking summary').click();
  assert.match(await main(home), /Every browser and app is signed out, this one too/);
  await button.click();
  await home.waitForURL('**/signed-out');
  assert.match(await main(home), /Signed out everywhere[\s\S]*What to do now[\s\S]*change it at once/);
  assert.equal(await active(who), 0);
  await away.goto(`${s.node.exeunt}/sessions`);
  assert.match(away.url(), /\/(ended|signin)/);
  if (!script) assert.match(await main(away), /This wasn’t me/);
});

test('[R7.3] a browser is known for all its accounts by one cookie, and a shared computer by none', async (t) => {
  const [first, second] = [{ handle: 'cookie1', password: 'seven herons at the weir' }, { handle: 'cookie2', password: 'seven herons at the weir' }];
  for (const who of [first, second]) await s.node.call('add', who);
  const page = await s.visit(t);
  await signIn(page, s.node, first);
  const cookie = await device(page);
  assert.match(cookie.value, /^exd_/);
  assert.ok(cookie.httpOnly && cookie.secure && cookie.sameSite === 'Lax' && !cookie.domain.startsWith('.'));
  const days = (cookie.expires - Date.now() / 1000) / 86_400;
  assert.ok(days > 360 && days < 366, `it stays for ${days} days`);
  await signOut(page, s.node);
  await signIn(page, s.node, second);
  assert.equal((await device(page)).value, cookie.value);
  await signOut(page, s.node);
  await signIn(page, s.node, first, 'shared');
  const left = await device(page);
  assert.equal(left.value, 'shared');
  assert.equal(left.expires, -1, 'it goes when the browser closes');
  await signOut(page, s.node);
  assert.doesNotMatch((await page.context().cookies()).map((c) => c.value).join(' '), /exd_/);
});
