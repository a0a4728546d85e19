// Every form of every page is pressed twice: 0, 20, 120 and 400 ms apart, in a
// second tab that was open before, and once more after Back; some with script and
// some without. Whatever is answered is compared with what is true in the store.
// The forms are looked for in the pages: one that nobody judges fails the test.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import { Node } from './lib/node.mjs';
import { fillIn, launch, desktop } from './lib/browser.mjs';
import { enterChirp } from './lib/chirp.mjs';
import { inside, outside } from './lib/pages.mjs';
import { cookieHeader, request, until } from './lib/wait.mjs';
import { minutes } from './lib/serve.mjs';
import { planted, TOKEN } from './lib/cookies.mjs';
import { totp } from './lib/totp.mjs';

let node, browser;
const people = {};
before(async () => {
  node = await Node.start();
  browser = await launch();
  for (const script of [true, false]) people[script] = await Person.enter(script);
});
after(async () => { await browser?.close(); await node?.stop(); });

// One command at a time: the node answers in order, and the judges run beside one another.
let last = Promise.resolve();
const call = (verb, args) => { last = last.catch(() => {}).then(() => node.call(verb, args)); return last; };

const word = 'seven herons at the weir';
let made = 0;
const fresh = () => { made += 1; return `form_${made}`; };

/** Somebody with an account and a browser with two tabs, one with script or one without. */
class Person {
  static async enter(script) {
    const p = new Person();
    p.handle = p.own = fresh();
    p.password = word;
    await call('add', { handle: p.handle, password: word });
    p.context = await browser.newContext({ ...desktop, javaScriptEnabled: script });
    p.context.setDefaultTimeout(120_000);
    [p.page, p.second] = [await p.tab(), await p.tab()];
    return p;
  }

  async tab() {
    const page = await this.context.newPage();
    page.open = 0; // navigations under way
    const count = (by) => (r) => { if (r.isNavigationRequest()) page.open += by; };
    page.on('request', count(1)).on('requestfinished', count(-1)).on('requestfailed', count(-1));
    return page;
  }

  async active() { return (await call('sessions', { handle: this.handle })).active; }

  account() { return call('account', { handle: this.handle }); }

  // What a form needs: nobody here, the person signed in, in Chirp too, or in a second place too.
  async out() {
    this.handle = this.own;
    await this.page.keys?.detach(); // a passkey that is left signs in by itself wherever a form offers it
    this.page.keys = undefined;
    await Promise.all([this.page, this.second].map(rest));
    await this.context.clearCookies();
    await call('end', { handle: this.own });
  }

  async in() {
    this.handle = this.own;
    const Cookie = await cookieHeader(this.context, node.exeunt);
    if ((await request(`${node.exeunt}/session/state`, { headers: { Cookie } })).status === 200) return;
    await this.out();
    await this.signIn();
  }

  // The browser is given the cookies of a sign-in; the form for that is pressed by its own test.
  async signIn() {
    const address = `${node.exeunt}/signin`;
    const form = await request(address);
    const answer = await request(address, { method: 'POST',
      headers: { Origin: node.exeunt, Cookie: set(form).map((c) => c.join('=')).join('; '), 'Content-Type': 'application/x-www-form-urlencoded' },
      body: `${new URLSearchParams({ key: /name="key" value="([^"]+)"/.exec(form.text)[1], identifier: this.handle, password: this.password, kind: 'kept' })}` });
    assert.equal(answer.status, 303, answer.text);
    await this.context.addCookies(set(answer).map(([name, value]) => planted(name, value)));
    await this.page.goto(`${node.exeunt}/`); // where a sign-in ends, and to where Back may lead
  }

  async chirp() {
    await this.page.goto(`${node.chirp}/drafts`);
    if (await this.page.locator('.acct').count()) return;
    await this.in();
    await enterChirp(this.page, node);
  }

  // An account that has allowed no app anything yet, signed in here.
  async newcomer() {
    await this.out();
    this.handle = fresh();
    await call('add', { handle: this.handle, password: this.password });
    await this.signIn();
  }

  async two() {
    await this.out();
    await this.signIn();
    await this.app();
  }

  // Another account has been added in the browser, and is active.
  async several() {
    await this.in();
    this.other = fresh();
    await call('add', { handle: this.other, password: word });
    await this.page.goto(`${node.exeunt}/signin`);
    await Promise.all([this.page.waitForURL(`${node.exeunt}/`), fillIn(this.page, { handle: this.other, password: word })]);
  }

  // An app signs in; with a name of its own, the account was not used with it.
  async app(name = 'an app') {
    const answer = await request(`${node.exeunt}/api/v1/signin`, { method: 'POST', headers: { 'Content-Type': 'application/json', 'User-Agent': name },
      body: JSON.stringify({ identifier: this.handle, password: this.password, label: 'Phone' }) });
    assert.equal(answer.status, 201, answer.text);
  }

