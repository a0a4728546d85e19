import test from 'node:test';
import assert from 'node:assert/strict';
import { guard } from '../exeunt.js';
import { World, live, ended, unknown, settle } from './fake.js';

const options = { state: '/state', stream: '/stream', activity: '/activity', session: 'ses_a', ended: '/ended',
  signOut: '/signout' };

async function open(world, more = {}, browser = {}) {
  const page = world.page(browser);
  page.handle = guard({ ...options, ...more }, page.env);
  await settle();
  return page;
}

test('a page just loaded asks for its state once, without a cache, and stays shown', async () => {
  const w = new World();
  const p = await open(w);
  assert.equal(w.count('/state'), 1);
  assert.equal(w.requests[0].cache, 'no-store');
  assert.equal(p.veiled, false);
});

test('the page is blanked when it is hidden, and shown after a check that it lives', async () => {
  const w = new World();
  const p = await open(w);
  p.hide();
  assert.equal(p.veiled, true);
  assert.equal(p.main.inert, true);
  p.show();
  assert.equal(p.veiled, true, 'not before the answer');
  await settle();
  assert.equal(p.veiled, false);
  assert.equal(p.main.inert, false);
});

test('what was inert before the veil stays inert, and the focus returns', async () => {
  const w = new World();
  const p = await open(w);
  p.main.inert = true;
  p.document.activeElement = p.main;
  p.hide();
  p.show();
  await settle();
  assert.equal(p.main.inert, true);
  assert.equal(p.main.focusedTimes, 1);
});

test('an ended session takes the content away for good and leaves', async () => {
  const w = new World();
  const p = await open(w);
  p.hide();
  w.answer = ended;
  p.show();
  await settle();
  assert.deepEqual(p.location.replaced, ['/ended']);
  assert.equal(p.main.isConnected, false, 'the private content is out of the document');
  assert.equal(p.document.title, 'x');
  assert.equal(p.veiled, true);
});

test('the stream ends the page, and every other tab with it, at once', async () => {
  const w = new World();
  const [a, b] = [await open(w), await open(w)];
  assert.equal(w.streams.length, 1, 'one stream for both');
  const before = w.count('/state');
  w.streams[0].say('state', ended);
  await settle();
  for (const p of [a, b]) {
    assert.deepEqual(p.location.replaced, ['/ended']);
    assert.equal(p.veiled, true);
  }
  assert.equal(w.count('/state'), before, 'nobody had to ask');
});

test('ten tabs keep one stream; when its tab is hidden another takes it; hidden tabs have none', async () => {
  const w = new World();
  const tabs = [];
  for (let i = 0; i < 10; i++) tabs.push(await open(w));
  assert.equal(w.streams.length, 1);
  tabs[0].hide();
  await settle();
  assert.equal(w.streams.length, 1);
  for (const p of tabs) p.hide();
  await settle();
  assert.equal(w.streams.length, 0);
  tabs[3].show();
  await settle();
  assert.equal(w.streams.length, 1);
});

test('without Web Locks each visible tab hears the end', async () => {
  const w = new World();
  const [a, b] = [await open(w, {}, { locks: false }), await open(w, {}, { locks: false })];
  a.hide();
  await settle();
  assert.equal(w.streams.length, 1, 'the hidden tab has no stream');
  w.streams[0].say('state', ended);
  await settle();
  assert.deepEqual(b.location.replaced, ['/ended']);
  assert.deepEqual(a.location.replaced, ['/ended'], 'relayed to the hidden one');
});

test('while the state cannot be had a veiled page stays veiled, says so, and keeps trying', async () => {
  for (const away of ['offline', 'mute', unknown]) {
    const w = new World();
    const p = await open(w);
    p.hide();
    w.answer = away;
    p.show();
    await w.pass(30000);
    assert.equal(p.veiled, true);
    assert.match(p.message, /cannot reach the server/);
    assert.match(p.message, /Sign out/, 'an ordinary page is offered');
    const asked = w.count('/state');
    assert.ok(asked >= 4 && asked < 20, `${asked} questions in 30 s`);
    w.answer = live('ses_a');
    await w.pass(16000);
    assert.equal(p.veiled, false);
  }
});

test('answers that are not ours are no answer', async () => {
  const w = new World();
  const p = await open(w);
  p.hide();
  p.env.fetch = async () => ({ status: 200, ok: true, json: async () => { throw new SyntaxError('<html>'); } });
  p.show();
  await settle();
  assert.equal(p.veiled, true);
  p.env.fetch = async () => ({ status: 401, ok: false, json: async () => ({ error: 'proxy' }) });
  await w.pass(5000);
  assert.equal(p.veiled, true);
  assert.deepEqual(p.location.replaced, [], 'a foreign 401 is not our end');
});

