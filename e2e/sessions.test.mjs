// Browser sessions: what the browser holds, what the server keeps, how they
// end, and what the pages say about them.
import test from 'node:test';
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { desktop, phone, profile, signIn } from './lib/browser.mjs';
import { both, stage } from './lib/stage.mjs';
import { enterChirp } from './lib/chirp.mjs';
import { newest, submit } from './lib/pages.mjs';
import { cookieHeader, request, until } from './lib/wait.mjs';
import { hereOf, isHere, isToken } from './lib/cookies.mjs';

const s = stage();
const day = 24 * 60 * 60;

async function signedIn(t, { script = true, kind = 'kept', account, as = desktop } = {}) {
  const page = await s.visit(t, { ...as, javaScriptEnabled: script });
  await signIn(page, s.node, account ?? s.node.ada, kind);
  return page;
}

const cookie = async (page, is) => (await page.context().cookies()).find((one) => is(one.name));
const sessionOf = (page) => page.locator('body').getAttribute('data-session');
const state = async (header) => (await request(`${s.node.exeunt}/session/state`, { headers: { Cookie: header } })).status;
const holds = (page) => cookieHeader(page.context(), s.node.exeunt);
// note is what an open page sends when somebody is at work in it.
const note = (jar, session) => request(`${s.node.exeunt}/session/activity`, {
  method: 'POST', body: `session=${session}`,
  headers: { Cookie: jar, Origin: s.node.exeunt, 'Sec-Fetch-Site': 'same-origin', 'Content-Type': 'application/x-www-form-urlencoded' },
});

/** Ends every other session from the list, through the question that comes first. */
async function everywhereElse(page) {
  await page.getByRole('link', { name: 'Sign out everywhere else' }).locator('visible=true').click();
  await page.locator('form[action="/sessions/end"] button.danger').locator('visible=true').click();
  await page.getByText('Signed out everywhere else.').waitFor();
}

/** All that the server has written to its data folder, as one buffer. */
async function stored() {
  const names = await readdir(s.node.data, { recursive: true, withFileTypes: true });
  const files = names.filter((one) => one.isFile()).map((one) => join(one.parentPath ?? one.path, one.name));
  assert.ok(files.some((name) => name.endsWith('.db')), `the database is among ${files}`);
  return Buffer.concat(await Promise.all(files.filter((name) => !name.endsWith('demo.json')).map((name) => readFile(name))));
}

test('[R3.1] the cookie is an opaque random token, and the server stores only its hash', async (t) => {
  const [one, two] = [await signedIn(t), await signedIn(t)];
  const [first, second] = [await cookie(one, isToken), await cookie(two, isToken)];
  assert.match(first.value, /^exs_[0-9A-Za-z]{49}$/, 'a prefix, 256 random bits, a checksum');
  let same = 0;
  for (let i = 4; i < 47; i++) same += first.value[i] === second.value[i] ? 1 : 0;
  assert.ok(same < 12, 'two tokens of one account have nothing in common');
  const here = await cookie(one, isHere);
  await enterChirp(one, s.node);
  const app = (await one.context().cookies()).find((each) => each.value.startsWith('exa_'));
  assert.ok(app, 'Chirp has a token of its own');
  const bytes = await stored();
  for (const secret of [first.value, second.value, app.value, here.value]) {
    assert.equal(bytes.includes(secret), false, 'the secret itself is nowhere in the data folder');
    assert.equal(bytes.includes(secret.slice(4, 44)), false, 'nor its random part');
  }
  for (const token of [first.value, second.value, app.value]) {
    assert.equal(bytes.includes(createHash('sha256').update(token).digest()), true, 'its hash is: the search would find what is there');
  }
});

