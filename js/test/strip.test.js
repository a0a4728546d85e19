import test from 'node:test';
import assert from 'node:assert/strict';
import { guard } from '../exeunt.js';
import { World, live, settle } from './fake.js';

const options = { state: '/state', stream: '/stream', activity: '/activity', session: 'ses_a', ended: '/ended' };
const minute = 60000;
const shared = (minutes) => ({ ...live('ses_a', (minutes - 2) * minute, minutes * minute), shared: true });

async function open(world, more = {}) {
  const page = world.page();
  page.strip = page.strip();
  page.handle = guard({ ...options, ...more }, page.env);
  await settle();
  return page;
}

test('the strip shows the time that the server says, counts it down, and asks again with each minute', async () => {
  const w = new World();
  w.answer = shared(15.8);
  const p = await open(w);
  assert.equal(p.strip.hidden, false);
  assert.equal(p.strip.left, '15 min left');
  const asked = w.count('/state');
  w.answer = shared(14.5);
  await w.pass(minute + 100);
  assert.equal(w.count('/state'), asked + 1);
  assert.equal(p.strip.left, '14 min left');
  w.answer = shared(15.5); // activity in an app
  await w.pass(minute + 100);
  assert.equal(p.strip.left, '15 min left');
});

test('without the server the strip counts down, never up', async () => {
  const w = new World();
  w.answer = shared(15);
  const p = await open(w);
  w.answer = 'offline';
  await w.pass(5.5 * minute);
  assert.equal(p.strip.left, '9 min left');
});

test('a strip says when less than a minute is left, in the words of the page', async () => {
  const w = new World();
  w.answer = { ...live('ses_a', 0, minute - 1), shared: true };
  const p = await open(w, { words: { soon: 'Gleich vorbei' } });
  assert.equal(p.strip.left, 'Gleich vorbei');
});

test('activity in another tab prolongs what the strip of this one shows', async () => {
  const w = new World();
  w.answer = shared(4);
  const [a, b] = [await open(w), await open(w)];
  w.answer = shared(15);
  await a.handle.stay();
  await settle();
  for (const p of [a, b]) assert.equal(p.strip.left, '15 min left');
});

test('where the computer is not shared no strip appears, and nothing is asked each minute', async () => {
  const w = new World();
  w.answer = live('ses_a', 13 * minute, 15 * minute);
  const p = await open(w);
  const asked = w.count('/state');
  await w.pass(5 * minute);
  assert.equal(p.strip.hidden, true);
  assert.equal(w.count('/state'), asked);
});

test('a hidden page asks nothing for its strip', async () => {
  const w = new World();
  w.answer = shared(15);
  const p = await open(w);
  p.hide();
  const asked = w.count('/state');
  await w.pass(5 * minute);
  assert.equal(w.count('/state'), asked);
});
