// Sites behind nginx, Caddy and HAProxy, configured as the program prints it, and behind our own proxy, in a browser.
import test from 'node:test';
import assert from 'node:assert/strict';
import { fillIn, shell } from './lib/browser.mjs';
import { Front, kinds } from './lib/front.mjs';
import { minutes } from './lib/serve.mjs';
import { until } from './lib/wait.mjs';

const who = (page) => page.locator('h1').innerText();

/** Starts a front, and gives a function that opens somebody's browser. */
async function start(t, kind) {
  const front = await Front.start(kind);
  const browser = await shell();
  t.after(async () => { await browser.close(); await front.stop(); });
  const visit = async (options = {}) => {
    const page = await (await browser.newContext({ ignoreHTTPSErrors: true, ...options })).newPage();
    page.setDefaultTimeout(2 * minutes);
    return page;
  };
  const [ada, grace] = [await front.server.account('ada'), await front.server.account('grace')];
  return { front, visit, ada, grace };
}

/** Opens a page of a site, and signs in on the way. */
async function enter(page, address, account) {
  await page.goto(address);
  await Promise.all([page.waitForURL(address), fillIn(page, account)]);
}

for (const kind of kinds) {
  const by = kind === 'exeunt' ? 'through our own proxy' : `behind ${kind}`;

  test(`[R5.5] ${by} somebody is led through signing in, and back to where they wanted`, async (t) => {
    const { front, visit, ada } = await start(t, kind);
    const deep = '/a/page?x=1&y=%2F%C3%BC&to=https%3A%2F%2Fexample.com';
    const page = await visit();
    await enter(page, `${front.wiki}${deep}#part`, ada);
    assert.equal(await who(page), 'ada');
    assert.equal(front.seen.some((r) => r.url === deep), true);
    // Whoever is signed in is not asked again at the next site, and each site has a session of its own.
    await page.goto(`${front.notes}${deep}#part`);
    assert.equal(page.url(), `${front.notes}${deep}#part`);
    assert.equal(await who(page), 'ada');
    // Without script the fragment stays behind, which servers never see.
    const plain = await visit({ javaScriptEnabled: false });
    await plain.goto(`${front.wiki}${deep}`);
    await Promise.all([plain.waitForURL(`${front.wiki}${deep}`), fillIn(plain, ada)]);
    assert.equal(await who(plain), 'ada');
  });

  test(`[R5.5 R4.3] ${by} a form that is sent after the end is not passed on, and a script is refused`, async (t) => {
    const { front, visit, ada } = await start(t, kind);
    const page = await visit();
    await enter(page, `${front.wiki}/form`, ada);
    const elsewhere = await front.server.device(ada, 'phone');
    await elsewhere.endOthers();
    assert.deepEqual(await page.evaluate(async () => {
      const answer = await fetch('/api');
      return [answer.status, answer.headers.get('content-type'), (await answer.json()).code];
    }), [401, 'application/problem+json', 'signed_out']);
    await Promise.all([page.waitForURL(`${front.server.exeunt}/site?**`), page.click('button')]);
    assert.match(await page.locator('main').innerText(), /was not sent|Nothing was sent|nothing was sent/);
    assert.equal(front.seen.some((r) => r.method === 'POST'), false);
    // The way back is to the page of the form; the authority says first that its session has ended.
    await page.click('main a.primary');
    await page.click('main a[href*="signin"]');
    await Promise.all([page.waitForURL(`${front.wiki}/form`), fillIn(page, ada)]);
    assert.equal(await who(page), 'ada');
    assert.equal(front.seen.some((r) => r.method === 'POST'), false, 'it is never repeated');
  });

  test(`[R5.5] ${by} open sockets and event streams at the end: ${kind === 'exeunt' ? 'they are closed' : 'they stay, and no new one opens'}`, async (t) => {
    const { front, visit, ada } = await start(t, kind);
    const page = await visit();
    await enter(page, `${front.wiki}/page`, ada);
    await page.evaluate(() => new Promise((open) => {
      window.ends = {};
      window.last = 0;
      window.socket = new WebSocket(`wss://${location.host}/socket`);
      window.socket.onclose = () => { window.ends.socket = Date.now(); };
      window.socket.onopen = () => {
        const stream = new EventSource('/events');
        stream.onmessage = () => { window.last = Date.now(); open(); };
        stream.onerror = () => { window.ends.stream ??= Date.now(); };
      };
    }));
    const elsewhere = await front.server.device(ada, 'phone');
    await elsewhere.endOthers();
    const ended = Date.now();
    const refused = () => page.evaluate(() => new Promise((done) => {
      const s = new WebSocket(`wss://${location.host}/socket`);
      s.onopen = () => done(false);
      s.onerror = () => done(true);
    }));
    assert.equal(await refused(), true, 'no new socket opens');
    if (kind === 'exeunt') {
      await until('both are closed', () => page.evaluate(() => window.ends.socket && window.ends.stream), 2 * minutes);
      const ends = await page.evaluate(() => window.ends);
      t.diagnostic(`socket closed after ${ends.socket - ended} ms, event stream after ${ends.stream - ended} ms`);
      return;
    }
    // What is documented: these proxies ask about a request once, when it begins.
    const before = await page.evaluate(() => window.last);
    await until('the event stream goes on', () => page.evaluate((b) => window.last > b + 1000, before), 2 * minutes);
    assert.deepEqual(await page.evaluate(() => window.ends), {});
  });

  test(`[R5.6] ${by} the next person never gets the last one's session in the app`, async (t) => {
    const { front, visit, ada, grace } = await start(t, kind);
    const page = await visit();
    await enter(page, `${front.wiki}/deep/page`, ada);
    await page.goto(`${front.wiki}/deep/page`);
    assert.deepEqual([await who(page), await page.locator('#deep').innerText(), await page.title()], ['ada', 'ada', 'ada']);
    // The app's own way out leads to ours, which asks.
    await page.goto(`${front.wiki}/logout`);
    assert.match(page.url(), new RegExp(`^${front.server.exeunt}/end_session`));
    await page.click('main form[action="/end_session/browser"] button, main form button.danger, main form button.primary');
    await page.waitForURL(`${front.server.exeunt}/**signed_out**`);
    await enter(page, `${front.wiki}/deep/page`, grace);
    assert.deepEqual([await who(page), await page.locator('#deep').innerText(), await page.title()], ['grace', '', 'grace']);
    // Nor does somebody whose predecessor only went away: another account at the authority is enough.
    await page.goto(`${front.server.exeunt}/signout`);
    await Promise.all([page.waitForURL('**/signed-out*'), page.click('main form[action="/signout"] button.danger')]);
    await enter(page, `${front.wiki}/deep/page`, ada);
    assert.deepEqual([await who(page), await page.locator('#deep').innerText(), await page.title()], ['ada', '', 'ada']);
  });
}
