// The database goes away while somebody signs out: a real PostgreSQL server,
// stopped as by a crash or frozen with its connections open. The page says that
// it is not confirmed, nothing is cleared or half done, and the same button
// works once the database is back. With script the form is sent again by itself.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { stage } from './lib/stage.mjs';
import { desktop, phone, signIn } from './lib/browser.mjs';
import { cookieHeader, request, until } from './lib/wait.mjs';

const s = stage({ postgres: 'true' });
const away = [
  { how: 'crashed', leave: 'down', come: 'up', script: true, device: desktop },
  { how: 'frozen', leave: 'frozen', come: 'thawed', script: false, device: phone },
];
const confirm = 'main form[action="/signout"] button.danger';

const credentials = async (page) => (await page.context().cookies()).filter((c) => c.name.startsWith('__Host-exeunt-') && c.name !== '__Host-exeunt-notice' && c.name !== '__Host-exeunt-device' && c.name !== '__Host-exeunt-passkey');
const ended = async (id) => (await s.node.sessions('ada')).ended.filter((e) => e.id === id);

async function post(page) {
  const [answer] = await Promise.all([
    page.waitForResponse((r) => r.request().method() === 'POST' && new URL(r.url()).pathname === '/signout'),
    page.click(confirm, { noWaitAfter: true }),
  ]);
  await page.waitForLoadState();
  return answer;
}

async function isOver(page, id, cookie) {
  assert.deepEqual(await credentials(page), []);
  const record = await ended(id);
  assert.equal(record.length, 1);
  assert.equal(record[0].reason, 'signed_out');
  const { status } = await request(`${s.node.exeunt}/session/state`, { headers: { cookie } });
  assert.equal(status, 401);
}

for (const { how, leave, come, script, device } of away) {
  test(`[R6.4] a sign-out while the database is ${how} is not confirmed, and works when it is back, ${script ? 'with' : 'without'} script`, async (t) => {
    const page = await s.visit(t, { ...device, javaScriptEnabled: script });
    page.setDefaultTimeout(120_000);
    await signIn(page, s.node);
    const id = await page.locator('body').getAttribute('data-session');
    const before = await credentials(page);
    assert.equal(before.length, 2);
    const cookie = await cookieHeader(page.context(), s.node.exeunt);
    await page.goto(`${s.node.exeunt}/signout`);
    if (script) await page.waitForFunction(() => navigator.serviceWorker.controller);

    await s.node.call('database', { state: leave });
    let back = false;
    t.after(async () => { if (!back) await s.node.call('database', { state: come }); });
    if (script) { // the browser is locked, tells the server as soon as that can, and says what was done
      await page.click(confirm, { noWaitAfter: true });
      await page.getByRole('heading', { name: 'Locked on this device' }).waitFor();
      await page.getByText('has not confirmed yet').locator('visible=true').waitFor();
      await page.goto(`${s.node.exeunt}/sessions`);
      await page.getByRole('heading', { name: 'Locked on this device' }).waitFor();
      await s.node.call('database', { state: come });
      back = true;
      await page.waitForURL('**/signed-out*');
      await isOver(page, id, cookie);
      return;
    }
    const refused = await post(page);
    assert.equal(refused.status(), 503);
    assert.equal(refused.headers()['clear-site-data'], undefined);
    await page.getByRole('heading', { name: 'The server cannot answer right now' }).waitFor();
    await page.getByText('you may still be signed in').waitFor();
    assert.deepEqual(await credentials(page), before, 'what the browser has must stay, so that it can try again');
    // Nor does any page say that nobody is signed in: that is not known.
    const look = await page.goto(`${s.node.exeunt}/sessions`);
    assert.equal(look.status(), 503);
    assert.equal(new URL(page.url()).pathname, '/sessions');
    assert.deepEqual(await credentials(page), before);

    await s.node.call('database', { state: come });
    back = true;
    // By the page's own link, as long as it takes the server to find its database.
    await until('the server is back', async () => (await page.goto(`${s.node.exeunt}/signout`)).ok(), 30_000);
    if (new URL(page.url()).pathname === '/signout') {
      const done = await post(page);
      assert.equal(done.status(), 303);
    }
    await page.waitForURL('**/signed-out*');
    await isOver(page, id, cookie);
  });
}
