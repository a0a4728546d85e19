// Pages that are open while something happens elsewhere: in another tab, on
// another device, or to the server.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { Node } from './lib/node.mjs';
import { launch, desktop, signIn, signOut } from './lib/browser.mjs';
import { enterChirp } from './lib/chirp.mjs';

let node, browser;
before(async () => { node = await Node.start(); browser = await launch(); });
after(async () => { await browser?.close(); await node?.stop(); });

async function signedIn(options = {}) {
  const context = await browser.newContext({ ...desktop, ...options });
  const page = await context.newPage();
  await signIn(page, node);
  return { context, page, session: await page.locator('body').getAttribute('data-session') };
}

// watched opens a page and waits until its guard has asked the server once.
async function watched(context, path) {
  const page = await context.newPage();
  const asked = page.waitForResponse('**/session/state*');
  await page.goto(node.exeunt + path);
  await asked;
  await until(async () => !(await blank(page)), 5000, 'showing the page');
  return page;
}

// blank tells that nothing private is shown; a page on its way elsewhere is.
const blank = (page) => page.evaluate(() => {
  const main = document.querySelector('.private main, main.private');
  return !main || !main.checkVisibility({ visibilityProperty: true });
}).catch(() => true);

async function until(done, limit, what) {
  const start = performance.now();
  while (!(await done())) {
    assert.ok(performance.now() - start < limit, `${what} took more than ${limit} ms`);
    await new Promise((next) => { setTimeout(next, 10); });
  }
  return performance.now() - start;
}

test('[R2.2 R4.1] pages ended from elsewhere are blank within a second and say what happened and why', async () => {
  const { context, page, session } = await signedIn();
  const tabs = [await watched(context, '/settings'), await watched(context, '/sessions')];
  await node.call('end', { handle: 'ada', session });
  for (const tab of tabs) await until(() => blank(tab), 1000, `${tab.url()} going blank`);
  for (const tab of [...tabs, page]) {
    await tab.waitForURL('**/ended*');
    assert.match(await tab.locator('main').innerText(), /no longer signed in|nobody is signed in/i);
    assert.doesNotMatch(await tab.content(), /Ada Quill|@ada/);
  }
  // Whoever came first was told why; the others found nothing left to explain.
  const told = await Promise.all([...tabs, page].map((tab) => tab.locator('main').innerText()));
  assert.ok(told.some((text) => /administrator/i.test(text)), told.join('\n'));
  await context.close();
});

test('[R4.1] pages are blank within a second of a sign-out in another tab', async () => {
  const { context, page } = await signedIn();
  const tabs = [await watched(context, '/settings'), await watched(context, '/security')];
  await page.goto(`${node.exeunt}/signout`);
  await Promise.all([page.waitForURL('**/signed-out*'), page.click('main form[action="/signout"] button.danger')]);
  for (const tab of tabs) {
    await until(() => blank(tab), 1000, `${tab.url()} going blank`);
    await tab.waitForURL(/\/(ended|signed-out)$/);
    // A tab that asked before the sign-out's own answer had come is told the reason.
    assert.match(await tab.locator('main').innerText(), /Signed out of this browser|You signed out|It was signed out, here/);
    assert.doesNotMatch(await tab.content(), /Ada Quill|@ada/);
  }
  await context.close();
});

test('[R4.1] another account signing in takes the old pages away', async () => {
  const { context, page } = await signedIn();
  const tab = await watched(context, '/settings');
  await signOut(page, node);
  await signIn(page, node, node.grace);
  await tab.waitForURL((u) => u.pathname !== '/settings', { waitUntil: 'commit' });
  assert.doesNotMatch(await tab.content().catch(() => ''), /Ada Quill/);
  await context.close();
});

test('[R4.1] with the event stream blocked, a look at the page is enough', async () => {
  const { context, page, session } = await signedIn();
  await context.route('**/session/stream*', (route) => route.abort());
  const tab = await watched(context, '/settings');
  await page.close(); // its stream was open before, and would be heard
  await node.call('end', { handle: 'ada', session });
  // A page that leaves at once takes the answer to this with it.
  await tab.evaluate(() => { window.dispatchEvent(new Event('focus')); }).catch(() => {});
  await until(() => blank(tab), 1000, 'going blank');
  await tab.waitForURL('**/ended*');
  await tab.getByText(/administrator/i).waitFor();
  await context.close();
});

