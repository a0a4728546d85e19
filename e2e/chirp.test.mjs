// Chirp, the sample app: nothing is posted under an identity that has signed
// out, an open page goes blank when the session ends elsewhere, and leaving only
// this app leaves the rest alone.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { Node } from './lib/node.mjs';
import { launch, desktop, signIn, signOut } from './lib/browser.mjs';
import { enterChirp, secrets } from './lib/chirp.mjs';
import { ours, isToken } from './lib/cookies.mjs';

let node, browser;
before(async () => { node = await Node.start(); browser = await launch(); });
after(async () => { await browser?.close(); await node?.stop(); });

// witness is somebody else's browser, in which the timeline can be read.
let reader;
async function timeline() {
  if (!reader) {
    reader = await (await browser.newContext({ ...desktop, javaScriptEnabled: false })).newPage();
    await signIn(reader, node, node.grace);
    await enterChirp(reader, node);
  }
  await reader.goto(`${node.chirp}/`);
  return reader.locator('main').innerText();
}

async function inChirp(options = {}, account = node.ada) {
  const context = await browser.newContext({ ...desktop, ...options });
  const page = await context.newPage();
  await signIn(page, node, account);
  const session = await page.locator('body').getAttribute('data-session');
  await enterChirp(page, node);
  return { context, page, session };
}

const submit = (page, button = 'form[action="/posts"] button.primary') => Promise.all([page.waitForEvent('framenavigated'), page.click(button)]);

test('[R4.3] control: a post of somebody who is signed in is posted', async () => {
  for (const javaScriptEnabled of [true, false]) {
    const { context, page } = await inChirp({ javaScriptEnabled });
    await page.fill('#text', `Posted while signed in, script ${javaScriptEnabled}`);
    await submit(page);
    assert.match(await timeline(), new RegExp(`Posted while signed in, script ${javaScriptEnabled}`));
    await context.close();
  }
});

test('[R4.3] a post that was waiting when the session ended is refused, and not posted later either', async (t) => {
  const ways = [
    ['signed out in another tab', async ({ context }) => { const tab = await context.newPage(); await signOut(tab, node); await tab.close(); }],
    ['ended from elsewhere', ({ session }) => node.call('end', { handle: 'ada', session })],
    ['signed out of Chirp only, in another tab', async ({ context }) => {
      const tab = await context.newPage();
      await tab.goto(`${node.chirp}/drafts`);
      await tab.locator('details.acct summary').click();
      await Promise.all([tab.waitForURL('**/exeunt/signed-out'), tab.click('form[action="/exeunt/sign-out-app"] button')]);
      await tab.close();
    }],
  ];
  for (const [what, end] of ways) {
    await t.test(`${what}, script off`, async () => {
      const held = await inChirp({ javaScriptEnabled: false });
      const { context, page } = held;
      const words = `Queued, ${what}`;
      await page.fill('#text', words);
      await end(held);
      await submit(page);
      assert.match(await page.locator('main').innerText(), /signed out of Chirp|Sign in to Chirp/);
      assert.match(await page.locator('main').innerText(), /Nothing was posted, and nothing will be after you sign in again/);
      assert.doesNotMatch(await timeline(), new RegExp(words));
      // The result, loaded again (which posts again), and signing in again.
      await page.reload();
      assert.doesNotMatch(await timeline(), new RegExp(words));
      await signIn(page, node);
      await enterChirp(page, node);
      // A page that comes out of the back-forward cache is there before it can be driven.
      await page.goBack({ waitUntil: 'commit' });
      await page.locator('main').waitFor();
      await page.goForward({ waitUntil: 'commit' });
      await page.locator('main').waitFor();
      assert.doesNotMatch(await timeline(), new RegExp(words));
      await context.close();
    });
    await t.test(`${what}, script on: the page has gone before anybody can press`, async () => {
      const held = await inChirp();
      const { context, page } = held;
      await page.fill('#text', `Typed, ${what}`);
      await end(held);
      await page.waitForURL(/\/exeunt\/ended/);
      assert.equal(await page.locator('form[action="/posts"]').count(), 0);
      assert.doesNotMatch(await timeline(), /Typed,/);
      await context.close();
    });
  }
  await t.test('sent by a script that was already running', async () => {
    const held = await inChirp();
    const { context, page, session } = held;
    const appSession = await page.inputValue('form[action="/posts"] input[name=session]');
    // From a document of Chirp's that is no page and has no guard, so that it stays.
    await page.goto(node.chirp + await page.locator('link[rel=stylesheet]').first().getAttribute('href'));
    const post = (text) => page.evaluate(async ([id, words]) => {
      const r = await fetch('/posts', { method: 'POST', body: new URLSearchParams({ session: id, text: words }) });
      return r.status;
    }, [appSession, text]);
    assert.equal(await post('Sent by a script in time'), 200);
    await node.call('end', { handle: 'ada', session });
    assert.equal(await post('Sent by a script'), 401);
    assert.match(await timeline(), /Sent by a script in time/);
    assert.doesNotMatch(await timeline(), /Sent by a script$/m);
    await context.close();
  });
});

