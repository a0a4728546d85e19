// A page of another site, or of a sibling, makes the browser send posts to every
// address that changes something; frames our pages; and looks at all of them.
// Nothing changes, and nothing is shown in a frame.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { Node } from './lib/node.mjs';
import { launch, desktop, signIn } from './lib/browser.mjs';
import { enterChirp } from './lib/chirp.mjs';
import { elsewhere } from './lib/elsewhere.mjs';
import { authorize } from './lib/pages.mjs';

let node, browser, other, sibling, context, page, session, appSession, sealed;
before(async () => {
  node = await Node.start();
  browser = await launch();
  const blank = { '/': '<!doctype html><title>elsewhere</title><p>Elsewhere' };
  // Another host under .localhost is another site to the browser, and a host
  // below ours is a sibling of the same site: their origins both differ.
  other = await elsewhere(blank);
  sibling = await elsewhere(blank, 'evil.exeunt.localhost');
  context = await browser.newContext(desktop);
  page = await context.newPage();
  await signIn(page, node);
  session = await page.locator('body').getAttribute('data-session');
  await page.goto(node.exeunt + authorize(node));
  sealed = await page.inputValue('form[action="/authorize/decide"] input[name=request]');
  await enterChirp(page, node);
  appSession = await page.inputValue('form[action="/posts"] input[name=session]');
});
after(async () => { await browser?.close(); await other?.close(); await sibling?.close(); await node?.stop(); });

// Everything that can change something, with a form that would be good if it
// came from our own page.
const posts = () => [
  [node.exeunt, '/signin', { identifier: node.grace.handle, password: node.grace.password, kind: 'kept', session }],
  [node.exeunt, '/signup', { handle: 'planted', password: 'a long walk by the sea wall', kind: 'kept' }],
  [node.exeunt, '/signout', { session, scope: 'session', key: 'k1' }],
  [node.exeunt, '/signout', { session, scope: 'account', key: 'k2' }],
  [node.exeunt, '/sessions/end', { session, scope: 'others', key: 'k3' }],
  [node.exeunt, `/sessions/${session}/end`, { session, key: 'k4' }],
  [node.exeunt, '/settings/profile', { session, name: 'Forged', email: 'forged@example.com' }],
  [node.exeunt, '/settings/display', { session, display: 'dark' }],
  [node.exeunt, '/language', { session, language: 'de' }],
  [node.exeunt, '/security/password', { session, current: node.ada.password, password: 'a long walk by the sea wall' }],
  [node.exeunt, '/session/activity', { session }],
  [node.exeunt, '/session/stay', { session, return: '/' }],
  [node.exeunt, '/authorize/decide', { session, request: sealed, decision: 'continue' }],
  [node.chirp, '/posts', { session: appSession, text: 'Forged post' }],
  [node.chirp, '/drafts', { session: appSession, text: 'Forged draft' }],
  [node.chirp, '/drafts/1', { session: appSession, text: 'Forged draft' }],
  [node.chirp, '/drafts/1/post', { session: appSession, text: 'Forged draft' }],
  [node.chirp, '/drafts/1/delete', { session: appSession }],
  [node.chirp, '/messages', { session: appSession, to: 'grace', text: 'Forged message' }],
  [node.chirp, '/exeunt/sign-out-app', { session: appSession }],
  [node.chirp, '/exeunt/activity', { session: appSession }],
];

// Everything there is to be changed, as it stands.
async function standing() {
  const { head } = await node.call('head');
  const ids = ({ active, ended }) => [active.map((s) => `${s.id} ${s.label}`), ended.map((s) => `${s.id} ${s.reason}`)];
  const look = await context.newPage();
  const texts = [];
  for (const address of [`${node.exeunt}/settings`, `${node.chirp}/`, `${node.chirp}/drafts`, `${node.chirp}/messages/grace`]) {
    await look.goto(address);
    texts.push(await look.evaluate(() => [...document.querySelectorAll('main input:not([type=hidden]), main .said, html[data-theme]')]
      .map((e) => (e.type === 'radio' ? `${e.value} ${e.checked}` : e.value ?? e.dataset.theme ?? e.innerText))));
  }
  await look.close();
  const jar = (await context.cookies()).filter((c) => c.name.startsWith('__Host-')).map((c) => `${c.name}=${c.value}`).sort();
  return { head, ada: ids(await node.sessions('ada')), grace: ids(await node.sessions('grace')), texts, jar };
}