test('[R4.1 R6.2] when the server is away a page that comes back stays veiled, and recovers', async () => {
  const own = await Node.start();
  try {
    const context = await browser.newContext(desktop);
    const page = await context.newPage();
    await signIn(page, own);
    await page.goto(`${own.exeunt}/settings`);
    await until(async () => !(await blank(page)), 5000, 'showing the page');
    await own.halt();
    // The page is hidden and shown again, as when a laptop is opened.
    await page.evaluate(() => window.dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true })));
    assert.equal(await blank(page), true);
    await page.evaluate(() => window.dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true })));
    await page.getByText('We cannot reach the server').waitFor();
    assert.equal(await blank(page), true, 'it was shown without anybody having been asked');
    await own.restart('SIGKILL');
    await until(async () => !(await blank(page)), 20000, 'coming back');
    assert.equal(new URL(page.url()).pathname, '/settings');
    await context.close();
  } finally {
    await own.stop();
  }
});

test('[R1.5 R3.3] with ten tabs open there is one event stream, and the sign-out answers within a second', async () => {
  const context = await browser.newContext(desktop);
  const open = new Set();
  let most = 0;
  context.on('request', (r) => {
    if (!r.url().includes('/session/stream')) return;
    open.add(r);
    most = Math.max(most, open.size);
  });
  context.on('requestfinished', (r) => open.delete(r));
  context.on('requestfailed', (r) => open.delete(r));
  const page = await context.newPage();
  await signIn(page, node);
  const tabs = [];
  for (let i = 0; i < 10; i += 1) tabs.push(await watched(context, ['/settings', '/sessions', '/security', '/help', '/'][i % 5]));
  await until(async () => open.size === 1, 5000, 'one stream for ten tabs');
  assert.ok(most <= 2, `${most} streams were open at once`); // one, and while a page gives way to the next, its own
  await page.goto(`${node.exeunt}/signout`);
  const answered = page.waitForResponse((r) => r.request().method() === 'POST' && r.url().endsWith('/signout'));
  await page.click('main form[action="/signout"] button.danger');
  assert.equal((await answered).status(), 303);
  const took = (await answered).request().timing().responseStart; // from when the form was sent, through the worker
  assert.ok(took < 1000, `the sign-out took ${Math.round(took)} ms`);
  await page.waitForURL('**/signed-out*');
  for (const tab of tabs) await until(() => blank(tab), 1000, 'going blank');
  await context.close();
});

test('[R3.1] sign-in in six tabs at once leaves one session, whole', async () => {
  const context = await browser.newContext(desktop);
  const tabs = [];
  for (let i = 0; i < 6; i += 1) {
    const tab = await context.newPage();
    await tab.goto(`${node.exeunt}/signin`);
    await tab.fill('input[name=identifier]', node.grace.handle);
    await tab.fill('input[name=password]', node.grace.password);
    await tab.check('input[name=kind][value=kept]');
    tabs.push(tab);
  }
  await Promise.all(tabs.map((tab) => tab.click('main form button.primary').catch(() => {})));
  // Whichever came last is signed in; a tab that came after it is asked whose
  // sign-in it means to replace, and changes nothing.
  await until(async () => (await Promise.all(tabs.map((tab) => tab.evaluate(() => document.readyState).catch(() => '')))).every((s) => s === 'complete'), 10000, 'six answers');
  const look = await context.newPage();
  await look.goto(`${node.exeunt}/settings`);
  assert.equal(new URL(look.url()).pathname, '/settings', 'nobody is signed in');
  const { ended } = await node.sessions('grace');
  assert.deepEqual(ended.filter((s) => s.reason === 'incomplete_credential'), []);
  await context.close();
});