  // A new account, since only so many sign-ins of one are asked about, is asked about a sign-in.
  async asked() {
    await this.newcomer();
    await this.app(fresh());
    await this.page.goto(`${node.exeunt}/`);
  }

  // A new account with an address, whose owner has got a mail about an unfamiliar sign-in.
  async mailed() {
    await this.out();
    this.handle = fresh();
    const email = `${this.handle}@example.com`;
    await call('add', { handle: this.handle, password: this.password, email });
    await this.app();
    await this.app(fresh());
    this.link = (await node.mail(email)).links.find((l) => l.includes('/not-me/'));
  }
}

/** Leads a page to an address without a script, and of the same site: another would cost a process of the browser. */
const rest = (page) => until('the page is at rest', async () => {
  try {
    await page.goto(`${node.exeunt}/session/state`);
    return true;
  } catch (err) { // what was pressed goes on in this moment
    if (!/interrupted by another navigation/.test(err.message)) throw err;
    return false;
  }
}, minutes);

/** An image of one of two colours. */
const image = (n) => ({ name: 'me.gif', mimeType: 'image/gif',
  buffer: Buffer.from(`47494638396101000100800000${n % 2 ? 'aa2020' : '2020aa'}0000002c00000000010001000002024401003b`, 'hex') });

/** Gives somebody a picture. */
async function upload(page) {
  await page.goto(`${node.exeunt}/settings`);
  await page.setInputFiles('#f-picture', image(0));
  await page.click('form[action="/settings/picture"] button');
  await page.locator('button[form="remove-picture"]').waitFor();
}

/** Sends the form with which something begins. */
async function begun(p, action) {
  await p.page.goto(`${node.exeunt}/${action.split('/')[1]}`);
  await p.page.locator(`form[action="${action}"] button`).click();
  await p.page.locator(`form[action="${action}"]`).waitFor({ state: 'detached' });
}

/** Has the account deleted, and signs in again to keep it. */
async function toDelete(p) {
  await p.page.goto(`${node.exeunt}/account/delete`);
  await p.page.locator('form[action="/account/delete"] button').click();
  await p.page.waitForURL('**/account/deleting');
  await p.page.goto(`${node.exeunt}/signin`);
  await fillSignIn(p, p.page);
  await p.page.locator('form[data-device] button.primary').click();
  await p.page.locator('form[action="/account/keep"]').waitFor();
}

/** Signs in to Gazette, which asks the first time. */
async function enterGazette(page) {
  await page.goto(`${node.gazette}/sign-in`);
  await page.locator('form[action="/authorize/decide"] button[value=continue]').click();
  await page.waitForURL(`${node.gazette}/**`);
}

/** Types the code that an authenticator app shows that has read the page. */
async function fillApp(page) {
  const secret = await page.locator('ol.setup code').textContent();
  await page.fill('input[name=app_code]', totp(secret, Date.parse((await call('now')).now)));
}

/** Adds an authenticator app, and goes on from the recovery codes that come with it. */
async function addApp(page) {
  await page.goto(`${node.exeunt}/security/app`);
  await fillApp(page);
  await page.click('form[action="/security/app"] button.primary');
  await page.click('form[action="/security/codes/saved"] button');
  await page.waitForURL('**/security');
}

/** Gives a page a new authenticator, which answers by itself. */
async function authenticator(page) {
  page.keys = await page.context().newCDPSession(page);
  await page.keys.send('WebAuthn.enable', { enableUI: false });
  await page.keys.send('WebAuthn.addVirtualAuthenticator', { options: { protocol: 'ctap2', transport: 'internal', hasResidentKey: true,
    hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true } });
}

// The names and values of the cookies that an answer sets.
const set = (answer) => answer.headers['set-cookie'].map((line) => /^([^=]+)=([^;]*)/.exec(line).slice(1));

const fillSignIn = async (p, page) => {
  await page.fill('input[name=identifier]', p.handle);
  await page.fill('input[name=password]', p.password);
  await page.check('input[name=kind][value=kept]');
};