test('a page just loaded is not hidden when requests by scripts are blocked', async () => {
  const w = new World();
  w.answer = 'offline';
  const p = await open(w);
  await w.pass(60000);
  assert.equal(p.veiled, false);
});

test('an answer asked for before the veil fell does not lift it', async () => {
  const w = new World();
  let release;
  w.hold = new Promise((done) => { release = done; });
  const p = await open(w); // its first question is under way
  p.hide();
  p.show();
  w.answer = ended; // the session ends meanwhile
  release();
  w.hold = null;
  await settle();
  assert.deepEqual(p.location.replaced, ['/ended']);
});

test('another session in this browser blanks the page and loads it again', async () => {
  const w = new World();
  const p = await open(w);
  w.answer = live('ses_b');
  p.window.emit('focus');
  await settle();
  assert.equal(p.veiled, true);
  assert.equal(p.main.isConnected, false);
  assert.equal(p.location.reloads, 1);
  assert.deepEqual(p.location.replaced, []);
});

test('the end of another page\'s session makes this one ask, not leave', async () => {
  const w = new World();
  const old = await open(w, { session: 'ses_old' }); // reloads at once: the browser has ses_a
  assert.equal(old.location.reloads, 1);
  const p = await open(w);
  const stranger = new p.env.BroadcastChannel('exeunt');
  stranger.postMessage({ kind: 'state', answer: ended, session: 'ses_old' });
  const before = w.count('/state');
  await settle();
  assert.equal(w.count('/state'), before + 1);
  assert.equal(p.veiled, false);
});

test('a page out of the back-forward cache is blank until checked, and gone if it had ended', async () => {
  const w = new World();
  const p = await open(w);
  p.window.emit('pagehide');
  assert.equal(p.veiled, true);
  w.answer = ended;
  p.window.emit('pageshow', { persisted: true });
  assert.equal(p.veiled, true);
  await settle();
  assert.deepEqual(p.location.replaced, ['/ended']);
  p.window.emit('pageshow', { persisted: true });
  assert.equal(p.location.replaced.length, 2, 'restored after the end, it leaves again');
});

test('signing out in one tab blanks the others before the server has answered', async () => {
  const w = new World();
  const [a, b] = [await open(w), await open(w)];
  a.document.emit('submit', { target: { matches: (s) => s === 'form[data-exeunt-leave]' }, defaultPrevented: false });
  await settle();
  assert.equal(b.veiled, true, 'although the server still says live');
  await w.pass(1000);
  assert.equal(b.veiled, true);
  w.answer = ended;
  await w.pass(400);
  assert.deepEqual(b.location.replaced, ['/ended']);
});

test('the page that signs out goes blank and waits for the answer to its own form', async () => {
  const w = new World();
  const p = await open(w);
  p.document.emit('submit', { target: { matches: () => true }, defaultPrevented: false });
  w.streams[0].say('state', ended);
  await settle();
  assert.equal(p.main.isConnected, false);
  assert.deepEqual(p.location.replaced, [], 'the sign-out is not cut off');
  await w.pass(5000);
  assert.deepEqual(p.location.replaced, ['/ended'], 'the answer got lost');
});

test('a sign-out that did not happen gives this tab and the others back', async () => {
  const w = new World();
  const [a, b] = [await open(w), await open(w)];
  a.document.emit('submit', { target: { matches: () => true }, defaultPrevented: false });
  assert.equal(a.veiled, true, 'blank before the network is tried');
  await w.pass(1000);
  assert.equal(a.veiled && b.veiled, true);
  await w.pass(6000);
  assert.deepEqual([a.veiled, b.veiled], [false, false]);
});

test('other forms announce nothing', async () => {
  const w = new World();
  const [a, b] = [await open(w), await open(w)];
  a.document.emit('submit', { target: { matches: () => false }, defaultPrevented: false });
  a.document.emit('submit', { target: { matches: () => true }, defaultPrevented: true });
  await settle();
  assert.equal(b.veiled, false);
});

test('a changed list is told in every tab', async () => {
  const w = new World();
  const told = [];
  await open(w, { changed: () => told.push('a') });
  await open(w, { changed: () => told.push('b') });
  w.streams[0].say('changed', {});
  await settle();
  assert.deepEqual(told.sort(), ['a', 'b']);
});