test('[R6.1] six tabs with requests in flight during sign-in, again and again: nobody is signed out', async () => {
  const rounds = process.env.EXEUNT_E2E_FULL ? 200 : 60; // make traffic runs them all
  const context = await browser.newContext(desktop);
  const tabs = [];
  for (let i = 0; i < 6; i += 1) {
    const tab = await context.newPage();
    await tab.goto(`${node.exeunt}/help`);
    tabs.push(tab);
  }
  const [actor, ...others] = tabs;
  await actor.goto(`${node.exeunt}/signin`); // whose cookie the posts bring back
  const before = (await node.sessions('ada')).ended.filter((s) => s.reason === 'incomplete_credential').length;
  // The other tabs ask without pause, pages and states by turns, with whatever
  // cookies the browser holds at that moment.
  const asking = others.map((tab) => tab.evaluate(async () => {
    window.stop = false;
    const channel = new BroadcastChannel('test');
    let drain = false;
    channel.onmessage = ({ data }) => { if (data === 'drain') drain = true; };
    let n = 0;
    const seen = {};
    while (!window.stop) {
      const path = ['/session/state', '/settings', '/session/state', '/ended'][n % 4];
      const r = await fetch(path, { headers: { 'Exeunt-Activity': 'no' } }).catch(() => null);
      seen[`${path} ${r?.status}`] = (seen[`${path} ${r?.status}`] ?? 0) + 1;
      n += 1;
      if (drain) {
        drain = false;
        channel.postMessage('drained');
      }
    }
    return { n, seen };
  }));
  const result = await actor.evaluate(async ([account, times]) => {
    const lost = [];
    const channel = new BroadcastChannel('test');
    // Nobody signs in within the milliseconds in which what was asked before
    // the sign-out is still being answered.
    const drained = () => new Promise((done) => {
      let left = 5;
      channel.onmessage = ({ data }) => { if (data === 'drained' && (left -= 1) === 0) done(); };
      channel.postMessage('drain');
    });
    for (let round = 0; round < times; round += 1) {
      // Every other time over a live session, which the form names.
      const state = await fetch('/session/state').then((r) => r.json());
      const form = new URLSearchParams({ identifier: account.handle, password: account.password, kind: 'kept', ...(state.session ? { session: state.session } : {}) });
      const signedIn = await fetch('/signin', { method: 'POST', body: form });
      const after = await fetch('/session/state').then(async (r) => ({ status: r.status, ...(await r.json()) }));
      if (after.state !== 'live') lost.push({ round, at: signedIn.url, status: signedIn.status, after });
      if (round % 2) {
        await fetch('/signout', { method: 'POST', body: new URLSearchParams({ session: after.session ?? '', scope: 'session' }) });
        await drained();
      }
    }
    return lost;
  }, [node.ada, rounds]);
  for (const tab of others) await tab.evaluate(() => { window.stop = true; });
  const asked = await Promise.all(asking);
  assert.deepEqual(result, [], 'somebody who had just signed in was signed out');
  assert.ok(asked.reduce((sum, a) => sum + a.n, 0) > rounds, 'there was no traffic');
  assert.ok(asked.every((a) => Object.keys(a.seen).every((k) => !/ 5\d\d/.test(k) || / 503/.test(k))), JSON.stringify(asked.map((a) => a.seen)));
  const after = (await node.sessions('ada')).ended.filter((s) => s.reason === 'incomplete_credential').length;
  assert.equal(after, before, 'a pair under way was taken for half of one');
  await context.close();
});

test('[R4.1] Chirp in another tab goes blank with the authority, and the authority with "everywhere" from Chirp\'s way out', async () => {
  const { context, page } = await signedIn();
  const chirp = await context.newPage();
  await enterChirp(chirp, node);
  const asked = chirp.waitForResponse('**/exeunt/state');
  await chirp.goto(`${node.chirp}/drafts`);
  await asked;
  await until(async () => !(await blank(chirp)), 5000, 'showing Chirp');
  await page.goto(`${node.exeunt}/signout`);
  await Promise.all([page.waitForURL('**/signed-out*'), page.click('main form[action="/signout"] button.danger')]);
  await until(() => blank(chirp), 1000, 'Chirp going blank');
  await chirp.waitForURL('**/exeunt/ended');
  await context.close();
});
