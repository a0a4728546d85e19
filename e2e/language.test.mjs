// Pages follow the language that the browser asks for, until somebody chooses another: in this browser for good, in their
// account for mails, and in the page that is shown without network.
import assert from 'node:assert/strict';
import test from 'node:test';
import { desktop, launch, phone, signIn } from './lib/browser.mjs';
import { cookieHeader, request, until } from './lib/wait.mjs';
import { both, stage } from './lib/stage.mjs';

const s = stage({}, launch);

const spoken = (page) => page.evaluate(() => [document.documentElement.lang, document.documentElement.dir, document.querySelector('h1').textContent]);

const choose = async (page, name) => {
  await page.click('.tongue a');
  await page.waitForURL(/\/language/);
  await Promise.all([page.waitForURL((url) => url.pathname !== '/language'), page.click(`main button:text-is("${name}")`)]);
};

both(test, 'the browser chooses, then the person, and that stays', async (t, script) => {
  const { node } = s;
  const page = await s.visit(t, { ...phone, locale: 'de-AT', javaScriptEnabled: script });
  const answer = await page.goto(`${node.exeunt}/signin?return=/apps`);
  assert.equal(answer.headers()['content-language'], 'de');
  assert.match(answer.headers().vary, /Accept-Language/);
  assert.deepEqual(await spoken(page), ['de', 'ltr', 'Anmelden']);
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'nothing is cut off');
  await choose(page, 'English');
  assert.equal(new URL(page.url()).search, '?return=/apps', 'it leads back to where somebody was');
  assert.deepEqual(await spoken(page), ['en', 'ltr', 'Sign in']);
  await page.reload();
  assert.deepEqual(await spoken(page), ['en', 'ltr', 'Sign in']);
  await choose(page, 'Deutsch');
  assert.deepEqual(await spoken(page), ['de', 'ltr', 'Anmelden']);
  await choose(page, 'English');
  await page.goto(`${node.exeunt}/language`);
  await Promise.all([page.waitForURL(`${node.exeunt}/signin`), page.click('main button.quiet')]); // nobody is signed in
  assert.deepEqual(await spoken(page), ['de', 'ltr', 'Anmelden'], 'the browser chooses again');
});

both(test, 'what somebody chooses is their account’s, and another browser of theirs follows', async (t, script) => {
  const { node } = s;
  const account = { handle: `polyglot${script}`, password: 'seven herons at the weir' };
  await node.call('add', account);
  const page = await s.visit(t, { ...desktop, locale: 'fr', javaScriptEnabled: script });
  await signIn(page, node, account);
  assert.equal((await spoken(page))[0], 'en', 'there is no French');
  await page.goto(`${node.exeunt}/settings`);
  await Promise.all([page.waitForURL(/\/language/), page.click('main a[href^="/language"]:not(.quiet)')]);
  await Promise.all([page.waitForURL(`${node.exeunt}/settings`), page.click('main button:text-is("Deutsch")')]);
  assert.deepEqual(await spoken(page), ['de', 'ltr', 'Einstellungen und Datenschutz']);
  const next = await s.visit(t, { ...desktop, locale: 'en-GB', javaScriptEnabled: script });
  await signIn(next, node, account);
  assert.equal((await spoken(next))[0], 'de');
  const strangers = await s.visit(t, { ...desktop, locale: 'en-GB', javaScriptEnabled: script });
  await signIn(strangers, node, account, 'shared');
  assert.equal((await spoken(strangers))[0], 'en', 'a shared computer is left as it is');
});

test('scripts write dates in the page’s language, whatever the browser’s', async (t) => {
  const { node } = s;
  const page = await s.visit(t, { ...desktop, locale: 'de-DE', timezoneId: 'Europe/Vienna' });
  await signIn(page, node);
  await page.goto(`${node.exeunt}/check`);
  const [at, said] = await page.locator('time[datetime]').first().evaluate((time) => [time.dateTime, time.title || time.textContent]);
  const month = new Date(at).toLocaleDateString('de-DE', { month: 'long', timeZone: 'Europe/Vienna' });
  assert.match(said, new RegExp(`^\\d+\\. ${month} \\d{4} um \\d{2}:\\d{2}:\\d{2}`));
});

test('the page that is shown without network follows the language', async (t) => {
  const { node } = s;
  const page = await s.visit(t, { ...desktop, locale: 'en-GB' });
  await signIn(page, node);
  const kept = () => page.evaluate(async () => {
    const [name] = await caches.keys();
    return name ? [name.split(' ')[1], /<html lang="(\w+)"/.exec(await (await caches.match(name.split(' ')[1])).text())[1]] : [];
  }).catch(() => []); // the page is being left
  await until('the page is kept in English', async () => `${await kept()}` === '/locked/en,en');
  await choose(page, 'Deutsch');
  await until('the page is kept in German', async () => `${await kept()}` === '/locked/de,de');
  await page.context().setOffline(true);
  await page.click('.acct summary');
  await page.click('.acct a[href="/signout"]');
  await page.click('#ask button.danger');
  await page.getByRole('heading', { name: 'Auf diesem Gerät gesperrt' }).waitFor();
  await page.context().setOffline(false);
});

test('an app may say the language, until somebody chooses another', async (t) => {
  const { node } = s;
  const page = await s.visit(t, { ...desktop, locale: 'en-GB' });
  const q = new URLSearchParams({ client_id: 'gazette', redirect_uri: `${node.gazette}/callback`, response_type: 'code', scope: 'openid',
    state: 'a-state-of-the-app', ui_locales: 'tlh de-CH en', code_challenge: 'E9Melhoa2OwvFrEMTJGuCHaoeK1t8URWbuGJSstw-cM', code_challenge_method: 'S256' });
  await page.goto(`${node.exeunt}/authorize?${q}`);
  assert.equal((await spoken(page))[0], 'de');
  await choose(page, 'English');
  assert.equal((await spoken(page))[0], 'en');
  assert.match(page.url(), /authorize/, 'and the app’s request goes on');
  await page.goto(`${node.exeunt}/authorize?${q}`);
  assert.equal((await spoken(page))[0], 'de', 'the app’s next request says it again');
  const metadata = await request(`${node.exeunt}/.well-known/openid-configuration`);
  assert.ok(JSON.parse(metadata.text).ui_locales_supported.includes('de'));
  assert.equal(await cookieHeader(page.context(), node.exeunt).then((text) => /exeunt-language=en\./.test(text)), true);
});