test('control: the same posts from our own pages are carried out', async () => {
  const own = await context.newPage();
  await own.goto(`${node.chirp}/`);
  const status = await own.evaluate((id) => fetch('/drafts', { method: 'POST', body: new URLSearchParams({ session: id, text: 'Not forged' }) }).then((r) => r.status), appSession);
  assert.equal(status, 200);
  await own.goto(`${node.exeunt}/settings`);
  assert.equal(await own.evaluate((id) => fetch('/settings/display', { method: 'POST', body: new URLSearchParams({ session: id, display: 'light' }) }).then((r) => r.status), session), 200);
  await own.close();
});

const submit = (tab, address, form) => tab.evaluate(([action, fields]) => {
  const f = document.createElement('form');
  f.method = 'post';
  f.action = action;
  for (const [name, value] of Object.entries(fields)) f.append(Object.assign(document.createElement('input'), { type: 'hidden', name, value }));
  document.body.append(f);
  f.submit();
}, [address, form]);

test('[R4.3] a page of Chirp can send nothing to the authority, nor the other way round', async () => {
  const before = await standing();
  for (const [from, to] of [[node.chirp, node.exeunt], [node.exeunt, node.chirp]]) {
    for (const [origin, path, form] of posts().filter(([o, p]) => o === to && /end|out|profile|posts|drafts$/.test(p))) {
      const tab = await context.newPage();
      await tab.goto(`${from}/no-such-page`);
      // The page's own policy holds it back before the other side refuses it.
      const held = tab.evaluate(() => new Promise((done) => { document.addEventListener('securitypolicyviolation', (e) => done(e.effectiveDirective)); }));
      await submit(tab, origin + path, form);
      assert.equal(await held, 'form-action', path);
      await tab.close();
    }
  }
  assert.deepEqual(await standing(), before);
});

test('[R4.3] forged posts from another site and from a sibling change nothing', async () => {
  const before = await standing();
  assert.equal(before.texts[2].includes('Not forged'), true, 'the look does not see what stands there');
  for (const from of [other, sibling]) {
    const tab = await context.newPage();
    for (const [origin, path, form] of posts()) {
      await tab.goto(`${from.url}/`);
      const forged = tab.waitForResponse((r) => r.request().method() === 'POST' && r.url() === origin + path, { timeout: 3000 }).catch(() => null);
      await submit(tab, origin + path, form);
      const answer = await forged;
      assert.ok(answer, `${path} was not sent`);
      assert.equal(answer.status(), 403, `${path} from ${from.url}`);
      await tab.waitForURL(origin + path);
    }
    await tab.close();
  }
  assert.deepEqual(await standing(), before);
});

test('[R4.3] forged posts by script, with every kind of body, change nothing', async () => {
  const before = await standing();
  const tab = await context.newPage();
  for (const from of [other, sibling]) {
    await tab.goto(`${from.url}/`);
    for (const [origin, path, form] of posts()) {
      await tab.evaluate(async ([address, fields]) => {
        const bodies = [new URLSearchParams(fields), new Blob([new URLSearchParams(fields).toString()], { type: 'text/plain' })];
        const data = new FormData();
        for (const [name, value] of Object.entries(fields)) data.append(name, value);
        bodies.push(data);
        for (const body of bodies) await fetch(address, { method: 'POST', body, mode: 'no-cors', credentials: 'include' }).catch(() => {});
        navigator.sendBeacon(address, new URLSearchParams(fields));
      }, [origin + path, form]);
    }
  }
  await tab.close();
  assert.deepEqual(await standing(), before);
});

// raw sends what no browser would let a page send.
function raw(method, origin, path, headers, form) {
  const u = new URL(origin);
  const body = form ? new URLSearchParams(form).toString() : '';
  return new Promise((resolve, reject) => {
    const r = request({ host: '127.0.0.1', port: u.port, method, path, headers: { Host: u.host, ...headers, 'Content-Length': Buffer.byteLength(body) } }, (res) => {
      let text = '';
      res.on('data', (d) => { text += d; });
      res.on('end', () => resolve({ status: res.statusCode, headers: res.headers, text }));
    });
    r.on('error', reject);
    r.end(body);
  });
}

async function cookieFor(origin) {
  return (await context.cookies(origin)).map((c) => `${c.name}=${c.value}`).join('; ');
}

