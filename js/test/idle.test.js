import test from 'node:test';
import assert from 'node:assert/strict';
import { guard } from '../exeunt.js';
import { World, live, ended, settle } from './fake.js';

const options = { state: '/state', stream: '/stream', activity: '/activity', session: 'ses_a', ended: '/ended' };
const minute = 60000;

async function open(world) {
  const page = world.page();
  page.warned = [];
  const warn = { show: (ms) => page.warned.push(ms), hide: () => page.warned.push('hidden') };
  page.handle = guard({ ...options, warn }, page.env);
  await settle();
  return page;
}

const input = (page, name = 'keydown') => page.document.emit(name, { isTrusted: true });

test('input is told of at most once a minute, shared between tabs, with the session it belongs to', async () => {
  const w = new World();
  const [a, b] = [await open(w), await open(w)];
  for (const name of ['pointerdown', 'keydown', 'touchstart', 'wheel']) input(a, name);
  await settle();
  input(b);
  await w.pass(59000);
  input(b);
  assert.equal(w.count('/activity'), 1);
  await w.pass(1000);
  input(b);
  await settle();
  assert.equal(w.count('/activity'), 2);
  assert.equal(w.requests.find((r) => r.path === '/activity').body, 'session=ses_a');
});

test('input made by scripts, and restored scrolling, are no activity', async () => {
  const w = new World();
  const p = await open(w);
  p.document.emit('keydown', { isTrusted: false });
  p.document.emit('scroll', { isTrusted: true });
  await settle();
  assert.equal(w.count('/activity'), 0);
});

test('input on a veiled page is no activity', async () => {
  const w = new World();
  const p = await open(w);
  p.hide();
  input(p);
  await settle();
  assert.equal(w.count('/activity'), 0);
});

test('at the time to warn the server is asked first; activity elsewhere puts the warning off', async () => {
  const w = new World();
  const p = await open(w);
  await w.pass(10 * minute);
  assert.deepEqual(p.warned, []);
  w.answer = live('ses_a', 8 * minute, 10 * minute); // another app was used meanwhile
  await w.pass(3 * minute + 500);
  assert.deepEqual(p.warned, []);
  w.answer = live('ses_a', 0, 2 * minute);
  await w.pass(8 * minute + 500);
  assert.deepEqual(p.warned, [2 * minute]);
});

test('"Stay signed in" tells the server, and takes the warning away in every tab', async () => {
  const w = new World();
  const [a, b] = [await open(w), await open(w)];
  w.answer = live('ses_a', 0, 2 * minute);
  await w.pass(13 * minute + 500);
  assert.deepEqual(a.warned, [2 * minute]);
  assert.deepEqual(b.warned, [2 * minute]);
  input(a);
  await settle();
  assert.equal(w.count('/activity'), 0, 'moving the mouse over the question does not answer it');
  w.answer = live('ses_a');
  await a.handle.stay();
  await settle();
  assert.equal(w.count('/activity'), 1);
  assert.deepEqual(a.warned, [2 * minute, 'hidden']);
  assert.deepEqual(b.warned, [2 * minute, 'hidden']);
});

test('after the idle end the page asks and leaves by itself', async () => {
  const w = new World();
  const p = await open(w);
  w.answer = live('ses_a', 0, 2 * minute);
  await w.pass(13 * minute + 500);
  w.answer = ended;
  await w.pass(2 * minute + 1000);
  assert.deepEqual(p.location.replaced, ['/ended']);
});

test('after the idle end the page is blank even if the server is away', async () => {
  const w = new World();
  const p = await open(w);
  w.answer = 'offline';
  await w.pass(15 * minute + 500);
  assert.equal(p.veiled, true);
  w.answer = live('ses_a'); // used elsewhere meanwhile
  await w.pass(16000);
  assert.equal(p.veiled, false);
});

test('input within the last minute still counts when the warning is due', async () => {
  const w = new World();
  const p = await open(w);
  input(p);
  await w.pass(30000);
  input(p); // too soon to be told
  assert.equal(w.count('/activity'), 1);
  await w.pass(13 * minute);
  assert.equal(w.count('/activity'), 2);
});

test('an idle time beyond what timers can hold does not ask all the time', async () => {
  const w = new World();
  const day = 24 * 60 * minute;
  w.answer = live('ses_a', 30 * day - 2 * minute, 30 * day);
  await open(w);
  assert.ok([...w.timers.values()].every((t) => t.at < 2 ** 31), 'no timer overflows');
  await w.pass(2 * 60 * minute);
  assert.equal(w.count('/state'), 1);
});

test('a short idle time is kept alive by steady input', async () => {
  const w = new World();
  w.answer = live('ses_a', 6000, 8000);
  const p = await open(w);
  for (let i = 0; i < 10; i++) {
    input(p);
    await w.pass(1000);
  }
  assert.ok(w.count('/activity') >= 4, `${w.count('/activity')} in 10 s`);
});

test('a refused note of activity makes the page ask and leave', async () => {
  const w = new World();
  const p = await open(w);
  w.answer = ended;
  input(p);
  await settle();
  assert.deepEqual(p.location.replaced, ['/ended']);
});