// What is shown, and where.
const main = (page) => page.locator('main').innerText();
const at = (page, path) => assert.equal(page.url().replace(/[?#].*/, ''), path.startsWith('http') ? path : node.exeunt + path);
const says = async (page, ...texts) => { for (const t of texts) assert.match(await main(page), t); };
const times = async (page, text) => (await main(page)).split(text).length - 1;

/**
 * The judges, by the forms. needs is a state of the person, path the page with the
 * form, and fill fills it in. true compares the answer with the store; tab and back
 * do so after the second press there, where that differs. back is null where the
 * form has gone by then.
 */
const judges = {
  'exeunt /signin': {
    needs: 'out', path: '/signin?return=/security', fill: fillSignIn,
    async true(p, page) {
      at(page, '/security');
      const active = await p.active();
      assert.deepEqual(active.map((s) => s.id), [await page.locator('body').getAttribute('data-session')]);
    },
  },
  'exeunt /signin for an app': {
    form: 'exeunt /signin', needs: 'out', fill: fillSignIn, path: () => `${node.chirp}/exeunt/sign-in?return=/drafts`,
    async true(p, page) {
      at(page, `${node.chirp}/drafts`);
      assert.match(await page.locator('.acct').innerText(), new RegExp(`@${p.handle}`));
      assert.equal((await p.active()).length, 1);
    },
  },
  'exeunt /signup': {
    needs: 'out', path: '/signup',
    before: async (p) => { p.handle = fresh(); await call('advance', { seconds: 1200 }); }, // so many new accounts an hour
    async fill(p, page) {
      await page.fill('input[name=handle]', p.handle);
      await page.fill('input[name=password]', word);
      await page.check('input[name=kind][value=kept]');
    },
    async true(p, page) {
      at(page, '/');
      await says(page, new RegExp(`Hello, ${p.handle}`));
      assert.equal((await p.active()).length, 1);
    },
    async tab(p, page) { // another form, and the handle is taken by now
      await says(page, /belongs to another sign-in/, new RegExp(`Continue as @${p.handle}`));
      assert.equal((await p.active()).length, 1);
    },
    async back(p, page) { // a form for another account beside this one
      await says(page, /That handle is taken/, new RegExp(`You are signed in as @${p.handle}`));
      assert.equal((await p.active()).length, 1);
    },
  },
  'exeunt /setup/*': {
    needs: 'out', path: (p) => p.link, back: null,
    async before(p) { p.handle = fresh(); p.link = (await call('invite', { handle: p.handle })).link; },
    async fill(p, page) {
      await page.fill('input[name=password]', word);
      await page.check('input[name=kind][value=shared]');
    },
    async true(p, page) {
      at(page, '/');
      await says(page, new RegExp(`Hello, ${p.handle}`));
      assert.equal((await p.active()).length, 1);
    },
  },
  'exeunt /reset/*': {
    needs: 'out', path: (p) => p.link, back: null,
    async before(p) {
      p.link = (await call('reset', { handle: p.handle })).link;
      p.version = (await p.account()).passwords;
      p.password = `${word} ${fresh()}`;
    },
    fill: (p, page) => page.fill('input[name=password]', p.password),
    async true(p, page) {
      at(page, '/signin');
      await says(page, /Your new password is set/);
      assert.equal((await p.account()).passwords, p.version + 1);
    },
  },
  'exeunt /forgot': {
    needs: 'out', path: '/forgot', back: null, gone: /Look into your mailbox|Forgot your password/,
    before: () => call('advance', { seconds: 3600 }), // so many requests an hour
    fill: (p, page) => page.fill('input[name=identifier]', p.handle),
    async true(p, page) { at(page, '/forgot/sent'); await says(page, /a mail is on its way/); },
    async back(p, page) { return this.true(p, page); },
  },
  'exeunt /confirm/*': {
    needs: 'newcomer', path: (p) => p.link, back: null, gone: /The address is confirmed/,
    before: async (p) => { p.link = await entered(p, `${p.handle}@example.com`); },
    async true(p, page) {
      await says(page, /The address is confirmed/);
      assert.equal((await p.account()).confirmed, true);
    },
    after: (p) => p.out(),
  },
  'exeunt /undo/*': {
    needs: 'newcomer', path: (p) => p.link,
    async before(p) {
      const old = `${p.handle}@example.com`;
      await post(await entered(p, old));
      await post(await entered(p, `new-${old}`));
      [p.link] = (await node.mail(old, { subject: /was changed/ })).links;
      p.version = (await p.account()).passwords;
    },
    async true(p, page) {
      assert.match(page.url(), /\/reset\/exi_/);
      await says(page, /Set a new password/);
      const a = await p.account();
      assert.deepEqual([a.email, a.confirmed, a.passwords], [`${p.handle}@example.com`, true, p.version + 1]);
      assert.equal((await p.active()).length, 0);
    },
    after: (p) => p.out(),
  },
  'exeunt /settings/address': {
    needs: 'newcomer', path: '/settings', button: 'form[action="/settings/address"] button[value=send]',
    before: (p) => entered(p, `${p.handle}@example.com`),
    async true(p, page) { at(page, '/settings'); await says(page, /The mail is on its way/); },
    after: (p) => p.out(),
  },
  'exeunt /signout/offline': {
    needs: 'in', path: '/locked', button: 'form[data-finish] button',
    async before(p) { // the service worker fills in the ticket
      await p.page.goto(`${node.exeunt}/`);
      p.ticket = await p.page.getAttribute('body', 'data-ticket');
    },
    fill: (p, page) => page.locator('form[data-finish] input[name=ticket]').evaluate((field, ticket) => { field.value = ticket; }, p.ticket),
    async true(p, page) {
      at(page, '/signed-out');
      await says(page, /Signed out of this browser/);
      assert.ok(!(await p.active()).some((one) => p.ticket.startsWith(one.id)));
    },
    after: (p) => p.out(),
  },
  'exeunt /signout': {
    needs: 'in', path: '/signout', back: null,
    async true(p, page) {
      at(page, '/signed-out');
      await says(page, /Signed out of this browser/);
      assert.equal((await p.active()).length, 0);
    },
  },
  'exeunt /signout/all': {
    needs: 'several', path: '/signout/all', back: null,
    async true(p, page) {
      at(page, '/signed-out');
      await says(page, /Signed out of all 2 accounts/);
      assert.equal((await p.active()).length, 0);
    },
    after: (p) => p.out(),
  },
  'exeunt /accounts/switch': {
    needs: 'several', path: '/accounts', button: 'main button[form=switch]',
    async back(p, page) { at(page, '/'); assert.match(await page.locator('.acct .who').first().innerText(), new RegExp(`@${p.other}`)); },
    async true(p, page) { at(page, '/'); assert.match(await page.locator('.acct .who').first().innerText(), new RegExp(`@${p.handle}`)); },
    after: (p) => p.out(),
  },
  'exeunt /signout everywhere': {
    form: 'exeunt /signout', needs: 'two', path: '/signout?scope=account', back: null,
    async true(p, page) {
      at(page, '/signed-out');
      await says(page, /Signed out everywhere/, /2 sessions ended/);
      assert.equal((await p.active()).length, 0);
    },
  },
  'exeunt /check/clear': {
    needs: 'out', path: '/check', back: null, gone: /Nothing\. Nobody is signed in here/,
    before: (p) => p.context.addCookies([planted(TOKEN, 'exs_garbage')]),
    async true(p, page) {
      at(page, '/check');
      await says(page, /Nothing\. Nobody is signed in here/);
      assert.doesNotMatch(await cookieHeader(p.context, node.exeunt), /exs_/);
    },
  },
  'exeunt /sessions/end': {
    needs: 'two', path: '/signout?scope=others',
    async true(p, page) {
      at(page, '/sessions');
      await says(page, /One session ended/);
      assert.equal((await p.active()).length, 1);
    },
    async tab(p, page) {
      await says(page, /You were not signed in anywhere else/);
      assert.equal((await p.active()).length, 1);
    },
    back(p, page) { return this.tab(p, page); },
  },
  'exeunt /notices/*/me': { // the app's sign-in is from what the account was not used with
    needs: 'asked', path: '/', back: null,
    button: 'form[action^="/notices/"][action$="/me"] button',
    before: async (p) => { p.live = (await p.active()).length; },
    async true(p, page) {
      at(page, '/');
      await says(page, /Noted/);
      assert.doesNotMatch(await main(page), /Was this you/);
      assert.equal((await p.active()).length, p.live);
    },
  },
  'exeunt /notices/*/not-me': {
    needs: 'asked', path: '/', back: null,
    button: 'form[action^="/notices/"][action$="/not-me"] button',
    async true(p, page) {
      at(page, '/signed-out');
      await says(page, /Signed out everywhere/, /What to do now/);
      assert.equal((await p.active()).length, 0);
    },
  },
  'exeunt /not-me/*': {
    needs: 'mailed', path: (p) => p.link, back: null, gone: /Everybody is signed out/,
    button: 'main form button.danger',
    async before(p) { p.sessions = (await p.active()).length; },
    async true(p, page) {
      assert.equal(page.url(), p.link);
      await says(page, /Everybody is signed out/, /Set a new password/);
      assert.deepEqual([p.sessions, (await p.active()).length], [2, 0]);
    },
    async tab(p, page) {
      assert.equal(page.url(), p.link);
      await says(page, /Everybody is signed out/);
      assert.equal((await p.active()).length, 0);
    },
  },
  'exeunt /sessions/*/end': {
    needs: 'two', path: '/sessions', back: null,
    button: 'form[data-ending] button',
    async true(p, page) {
      at(page, '/sessions');
      await says(page, /Signed out just now/);
      assert.equal((await p.active()).length, 1);
    },
  },
  'exeunt /settings/profile': {
    needs: 'in', path: '/settings',
    before: (p) => { p.name = `Named ${fresh()}`; },
    fill: (p, page) => page.fill('input[name=name]', p.name),
    async true(p, page) { at(page, '/settings'); await says(page, /Saved/); assert.equal((await p.account()).name, p.name); },
  },
  'exeunt /settings/picture': {
    needs: 'in', path: '/settings',
    before: async (p) => { p.had = (await p.account()).picture; p.pictures = (p.pictures ?? 0) + 1; },
    fill: (p, page) => page.setInputFiles('#f-picture', image(p.pictures)),
    async true(p, page) {
      at(page, '/settings');
      await says(page, /Your picture is saved/);
      const { picture } = await p.account();
      assert.ok(picture && picture !== p.had, `the picture was ${p.had} and is ${picture}`);
    },
  },
  'exeunt /settings/picture/remove': {
    needs: 'newcomer', path: '/settings', button: 'button[form="remove-picture"]', back: null, gone: /your initials are shown/,
    before: (p) => upload(p.page),
    async true(p, page) {
      at(page, '/settings');
      await says(page, /Your picture is removed/);
      assert.equal((await p.account()).picture, '');
    },
    after: (p) => p.out(),
  },
  'exeunt /language': {
    needs: 'newcomer', path: '/language?return=/settings', button: 'main button[value=de]',
    async true(p, page) {
      at(page, '/settings');
      assert.equal(await page.evaluate(() => document.documentElement.lang), 'de');
      assert.equal((await p.account()).language, 'de');
    },
    after: (p) => p.out(),
  },
  'exeunt /settings/display': {
    needs: 'in', path: '/settings',
    before: (p) => { p.display = p.display === 'dark' ? 'light' : 'dark'; },
    // Without the event, with which the script saves it at once.
    fill: (p, page) => page.locator(`input[value=${p.display}]`).evaluate((field) => { field.checked = true; }),
    async true(p, page) {
      at(page, '/settings');
      await says(page, /Saved/);
      assert.equal((await p.account()).display, p.display);
    },
  },
  'exeunt /security/password': {
    needs: 'two', path: '/security',
    async before(p) { p.version = (await p.account()).passwords; p.next = `${word} ${fresh()}`; },
    async fill(p, page) {
      await page.fill('input[name=current]', p.password);
      await page.fill('input[name=password]', p.next);
    },
    async true(p, page) {
      at(page, '/security');
      await says(page, /Your password was changed. One other session ended/);
      assert.equal((await p.account()).passwords, p.version + 1);
      assert.equal((await p.active()).length, 1);
    },
    async tab(p, page) { // another form, whose current password is the old one
      await says(page, /current password is wrong. Nothing was changed/);
      assert.equal((await p.account()).passwords, p.version + 1);
    },
    back(p, page) { return this.tab(p, page); },
    after: (p) => { p.password = p.next; },
  },
  'exeunt /security/ask': {
    needs: 'newcomer', path: '/security', back: null, gone: /Change password/,
    async true(p, page) { at(page, '/security'); assert.equal(await page.locator('form[action="/security/ask"]').count(), 0); },
    after: (p) => p.out(),
  },
  'exeunt /security/app': {
    needs: 'newcomer', path: '/security/app',
    fill: (p, page) => fillApp(page),
    async true(p, page) { at(page, '/security/codes'); await says(page, /Save these ten codes/); },
    // Another form adds another app, and the codes stay.
    async tab(p, page) { at(page, '/security'); await says(page, /It was added/, /On, by 2/); },
    back(p, page) { return this.tab(p, page); },
    after: (p) => p.out(),
  },
  'exeunt /security/codes': {
    needs: 'newcomer', before: (p) => addApp(p.page), path: '/security/codes', back: null, gone: /Save these ten codes/,
    async true(p, page) { at(page, '/security/codes'); await says(page, /Save these ten codes/); },
    after: (p) => p.out(),
  },
  'exeunt /security/passkeys': {
    script: true, needs: 'newcomer', path: '/security/passkeys',
    before: (p) => authenticator(p.page),
    fill: (p, page) => page.bringToFront(), // browsers ask only where somebody looks
    async true(p, page) { at(page, '/security/codes'); await says(page, /Save these ten codes/); },
    // The device has one by now, and the page says so.
    back: (p, page) => says(page, /already has a passkey of your account/),
    after: (p) => p.out(),
  },
  'exeunt /security/passkeys/decline': {
    needs: 'newcomer', path: '/', back: null, gone: /Hello, /,
    async true(p, page) { at(page, '/'); assert.equal(await page.locator('[data-passkey-offer]').count(), 0); },
    after: (p) => p.out(),
  },
  'exeunt /account/delete': {
    needs: 'newcomer', path: '/account/delete', back: null, gone: /Sign in|will be deleted/,
    async true(p, page) { at(page, '/account/deleting'); await says(page, /will be deleted on/); assert.equal((await p.active()).length, 0); },
    after: (p) => p.out(),
  },
  'exeunt /account/keep': {
    needs: 'newcomer', before: (p) => toDelete(p), path: '/account/deleting', back: null,
    async true(p, page) { at(page, '/settings'); await says(page, /Your account is kept/); assert.equal((await p.active()).length, 1); },
    async tab(p, page) { at(page, '/'); assert.equal((await p.active()).length, 1); },
    after: (p) => p.out(),
  },
  'exeunt /account/leave': {
    needs: 'newcomer', before: (p) => toDelete(p), path: '/account/deleting', back: null, gone: /Sign in|will be deleted/,
    async true(p, page) { at(page, '/signed-out'); assert.equal((await p.active()).length, 0); },
    after: (p) => p.out(),
  },
  'exeunt /review/begin': {
    needs: 'newcomer', path: '/review', back: null, gone: /Nothing is left/,
    async true(p, page) { at(page, '/review'); await says(page, /Nothing is left to look at/); },
    after: (p) => p.out(),
  },
  'exeunt /review/decide': {
    needs: 'newcomer', before: (p) => begun(p, '/review/begin'), path: '/review', back: null, gone: /You kept/,
    async true(p, page) { at(page, '/review'); await says(page, /You kept 0 and ended 0/); },
    after: (p) => p.out(),
  },
  'exeunt /secure/begin': {
    needs: 'newcomer', path: '/secure', back: null, gone: /of 5 steps/,
    async true(p, page) { at(page, '/secure'); await says(page, /2 of 5 steps/); assert.equal((await p.active()).length, 1); },
    after: (p) => p.out(),
  },
  'exeunt /secure/step': {
    needs: 'newcomer', before: (p) => begun(p, '/secure/begin'), path: '/secure',
    async true(p, page) { at(page, '/secure'); await says(page, /3 of 5 steps/); },
    back: (p, page) => says(page, /4 of 5 steps/), // the form of the next step
    after: (p) => p.out(),
  },
  'exeunt /secure/finish': {
    needs: 'newcomer', before: (p) => begun(p, '/secure/begin'), path: '/secure', back: null, gone: /You closed this list/,
    async true(p, page) { at(page, '/secure'); await says(page, /You closed this list/); },
    after: (p) => p.out(),
  },
  'exeunt /session/stay': {
    script: false, needs: 'in', path: '/security', // only browsers without script have it
    async true(p, page) { at(page, '/security'); assert.equal((await p.active()).length, 1); },
  },
  'exeunt /authorize/decide continue': {
    needs: 'newcomer', path: () => `${node.gazette}/sign-in?return=/articles/doors`,
    back: null, gone: /All articles/, // what was allowed once is not asked again
    // A second answer comes to an app that has had the first.
    async true(p, page) { assert.match(page.url(), new RegExp(`^${node.gazette}/articles`)); assert.equal(await page.locator('.account form').count(), 1); },
    after: (p) => p.out(),
  },
  'exeunt /authorize/decide cancel': {
    needs: 'newcomer', path: () => `${node.gazette}/sign-in`,
    async true(p, page) { at(page, `${node.gazette}/`); assert.equal(await page.locator('.account form').count(), 0); },
    // The app has been told already; nobody is signed in to it, which its page says.
    back: (p, page) => says(page, /sign-in did not work/),
    after: (p) => p.out(),
  },
  'exeunt /end_session/browser': {
    needs: 'chirp', path: '/end_session?client_id=chirp', back: null,
    async true(p, page) {
      at(page, '/signed-out');
      await says(page, /Signed out of this browser/);
      assert.equal((await p.active()).length, 0);
    },
  },
  'exeunt /end_session/app': {
    needs: 'chirp', path: '/end_session?client_id=chirp', back: null, gone: /asks to sign you out/,
    async true(p, page) {
      at(page, '/apps');
      await says(page, /One sign-in of Chirp ended/);
      assert.equal((await p.active()).length, 1);
    },
    tab: (p, page) => says(page, /You were not signed in to Chirp/),
  },
  'exeunt /apps/*/end': {
    needs: 'chirp', path: '/apps', button: 'form[action="/apps/chirp/end"] button', back: null, gone: /Apps/,
    async true(p, page) {
      at(page, '/apps');
      await says(page, /One sign-in of Chirp ended/);
      assert.equal((await p.active()).length, 1);
    },
    tab: (p, page) => says(page, /You were not signed in to Chirp/),
  },
  'exeunt /apps/*/remove': {
    needs: 'newcomer', before: (p) => enterGazette(p.page), path: '/apps', button: 'form[action="/apps/gazette/remove"] button',
    back: null, gone: /No app signs you in/,
    async true(p, page) { at(page, '/apps'); await says(page, /Gazette has no access any more. One sign-in of it ended/); },
    tab: (p, page) => says(page, /Gazette has no access any more/),
    after: (p) => p.out(),
  },
  'chirp /posts': writes('/', '/', 'button.primary'),
  'chirp /drafts': writes('/drafts', '/drafts', 'button.primary'),
  'chirp /drafts from the timeline': { form: 'chirp /drafts', ...writes('/', '/drafts', 'button[formaction="/drafts"]') },
  'chirp /messages': writes('/messages', '/messages/grace', 'form[action="/messages"] button.primary',
    (page) => page.fill('input[name=to]', 'grace')),
  'chirp /drafts/*': { ...ofDraft('Save', '/drafts', 1), back: undefined, tab: undefined },
  'chirp /drafts/*/post': ofDraft('Post', '/', 1),
  'chirp /drafts/*/delete': ofDraft('Delete this draft', '/drafts', 0),
  'chirp /exeunt/sign-out-app': {
    needs: 'chirp', path: () => node.chirp, back: null,
    async true(p, page) {
      at(page, `${node.chirp}/exeunt/signed-out`);
      await says(page, /Chirp was signed out in this browser/);
      assert.equal((await p.active()).length, 1);
    },
  },
};

// A form of Chirp that writes a text: it is there once, and twice only from two forms.
function writes(path, to, button, more = async () => {}) {
  const there = (n) => async (p, page) => { at(page, node.chirp + to); assert.equal(await times(page, p.text), n); };
  return {
    needs: 'chirp', path: () => node.chirp + path, button: `main ${button}`,
    before: (p) => { p.text = `Some words ${fresh()} said`; },
    async fill(p, page) { await more(page); await page.fill('textarea', p.text); },
    true: there(1), tab: there(2), back: there(2),
  };
}

function ofDraft(label, to, n) {
  return {
    needs: 'chirp', path: (p) => node.chirp + p.draft, button: `main button:text-is("${label}")`,
    async before(p) {
      p.text = `A draft ${fresh()} kept`;
      await p.page.goto(`${node.chirp}/drafts`);
      await p.page.fill('textarea', p.text);
      await p.page.getByRole('button', { name: 'Keep as draft' }).click();
      await p.page.getByText(p.text).waitFor();
      p.draft = await p.page.locator('li', { hasText: p.text }).locator('a').getAttribute('href');
    },
    async true(p, page) { at(page, node.chirp + to); assert.equal(await times(page, p.text), n); },
    tab: (p, page) => says(page, /Nothing here/),
    back: null,
  };
}

/** Enters another address for somebody, and returns the link that confirms it. */
async function entered(p, email) {
  await call('change', { handle: p.handle, password: p.password, email });
  return (await node.mail(email)).links[0];
}

/** Sends the form of a link's page as a browser does. */
async function post(link) {
  const answer = await request(link, { method: 'POST', headers: { Origin: node.exeunt, 'Content-Type': 'application/x-www-form-urlencoded' } });
  assert.equal(answer.status, 303, answer.text);
}

const key = ({ origin, pathname }, value) => `${['exeunt', 'chirp', 'gazette'].find((name) => node[name] === origin)} ${pathname
  .replace(/(sessions|drafts|apps|notices)\/(?!end)[^/]+/, '$1/*').replace(/\/(setup|reset|confirm|undo|not-me)\/.*/, '/$1/*')}${value ? ` ${value}` : ''}`;

/** The forms of a page, each with the button that sends it. */
async function formsOf(page) {
  const list = await page.locator('form').evaluateAll((forms) => forms.filter((f) => f.method === 'post')
    .flatMap((f) => [...f.elements].filter((e) => e.type === 'submit')
      .map((b) => ({ to: b.hasAttribute('formaction') ? b.formAction : f.action, value: b.name === 'decision' ? b.value : '' }))));
  return list.map(({ to, value }) => key(new URL(to), value));
}

test('every form of every page has a judge, and every judge a form', async () => {
  const p = await Person.enter(false);
  const { page } = p;
  const found = new Map();
  const look = async (address) => {
    await page.goto(address);
    for (const form of await formsOf(page)) if (!found.has(form)) found.set(form, address);
  };
  for (const path of outside) await look(node.exeunt + path);
  await p.out();
  await p.context.addCookies([planted(TOKEN, 'exs_garbage')]);
  await look(`${node.exeunt}/check`);
  await p.context.clearCookies();
  await look((await call('invite', { handle: fresh() })).link);
  await look((await call('reset', { handle: p.handle })).link);
  const moved = { handle: fresh(), password: p.password };
  await call('add', { handle: moved.handle, password: p.password });
  const confirm = await entered(moved, `${moved.handle}@example.com`);
  await look(confirm);
  await post(confirm);
  await post(await entered(moved, `new-${moved.handle}@example.com`));
  await look((await node.mail(`${moved.handle}@example.com`, { subject: /was changed/ })).links[0]);
  await entered(p, `${p.handle}@example.com`);
  await look(node.chirp);
  await p.mailed();
  await look(p.link);
  await p.asked();
  await look(`${node.exeunt}/`);
  await p.several();
  for (const path of ['/accounts', '/signout/all']) await look(node.exeunt + path);
  await p.out();
  await p.two();
  await upload(page);
  for (const path of inside) await look(node.exeunt + path);
  await look(`${node.gazette}/sign-in`);
  await enterGazette(page);
  await p.chirp();
  for (const path of ['/apps', '/end_session?client_id=chirp']) await look(node.exeunt + path);
  await page.goto(node.chirp);
  await page.fill('textarea', 'A draft');
  await page.getByRole('button', { name: 'Keep as draft' }).click();
  await page.waitForURL(`${node.chirp}/drafts`);
  const draft = await page.locator('main li a').first().getAttribute('href');
  for (const path of ['/', '/drafts', draft, '/messages', '/messages/grace']) await look(node.chirp + path);
  await p.newcomer();
  await addApp(page);
  await look(`${node.exeunt}/security/codes`);
  await p.newcomer();
  for (const path of ['/review', '/secure']) {
    await begun(p, `${path}/begin`);
    await look(node.exeunt + path);
  }
  await toDelete(p);
  await look(`${node.exeunt}/account/deleting`);
  await p.context.close();
  const judged = new Set(Object.entries(judges).map(([name, j]) => j.form ?? name));
  assert.deepEqual([...found].filter(([form]) => !judged.has(form)), [], 'nobody judges these forms; write what is true of them');
  assert.deepEqual([...judged].filter((form) => !found.has(form)), [], 'no page has these forms any more');
});

const settled = (page) => until('the browser is at rest', async () => {
  for (let i = 0; i < 3; i += 1) { if (page.open > 0) return false; await pause(20); }
  return true;
}, 2 * minutes);

/** What is shown is true: at once, or as soon as the browser is there. */
async function isTrue(what, page, truth) {
  await settled(page);
  let wrong;
  await until(what, async () => {
    try { await truth(); return true; } catch (err) { wrong = err; return false; }
  }, 2 * minutes).catch(async () => assert.fail(`${what}: ${wrong.message}\nat ${page.url()}: ${await main(page).catch(() => '')}`));
}

function pressing(page, name, j) {
  const [, path, value] = (j.form ?? name).split(' ');
  const css = j.button ?? (/\/(signup|setup)/.test(path) ? 'form[data-device] button.primary'
    : /\/(reset|confirm|undo)/.test(path) ? 'main form button[class]:not([type=button])'
      : `form[action="${path}"] button${value ? `[value=${value}]` : ':not([type=button])'}`);
  return page.locator(css).first();
}

const press = (button) => button.evaluate((b) => b.click());

for (const [name, j] of Object.entries(judges)) {
  test(`pressed twice, the answer is true: ${name}`, async () => {
    const both = await Promise.allSettled([true, false].filter((script) => j.script === undefined || j.script === script).map(async (script) => {
      for (const way of script ? [0, 120, 'after Back'] : [20, 400, 'a second tab']) await one(name, j, people[script], script, way);
    }));
    const wrong = both.find((r) => r.status === 'rejected');
    if (wrong) throw wrong.reason;
  });
}

async function one(name, j, p, script, way) {
  const what = `${name}, ${typeof way === 'number' ? `${way} ms apart` : way}, ${script ? 'with' : 'without'} script`;
  const { page, second } = p;
  await p[j.needs]();
  await j.before?.(p);
  const open = async (tab) => {
    const path = typeof j.path === 'function' ? j.path(p) : node.exeunt + j.path;
    await tab.goto(path);
    await j.fill?.(p, tab);
  };
  await open(page);
  if (typeof way === 'number') {
    const button = await pressing(page, name, j).elementHandle();
    await press(button);
    await pause(way);
    await press(button).catch(() => {}); // if the page has gone by then, there is nothing left to press
    await isTrue(what, page, () => j.true(p, page));
  } else if (way === 'a second tab') {
    await open(second);
    await press(pressing(page, name, j));
    await isTrue(`${what}, the first`, page, () => j.true(p, page));
    await press(pressing(second, name, j));
    await isTrue(what, second, () => (j.tab ?? j.true).call(j, p, second));
    await rest(second);
  } else {
    await press(pressing(page, name, j));
    await isTrue(`${what}, the first`, page, () => j.true(p, page));
    await page.goBack();
    await settled(page);
    if (j.back === null) { // the form has gone with what it did, and the page says so
      await isTrue(what, page, async () => {
        assert.match(await main(page), j.gone ?? gone);
        assert.equal(await pressing(page, name, j).count(), 0);
      });
    } else {
      await j.fill?.(p, page);
      await press(pressing(page, name, j));
      await isTrue(what, page, () => (j.back ?? j.true).call(j, p, page));
    }
  }
  await j.after?.(p);
}

// What the page of a form says when there is nothing left to press.
const gone = /Hello, |This link no longer works|Signed out (of this browser|everywhere)|Nothing here|not signed in|not signed in anywhere else|Welcome|Sign in/;