test("[R4.3] a tab of one sign-in posts nothing under the next, another account's or one's own", async (t) => {
  for (const account of ['grace', 'ada']) {
    await t.test(`next is ${account}`, async () => {
      const { context, page } = await inChirp({ javaScriptEnabled: false });
      const words = `From an old tab, before ${account}`;
      await page.fill('#text', words);
      const tab = await context.newPage();
      await signOut(tab, node);
      await signIn(tab, node, node[account]);
      await enterChirp(tab, node);
      const [answer] = await Promise.all([page.waitForResponse((r) => r.request().method() === 'POST'), page.click('form[action="/posts"] button.primary')]);
      assert.equal(answer.status(), 409);
      await page.getByText('This page belongs to another sign-in').waitFor();
      assert.doesNotMatch(await timeline(), new RegExp(words));
      await context.close();
    });
  }
});

test("[R4.3] at the authority, too, a tab of another sign-in changes nothing", async () => {
  const context = await browser.newContext({ ...desktop, javaScriptEnabled: false });
  const page = await context.newPage();
  await signIn(page, node);
  await page.goto(`${node.exeunt}/settings`);
  await page.fill('input[name=name]', 'Changed by an old tab');
  const tab = await context.newPage();
  await signOut(tab, node);
  await signIn(tab, node, node.grace);
  const [answer] = await Promise.all([
    page.waitForResponse((r) => r.request().method() === 'POST'), page.click('form[action="/settings/profile"] button.btn'),
  ]);
  assert.equal(answer.status(), 409);
  await page.getByRole('heading', { name: 'This tab belongs to another sign-in' }).waitFor();
  assert.match(await page.locator('main').innerText(), /@grace has signed in on this browser since you opened this page, so nothing was done/);
  await tab.goto(`${node.exeunt}/settings`);
  assert.equal(await tab.inputValue('input[name=name]'), 'Grace Wren');
  await context.close();
});

test('[R2.2 R4.1] an open Chirp page is blank within a second of its session ending elsewhere', async () => {
  for (const [path, secret] of [['/', secrets.post], ['/drafts', secrets.draft], ['/messages/grace', secrets.message]]) {
    const { context, page, session } = await inChirp();
    await page.goto(node.chirp + path);
    await page.getByText(secret).waitFor();
    await page.waitForFunction(() => performance.getEntriesByName(`${location.origin}/exeunt/state`).length > 0);
    const gone = page.waitForFunction((words) => !document.body.innerText.includes(words) || getComputedStyle(document.querySelector('main')).visibility === 'hidden', secret, { polling: 20 })
      .then(() => performance.now(), () => performance.now());
    await node.call('end', { handle: 'ada', session });
    const ended = performance.now();
    const took = await gone - ended;
    assert.ok(took < 1000, `${path} stood for ${Math.round(took)} ms`);
    await page.waitForURL(/\/exeunt\/ended/);
    await page.getByText(/administrator/).waitFor();
    assert.equal((await context.cookies(node.chirp)).filter((c) => c.name === '__Host-chirp').length, 0, 'the dead cookie is still there');
    await context.close();
  }
});

test('[R5.1] "Only this app" ends only Chirp, and coming back takes a click', async () => {
  for (const javaScriptEnabled of [true, false]) {
    const { context, page, session } = await inChirp({ javaScriptEnabled });
    await page.locator('details.acct summary').click();
    await Promise.all([page.waitForURL('**/exeunt/signed-out'), page.click('form[action="/exeunt/sign-out-app"] button')]);
    assert.match(await page.locator('main').innerText(), /Chirp was signed out in this browser/);
    assert.ok((await node.sessions('ada')).active.some((s) => s.id === session), 'the whole session ended');
    assert.ok((await ours(context)).some(isToken));
    await page.goto(`${node.chirp}/drafts`);
    assert.match(await page.locator('main').innerText(), /Sign in/);
    assert.doesNotMatch(await page.content(), new RegExp(secrets.draft));
    await page.goto(`${node.chirp}/exeunt/sign-in?return=/drafts`);
    assert.equal(new URL(page.url()).pathname, '/authorize', 'Chirp came back by itself');
    await Promise.all([page.waitForURL(`${node.chirp}/drafts`), page.click('form[action="/authorize/decide"] button.primary')]);
    await page.getByText(secrets.draft).waitFor();
    await context.close();
  }
});

test("[R1.4 R3.3] Chirp's Sign out asks at the authority first, then ends this browser and its apps", async () => {
  const { context, page, session } = await inChirp();
  await page.click('a.leave');
  await page.waitForURL(/exeunt\.localhost:\d+\/signout\?client=chirp/);
  assert.match(await page.locator('main').innerText(), /Chirp/);
  await page.click('main [data-cancel]');
  await page.waitForURL((u) => u.href.startsWith(node.chirp));
  assert.ok((await node.sessions('ada')).active.some((s) => s.id === session), 'it ended before it was confirmed');
  await page.goto(`${node.chirp}/exeunt/sign-out`);
  await Promise.all([page.waitForURL('**/signed-out*'), page.click('main form[action="/signout"] button.danger')]);
  await page.goto(`${node.chirp}/drafts`);
  assert.doesNotMatch(await page.content(), new RegExp(secrets.draft));
  await context.close();
});

test('[R4.1] Chirp keeps nothing in the browser but its cookie', async () => {
  const { context, page } = await inChirp();
  for (const path of ['/drafts', '/messages/grace', '/']) {
    await page.goto(node.chirp + path);
    const kept = await page.evaluate(async () => ({
      local: { ...localStorage }, session: { ...sessionStorage }, databases: await indexedDB.databases(),
      caches: await caches.keys(), workers: (await navigator.serviceWorker.getRegistrations()).length, readable: document.cookie,
    }));
    assert.deepEqual(kept, { local: {}, session: {}, databases: [], caches: [], workers: 0, readable: '' });
  }
  await context.close();
});