test('[R4.3] posts whose headers name another origin, or none, are refused', async () => {
  const before = await standing();
  const variants = (origin) => [
    {}, // a browser too old to be told from a forgery
    { Origin: 'null' },
    { Origin: other.url },
    { Origin: origin.replace(/:\d+$/, ':1') },
    { Origin: origin.replace('http:', 'https:').replace(/:\d+$/, '') },
    { Origin: origin.replace('://', '://evil.') },
    { Origin: `${origin}.evil.example` },
    { 'Sec-Fetch-Site': 'cross-site' },
    { 'Sec-Fetch-Site': 'same-site' },
    { 'Sec-Fetch-Site': 'cross-site', Origin: other.url },
    { Referer: `${origin}/` },
  ];
  for (const [origin, path, form] of posts()) {
    const Cookie = await cookieFor(origin);
    assert.match(Cookie, /__Host-/);
    for (const headers of variants(origin)) {
      const got = await raw('POST', origin, path, { Cookie, 'Content-Type': 'application/x-www-form-urlencoded', ...headers }, form);
      assert.equal(got.status, 403, `${path} with ${JSON.stringify(headers)} answered ${got.status}`);
      assert.ok(!got.headers['set-cookie'], `${path} set a cookie`);
    }
  }
  assert.deepEqual(await standing(), before);
});

test('[R4.3] GET, HEAD and OPTIONS change nothing at any address', async () => {
  const before = await standing();
  const more = ['/', '/sessions', '/sessions/ended', '/signed-out', '/ended', '/menu', '/settings', '/security', '/help', '/session/state',
    '/idle.css?warn=1&end=2', '/setup/exi_nothing', '/api/v1/session', '/api/v1/sessions', '/gate', '/gate/chirp', '/livez', '/readyz', '/api/openapi.json', '/no-such-page'];
  const addresses = [
    ...posts().map(([origin, path, form]) => [origin, path, `${path}?${new URLSearchParams(form)}`]).flatMap(([o, a, b]) => [[o, a], [o, b]]),
    ...more.map((path) => [node.exeunt, path]),
    ...['/', '/drafts', '/drafts/1', '/messages', '/messages/grace', '/exeunt/state', '/exeunt/ended', '/exeunt/signed-out', '/exeunt/sign-out',
      '/exeunt/callback?code=exc_x&state=y'].map((path) => [node.chirp, path]),
  ];
  for (const [origin, path] of addresses) {
    const Cookie = await cookieFor(origin);
    for (const method of ['GET', 'HEAD', 'OPTIONS']) {
      const got = await raw(method, origin, path, { Cookie, 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'no-cors' });
      assert.ok(got.status < 500, `${method} ${path} answered ${got.status}`);
    }
  }
  // The other methods change nothing either where no page has them.
  const asked = ['/gate', '/gate/chirp', '/livez', '/readyz']; // by machines, with any method; they change nothing
  for (const method of ['PUT', 'PATCH', 'DELETE']) {
    for (const [origin, path] of addresses.filter(([, a]) => !asked.includes(a))) {
      const got = await raw(method, origin, path, { Cookie: await cookieFor(origin), Origin: origin, 'Sec-Fetch-Site': 'same-origin' });
      assert.ok(got.status >= 400 && got.status < 500, `${method} ${path} answered ${got.status}`);
    }
  }
  assert.deepEqual(await standing(), before);
});

test('[R4.1] no page can be framed', async () => {
  const tab = await context.newPage();
  for (const from of [other, sibling]) {
    await tab.goto(`${from.url}/`);
    for (const address of [`${node.exeunt}/settings`, `${node.exeunt}/signout`, `${node.exeunt}/signin`, `${node.chirp}/drafts`, `${node.chirp}/`]) {
      await tab.evaluate((src) => new Promise((done) => {
        const frame = document.createElement('iframe');
        frame.onload = done;
        frame.src = src;
        document.body.replaceChildren(frame);
      }), address);
      for (const frame of tab.frames().slice(1)) {
        assert.doesNotMatch(await frame.content().catch(() => ''), /Ada Quill|password|learn the exits|data-session/, address);
      }
    }
  }
  await tab.close();
});

test('[R4.3] an address for another host is answered by nobody', async () => {
  for (const origin of [node.exeunt, node.chirp]) {
    const got = await raw('GET', origin, '/', { Host: 'rebound.example', Cookie: await cookieFor(origin) });
    assert.equal(got.status, 421);
    assert.doesNotMatch(got.text, /Ada|data-session/);
  }
});