test('a refused stream makes the page ask, and is tried again ever more slowly', async () => {
  const w = new World();
  await open(w);
  const before = w.count('/state');
  w.streams[0].fail();
  await settle();
  assert.equal(w.count('/state'), before + 1);
  assert.equal(w.streams.length, 0);
  await w.pass(1000);
  assert.equal(w.streams.length, 1);
  w.streams[0].fail();
  await w.pass(1000);
  assert.equal(w.streams.length, 0);
  await w.pass(1000);
  assert.equal(w.streams.length, 1);
});

test('an open dialog does not keep the links of the veil out of reach', async () => {
  const w = new World();
  const p = await open(w);
  const dialog = p.document.createElement('dialog');
  p.document.dialogs.push(dialog);
  p.hide();
  w.answer = 'offline';
  p.show();
  await settle();
  assert.equal(dialog.closed, true);
});

/** Runs fn in a world whose page is the global one, in a browser in which reading some globals throws. */
async function refusing(names, fn) {
  const w = new World();
  const p = w.page();
  const { env } = p;
  const globals = {
    window: { value: env.window }, document: { value: env.document }, location: { value: env.location },
    fetch: { value: env.fetch }, EventSource: { value: env.EventSource },
    BroadcastChannel: { value: env.BroadcastChannel }, navigator: { value: { locks: env.locks } },
    setTimeout: { value: env.setTimeout }, clearTimeout: { value: env.clearTimeout },
    performance: { value: { now: env.now } },
  };
  const refuse = () => { throw new DOMException('blocked', 'SecurityError'); };
  for (const name of names) globals[name] = { get: refuse };
  const before = Object.entries(globals).map(([name]) => [name, Object.getOwnPropertyDescriptor(globalThis, name)]);
  for (const [name, what] of Object.entries(globals)) Object.defineProperty(globalThis, name, { configurable: true, ...what });
  try {
    await fn(w, p);
  } finally {
    for (const [name, what] of before) {
      if (what) Object.defineProperty(globalThis, name, what);
      else delete globalThis[name];
    }
  }
}

for (const names of [['fetch'], ['EventSource'], ['BroadcastChannel'], ['navigator'],
  ['fetch', 'EventSource', 'BroadcastChannel', 'navigator']]) {
  test(`a browser in which ${names} throws is guarded all the same`, () => refusing(names, async (w, p) => {
    const asks = !names.includes('fetch');
    guard({ ...options, leave: 'form.leave', idleIn: 900000 });
    await settle();
    assert.equal(p.veiled, false, 'the server has just rendered it');
    p.hide();
    assert.equal(p.veiled, true);
    p.show();
    await w.pass(10000);
    assert.equal(p.veiled, !asks, 'shown again only after an answer');
    if (!asks) assert.match(p.message, /Sign out/);
    p.document.emit('submit', { target: { matches: (s) => s === 'form.leave' } }); // throws nothing
    if (!asks) return;
    w.answer = ended;
    p.window.emit('focus');
    await w.pass(5000);
    assert.equal(p.main.isConnected, false);
  }));
}

test('a page that nobody can ask for hides at its own idle timeout', () => refusing(['fetch', 'EventSource'], async (w, p) => {
  guard({ ...options, idleIn: 900000 });
  await w.pass(890000);
  assert.equal(p.veiled, false);
  await w.pass(20000);
  assert.equal(p.veiled, true);
}));

test('constructors that throw are guarded against too', async () => {
  const w = new World();
  const page = w.page();
  class Refused { constructor() { throw new DOMException('blocked', 'SecurityError'); } }
  Object.assign(page.env, { EventSource: Refused, BroadcastChannel: Refused });
  guard(options, page.env);
  await settle();
  page.hide();
  w.answer = ended;
  page.show();
  await settle();
  assert.deepEqual(page.location.replaced, ['/ended']);
});

test('asked which pages of a sign-in are open, a page says where it is; one of another sign-in looks after itself first', async () => {
  const w = new World();
  const p = await open(w);
  const heard = [];
  const { BroadcastChannel } = w.page().env;
  const asker = new BroadcastChannel('exeunt');
  asker.addEventListener('message', ({ data }) => heard.push(data));
  const before = w.count('/state');
  asker.postMessage({ kind: 'who', session: 'ses_a' });
  await settle();
  assert.deepEqual(heard, [{ kind: 'here', path: '/sessions', session: 'ses_a' }]);
  assert.equal(w.count('/state'), before, 'the server is not asked by pages of the sign-in that asks');
  w.answer = ended;
  asker.postMessage({ kind: 'who', session: '' });
  await settle();
  assert.deepEqual(p.location.replaced, ['/ended']);
  asker.postMessage({ kind: 'who', session: '' });
  await settle();
  assert.equal(heard.filter((one) => one.kind === 'here').length, 2, 'it is empty now, and does not answer');
});