test('[R3.1 R4.2] kept cookies live as long as a session may; shared ones have no expiry; script reads only the second half', async (t) => {
  for (const kind of ['kept', 'shared']) {
    const page = await s.visit(t);
    const answers = [];
    page.on('response', (r) => answers.push(r));
    await signIn(page, s.node, s.node.ada, kind);
    const answer = answers.find((r) => r.request().method() === 'POST' && r.url().endsWith('/signin'));
    const set = (await answer.headersArray()).filter((h) => h.name.toLowerCase() === 'set-cookie').map((h) => h.value);
    for (const is of [isToken, isHere]) {
      const line = set.find((one) => is(one.split('=')[0]));
      const name = line?.split('=')[0];
      assert.ok(line, 'it is set');
      assert.match(line, /; Path=\//);
      assert.match(line, /; Secure/);
      assert.match(line, /; SameSite=Lax/);
      assert.doesNotMatch(line, /Domain/i);
      assert.equal(/HttpOnly/.test(line), is === isToken, 'only the token is out of reach of scripts');
      assert.equal(/Expires|Max-Age/i.test(line), kind === 'kept');
      const held = await cookie(page, is);
      if (kind === 'shared') assert.equal(held.expires, -1);
      else assert.ok(Math.abs(held.expires - Date.now() / 1000 - 180 * day) < 300, 'as long as the absolute limit');
    }
    const read = await page.evaluate(() => document.cookie);
    assert.match(read, /__Host-exeunt-(ses_\w+|shared)-here=/);
    assert.doesNotMatch(read, /exs_/);
  }
});

test('[R4.2] on a shared computer nothing is stored but two cookies that end with the browser', async (t) => {
  const page = await signedIn(t, { kind: 'shared' });
  for (const path of ['/sessions', '/settings', '/help']) await page.goto(s.node.exeunt + path);
  await enterChirp(page, s.node);
  for (const where of [s.node.chirp, s.node.exeunt]) {
    await page.goto(where);
    // The authority's worker and the one page that it keeps name nobody. They go with the sign-out.
    const ours = where === s.node.exeunt ? 1 : 0;
    const stored = () => page.evaluate(async () => ({
      local: localStorage.length, session: sessionStorage.length, databases: (await indexedDB.databases()).length,
      caches: (await caches.keys()).length, workers: (await navigator.serviceWorker.getRegistrations()).length,
    }));
    const allowed = { local: 0, session: 0, databases: 0, caches: ours, workers: ours };
    await until('what may be stored is there', async () => JSON.stringify(await stored()) === JSON.stringify(allowed), 120_000)
      .catch(async () => assert.deepEqual(await stored(), allowed, where));
  }
  const kept = (await page.context().cookies()).filter((one) => one.expires !== -1 && one.name !== '__Host-exeunt-notice');
  assert.deepEqual(kept.map((one) => one.name), []);
});

both(test, '[R3.2] closing the tab leaves a kept session signed in, and the page says so', async (t, script) => {
  const page = await signedIn(t, { script });
  const id = await sessionOf(page);
  const context = page.context();
  await page.close();
  const again = await context.newPage();
  await again.goto(`${s.node.exeunt}/sessions`);
  assert.equal(await sessionOf(again), id);
  assert.match(await again.locator('main').innerText(), /Closing the window does not sign you out/);
  assert.match(await again.locator('section.here').innerText(), /This browser, now/);
});

for (const kind of ['kept', 'shared']) {
  test(`[R3.2 R3.4] closing the whole browser ${kind === 'kept' ? 'keeps a kept session' : 'forgets a shared one, which stays listed'}`, async (t) => {
    const first = await profile({ ...desktop });
    let second;
    t.after(async () => { await second?.context.close(); await first.remove(); });
    const page = await first.context.newPage();
    await signIn(page, s.node, s.node.ada, kind);
    await page.goto(`${s.node.exeunt}/sessions`);
    const id = await sessionOf(page);
    const main = await page.locator('main').innerText();
    if (kind === 'kept') assert.match(main, /Closing the window does not sign you out/);
    else assert.match(main, /Closing the window is not enough: sign out before you leave/);
    await first.context.close();
    second = await profile({ folder: first.dir, ...desktop });
    const later = await second.context.newPage();
    await later.goto(`${s.node.exeunt}/sessions`);
    const { active } = await s.node.sessions('ada');
    assert.ok(active.some((one) => one.id === id), 'the server has it still');
    if (kind === 'kept') {
      assert.equal(await sessionOf(later), id, 'the same session');
      assert.match(await later.locator('section.here').innerText(), /This browser, now/);
    } else {
      assert.equal(new URL(later.url()).pathname, '/signin');
      assert.deepEqual((await second.context.cookies()).filter((one) => one.name.startsWith('__Host-exeunt-ses_')), []);
    }
  });
}

both(test, '[R3.3 R4.1] signing out revokes on the server and clears the browser; old cookies are refused everywhere at once', async (t, script) => {
  const page = await signedIn(t, { script });
  const session = await sessionOf(page);
  await enterChirp(page, s.node);
  const { exeunt, chirp } = s.node;
  const [old, oldChirp] = [await holds(page), await cookieHeader(page.context(), chirp)];
  const bearer = { Authorization: `Bearer ${/exa_\w+/.exec(oldChirp)[0]}` };
  const doors = {
    'a page': () => request(`${exeunt}/sessions`, { headers: { Cookie: old } }),
    'the state': () => request(`${exeunt}/session/state`, { headers: { Cookie: old } }),
    'the stream': () => request(`${exeunt}/session/stream`, { headers: { Cookie: old } }),
    activity: () => note(old, session),
    'the gate, by the app\'s cookie': () => request(`${exeunt}/gate/chirp`, { headers: { Cookie: oldChirp } }),
    'the gate, by a bearer token': () => request(`${exeunt}/gate/chirp`, { headers: bearer }),
    'the API': () => request(`${exeunt}/api/v1/session`, { headers: bearer }),
    'the API\'s stream': () => request(`${exeunt}/api/v1/session/stream`, { headers: bearer }),
    'Chirp\'s messages': () => request(`${chirp}/messages`, { headers: { Cookie: oldChirp } }),
    'Chirp\'s state': () => request(`${chirp}/exeunt/state`, { headers: { Cookie: oldChirp } }),
  };
  for (const [name, knock] of Object.entries(doors)) {
    const { status } = await knock();
    assert.ok(status === 200 || status === 204, `before, ${name} answers ${status}`);
  }
  await page.goto(`${exeunt}/signout`);
  if (script) await page.evaluate(() => { localStorage.setItem('left', 'behind'); sessionStorage.setItem('left', 'behind'); });
  const answered = page.waitForResponse((r) => r.request().method() === 'POST' && r.url().endsWith('/signout'));
  const shown = page.waitForResponse((r) => r.request().isNavigationRequest() && r.url().endsWith('/signed-out'));
  await page.locator('main form button.danger').click();
  const answer = await answered;
  const refused = await Promise.all(Object.entries(doors).map(async ([name, knock]) => [name, await knock()]));
  for (const [name, got] of refused) {
    if (name === 'a page') {
      assert.equal(got.status, 303, name);
      assert.match(got.headers.location, /^\/ended/, name);
    } else {
      assert.equal(got.status, 401, `${name} answers ${got.status}`);
    }
    assert.doesNotMatch(got.text, /ada|Quill/i, name);
  }
  const all = async (of, name) => (await of.headersArray()).filter((h) => h.name.toLowerCase() === name).map((h) => h.value);
  // Of a redirect that came through the service worker nothing can be seen here; what became of the cookies can, below.
  const expired = answer.fromServiceWorker() ? null : await all(answer, 'set-cookie');
  for (const [name, is] of [['the token', isToken], ['its other half', isHere]]) {
    assert.ok(!expired || expired.some((line) => is(line.split('=')[0]) && /^[^=]+=;/.test(line) && /Max-Age=0|01 Jan 1970/.test(line)), `${name} is expired by name`);
  }
  assert.deepEqual(await all(await shown, 'clear-site-data'), ['"storage"'], 'by the page, and nothing of neighbouring sites');
  await page.waitForURL('**/signed-out');
  assert.doesNotMatch(await holds(page), /__Host-exeunt-ses_/);
  if (script) assert.deepEqual(await page.evaluate(() => [localStorage.length, sessionStorage.length]), [0, 0]);
});

both(test, '[R5.1] each scope is one action with its scope in its label; the default is this browser', async (t, script) => {
  const account = s.node.grace;
  const [page, near, far] = [await signedIn(t, { script, account }), await signedIn(t, { account }), await signedIn(t, { account, as: phone })];
  const ids = { page: await sessionOf(page), near: await sessionOf(near), far: await sessionOf(far) };
  const jars = { page: await holds(page), near: await holds(near), far: await holds(far) };
  const lives = async () => Object.fromEntries(await Promise.all(Object.entries(jars).map(async ([name, jar]) => [name, await state(jar) === 200])));
  const list = `${s.node.exeunt}/sessions`;
  await page.goto(list);

  // One.
  const button = page.locator(`[data-row="${ids.far}"]`).getByRole('button', { name: 'Sign out of Chrome on Android' });
  await button.click();
  await page.locator(`[data-row="${ids.far}"][data-state=ended]`).waitFor();
  assert.deepEqual(await lives(), { page: true, near: true, far: false });

  // The default: this browser.
  await page.goto(`${s.node.exeunt}/signout`);
  assert.equal(await page.locator('#ask-title').innerText(), 'Sign out of @grace on this browser?');
  assert.equal(await page.locator('main input[name=scope]').inputValue(), 'session');
  await page.goto(list);
  assert.equal(await page.locator('section.here .actions a').innerText(), 'Sign out of this browser');

  // All others: one press and its confirmation.
  await everywhereElse(page);
  assert.notEqual(await state(jars.page), 200, 'a copy of this browser\'s cookies is refused, too');
  jars.page = await holds(page);
  assert.deepEqual(await lives(), { page: true, near: false, far: false });
  await page.goto(list);
  assert.match(await page.locator('main').innerText(), /Ends this session and any that starts in the meantime/);

  // Every one: one press and its confirmation.
  const another = await signedIn(t, { account });
  jars.near = await holds(another);
  await page.getByRole('link', { name: 'Sign out everywhere, including here' }).click();
  const confirm = page.getByRole('button', { name: 'Sign out everywhere, including here' });
  await confirm.waitFor();
  assert.deepEqual(await lives(), { page: true, near: true, far: false });
  await confirm.click();
  await page.waitForURL('**/signed-out');
  assert.deepEqual(await lives(), { page: false, near: false, far: false });
});

test('[R5.2] signing out everywhere is one event, however many sessions, and all are refused together', async (t) => {
  const account = s.node.grace;
  const pages = [];
  for (let i = 0; i < 6; i++) pages.push(await signedIn(t, { account, kind: i % 2 ? 'shared' : 'kept' }));
  const jars = await Promise.all(pages.map(holds));
  const open = pages.slice(1);
  await Promise.all(open.map((page) => page.goto(`${s.node.exeunt}/settings`)));
  assert.deepEqual(await Promise.all(jars.map(state)), jars.map(() => 200));
  await pages[0].goto(`${s.node.exeunt}/signout?scope=account`);
  const { active } = await s.node.sessions('grace');
  const { head } = await s.node.call('head');
  const answered = pages[0].waitForResponse((r) => r.request().method() === 'POST');
  await pages[0].getByRole('button', { name: 'Sign out everywhere, including here' }).click();
  await answered;
  assert.deepEqual(await Promise.all(jars.map(state)), jars.map(() => 401), 'from the answer on, none works');
  await pages[0].waitForURL('**/signed-out');
  assert.equal((await s.node.call('head')).head, head + 1, 'one entry in the log');
  for (const page of open) {
    await page.waitForURL('**/ended*');
    assert.doesNotMatch(await page.locator('body').innerText(), /grace|Wren/i);
  }
  const ids = new Set(active.map((one) => one.id));
  const { ended } = await s.node.sessions('grace');
  const times = new Set(ended.filter((one) => ids.has(one.id)).map((one) => one.at));
  assert.equal(times.size, 1, 'at one moment');
});

both(test, '[R7.1] the list shows this session first, then the others by last activity, with device, app, address and times', async (t, script) => {
  const page = await signedIn(t, { script });
  await enterChirp(page, s.node);
  const other = await signedIn(t, { as: phone });
  await other.goto(`${s.node.exeunt}/help`);
  await page.goto(`${s.node.exeunt}/sessions`);
  const rows = page.locator('main [data-row][data-state=active]');
  const shown = await rows.evaluateAll((all) => all.map((row) => row.dataset.row));
  assert.equal(shown[0], await sessionOf(page), 'this one first');
  const { active } = await s.node.sessions('ada');
  assert.deepEqual([...shown].sort(), active.map((one) => one.id).sort(), 'every one of them, once');
  const here = await rows.first().innerText();
  assert.match(here, /Chrome on Linux\s+This browser, now/);
  assert.match(here, /127\.0\.0\.1/);
  assert.match(here, /signed in just now/);
  assert.match(here, /Chirp/, 'the app signed in through it');
  const next = page.locator(`[data-row="${await sessionOf(other)}"]`);
  assert.match(await next.innerText(), /Chrome on Android[\s\S]*127\.0\.0\.1[\s\S]*active just now/);
  const apps = page.locator('#app-rows, section:has(#app-list)').first();
  assert.match(await apps.innerText(), /Pixel 8[\s\S]*203\.0\.113\.80[\s\S]*active/);
  const seen = await page.locator('#browser-rows [data-row][data-state=active] .meta time').evaluateAll((all) => all.map((time) => Date.parse(time.getAttribute('datetime'))));
  assert.ok(seen.length > 1 && seen.every((at, i) => i === 0 || at <= seen[i - 1]), 'by last activity');
  await next.locator('details > summary').click();
  const details = await next.locator('details').innerText();
  for (const part of [/Signed in with\s+Password/, /Signed in\s+\S/, /Last active\s+\S/, /Type\s+Browser, stay signed in/, /Expires\s+after 30 days without use/]) assert.match(details, part);
});

test('[R7.1] a session that begins or ends elsewhere shows in the open list by itself', async (t) => {
  const page = await signedIn(t);
  await page.goto(`${s.node.exeunt}/sessions`);
  const other = await signedIn(t, { as: phone });
  const id = await sessionOf(other);
  const row = page.locator(`[data-row="${id}"]`);
  await row.waitFor();
  await other.goto(`${s.node.exeunt}/signout`);
  await submit(other, 'main form', 'button.danger');
  await page.locator(`[data-row="${id}"][data-state=ended]`).waitFor();
  assert.match(await row.innerText(), /Signed out just now\s+You signed out there\./);
  assert.match(await page.locator('#said').textContent(), /Chrome on Android/, 'it is said once, politely');
  assert.equal(await row.getByRole('button').count(), 0);
});

/** Ways for a session to end, and what its owner reads about it afterwards. */
const endings = {
  'signed out here': {
    words: /You signed out there/,
    async end({ page }) { await page.goto(`${s.node.exeunt}/signout`); await submit(page, 'main form', 'button.danger'); },
  },
  'ended from another device': {
    words: /You signed out from Chrome on Android/,
    async end({ id, watch }) {
      await watch.goto(`${s.node.exeunt}/sessions`);
      await watch.locator(`[data-row="${id}"] button`).click();
      await watch.locator(`[data-row="${id}"][data-state=ended]`).waitFor();
    },
  },
  'everywhere else': {
    words: /You signed out from Chrome on Android/,
    async end({ watch }) {
      await watch.goto(`${s.node.exeunt}/sessions`);
      await everywhereElse(watch);
    },
  },
  replaced: {
    words: /Ended because somebody signed in again in the same browser/,
    // The same choice of device would go on with the session.
    async end({ page, account }) { await signIn(page, s.node, account, 'shared'); },
  },
  administrator: {
    words: /Ended by an administrator/,
    async end({ id, account }) { await s.node.call('end', { handle: account.handle, session: id }); },
  },
  'incomplete credential': {
    words: /Ended because this browser’s sign-in cookies were incomplete/,
    async end({ page, id, account }) {
      await page.goto('about:blank'); // an open page would notice by itself
      await s.node.advance(60);
      await page.context().clearCookies({ name: hereOf(id) });
      await page.goto(`${s.node.exeunt}/sessions`);
      await until('it has ended', async () => (await s.node.sessions(account.handle)).ended.some((one) => one.id === id));
    },
  },
  'password change': {
    words: /Ended because the password changed/,
    async end({ watch, account }) {
      const password = `new-${account.password}`;
      await watch.goto(`${s.node.exeunt}/security`);
      await watch.fill('input[name=current]', account.password);
      await watch.fill('main input[name=password]', password);
      await submit(watch, 'form[action="/security/password"]');
      assert.match(await watch.locator('main').innerText(), /Your password was changed\. \S+ other sessions? ended\./);
      account.password = password;
    },
  },
  idle: {
    kind: 'shared', words: /Ended after 15 minutes without activity/,
    async end() { await s.node.advance(16 * 60); },
  },
  'as long as a sign-in lasts': {
    kind: 'shared', words: /Ended after 4 hours, the longest a session can last/,
    async end({ page }) {
      const [jar, session] = [await holds(page), await sessionOf(page)];
      await page.goto('about:blank');
      for (let minutes = 0; minutes < 4 * 60; minutes += 12) {
        assert.equal(await state(jar), 200, `alive after ${minutes} minutes`);
        assert.equal((await note(jar, session)).status, 204);
        await s.node.advance(12 * 60);
      }
      assert.equal(await state(jar), 401, 'activity does not help for ever');
    },
  },
};

for (const [name, { kind = 'kept', words, end }] of Object.entries(endings)) {
  test(`[R7.2] an ended session stays listed with when, why and by what: ${name}`, async (t) => {
    const account = s.node.grace;
    const page = await signedIn(t, { account, kind });
    const id = await sessionOf(page);
    const watch = await signedIn(t, { account, as: phone });
    const since = Date.parse((await s.node.call('now')).now);
    await end({ page, id, watch, account });
    await watch.goto(`${s.node.exeunt}/sessions/ended`);
    const row = watch.locator(`[data-row="${id}"]`);
    assert.match(await row.locator('.why').innerText(), words);
    const at = Date.parse(await row.locator('.meta time').first().getAttribute('datetime'));
    assert.ok(at >= since - 1000 && at <= Date.parse((await s.node.call('now')).now), 'when');
    assert.match(await row.innerText(), /Chrome on Linux/);
    await watch.goto(`${s.node.exeunt}/sessions`);
    assert.equal(await watch.locator(`[data-row="${id}"][data-state=active]`).count(), 0);
  });
}

both(test, '[R7.2] after everything was ended, the next sign-in finds it all in the list', async (t, script) => {
  const account = s.node.grace;
  const page = await signedIn(t, { account, script });
  const other = await signedIn(t, { account, as: phone });
  const ids = [await sessionOf(page), await sessionOf(other)];
  await page.goto(`${s.node.exeunt}/signout?scope=account`);
  await submit(page, 'main form', 'button.danger');
  await signIn(page, s.node, account);
  await page.goto(`${s.node.exeunt}/sessions/ended`);
  assert.match(await page.locator(`[data-row="${ids[0]}"] .why`).innerText(), /You signed out there/);
  assert.match(await page.locator(`[data-row="${ids[1]}"] .why`).innerText(), /You signed out from Chrome on Linux/);
});

// Last: the clock goes on by a month, and ends what the other tests look at.
test('[R3.4] clearing cookies or closing a private window leaves nobody signed in; the orphan is listed until its idle timeout', async (t) => {
  const mine = await signedIn(t);
  const cleared = await signedIn(t);
  const orphans = [await sessionOf(cleared)];
  await cleared.context().clearCookies();
  await cleared.goto(`${s.node.exeunt}/sessions`);
  assert.equal(new URL(cleared.url()).pathname, '/signin');
  const hidden = await signedIn(t);
  orphans.push(await sessionOf(hidden));
  await hidden.context().close();
  const window = await s.visit(t);
  await window.goto(s.node.exeunt);
  assert.equal(new URL(window.url()).pathname, '/signin', 'the next private window knows nothing');

  await mine.goto(`${s.node.exeunt}/sessions`);
  for (const id of orphans) assert.match(await mine.locator(`[data-row="${id}"]`).innerText(), /Sign out/);
  await s.node.advance(20 * day);
  await mine.goto(`${s.node.exeunt}/sessions`); // somebody is here
  for (const id of orphans) assert.match(await mine.locator(`[data-row="${id}"]`).innerText(), /active on/);
  await s.node.advance(10 * day + 60);
  await mine.goto(`${s.node.exeunt}/sessions/ended`);
  for (const id of orphans) assert.match(await mine.locator(`[data-row="${id}"]`).innerText(), /Ended after 30 days without activity/);
});

both(test, '[R4.4] a forgotten password: the operator\'s link sets a new one, once, and every session ends', async (t, script) => {
  const account = s.node.grace;
  const open = await signedIn(t, { account });
  const { link } = await s.node.call('reset', { handle: 'grace' });
  const page = await s.visit(t, { ...desktop, javaScriptEnabled: script });
  await page.goto(`${s.node.exeunt}/signin`);
  await page.getByRole('link', { name: 'Forgot your password?' }).click();
  await page.waitForURL('**/forgot');
  assert.match(await page.locator('main').innerText(), /Enter your handle or your e-mail address/);
  await page.goto(link);
  assert.match(await page.locator('main').innerText(), /Set a new password[\s\S]*@grace[\s\S]*ends every session/);
  assert.equal((await s.node.sessions('grace')).active.length > 0, true, 'looking ends nothing');
  account.password = `quite-another-${account.password}`;
  await page.fill('input[name=password]', account.password);
  await Promise.all([page.waitForURL('**/signin'), page.click('main form button.primary')]);
  await page.getByText('Your new password is set').waitFor();
  assert.deepEqual((await s.node.sessions('grace')).active, []);
  await open.waitForURL('**/ended*');
  assert.match(await open.locator('main').innerText(), /The password was changed/);
  await signIn(page, s.node, account);
  await page.goto(link);
  assert.match(await page.locator('main').innerText(), /This link no longer works/);
});

both(test, '[R3.5] a long list comes in pages, and ending a row keeps the place', async (t, script) => {
  const account = s.node.grace;
  const page = await signedIn(t, { script, account, as: phone });
  const before = (await s.node.sessions('grace')).active.length;
  await s.node.call('crowd', { handle: 'grace', password: account.password, count: 223 });
  await page.goto(`${s.node.exeunt}/sessions`);
  assert.match(await page.locator('.tabs').innerText(), new RegExp(`Signed in ${before + 223}`));
  for (let part = 0; part < 2; part++) {
    await Promise.all([page.waitForEvent('domcontentloaded'), page.locator('[data-next]').click()]);
  }
  const where = page.url();
  const rows = page.locator('.rows .row');
  assert.equal(await rows.count(), 50);
  const [id, next] = [await rows.nth(20).getAttribute('data-row'), await rows.nth(21).getAttribute('data-row')];
  await page.locator(`[data-row="${id}"] button`).click();
  const ended = page.locator(`[data-row="${id}"][data-state=ended]`);
  await ended.waitFor();
  assert.match(await ended.innerText(), /You signed out from Chrome on Android/);
  await page.waitForFunction((row) => {
    const { top, bottom } = document.querySelector(`[data-row="${row}"]`).getBoundingClientRect();
    return top < innerHeight && bottom > 0;
  }, id);
  if (script) {
    assert.equal(page.url(), where, 'the page was not loaded again');
    await page.waitForFunction((row) => document.activeElement.closest('.row')?.dataset.row === row, next);
  } else {
    assert.equal(page.url(), `${where}#${id}`);
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement.closest('.row')?.dataset.row), next);
  }
  await page.goto(`${s.node.exeunt}/signout?scope=others`);
  assert.match(await page.locator('main').innerText(), new RegExp(`This ends ${before + 221} other sessions`));
  assert.equal(await page.locator('main .with li').count(), 6, 'five are named');
  const box = await page.locator('main button.danger').boundingBox();
  assert.ok(box.y + box.height < phone.viewport.height, 'the button is in view');
});
