import test from 'node:test';
import assert from 'node:assert/strict';
import { guard } from '../exeunt.js';
import { World, live, ended, settle } from './fake.js';

const options = { state: '/state', stream: '/stream', activity: '/activity', closing: '/closing', session: 'ses_a',
  ended: '/ended' };
const minute = 60000;
const shared = (minutes) => ({ ...live('ses_a', (minutes - 2) * minute, minutes * minute), shared: true });

async function open(world, more = {}) {
  const page = world.page();
  page.strip = page.strip();
  page.handle = guard({ ...options, ...more }, page.env);
  await settle();
  return page;
}

test('the strip shows the time that the server says, which goes up with activity in an app', async () => {
  const w = new World();
  w.answer = shared(15.5);
  const p = await open(w);
  assert.equal(p.strip.hidden, false);
  assert.equal(p.strip.left, '15 min left');
  w.answer = shared(14.5);
  await w.pass(minute + 100);
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

test('an open page on a shared computer is heard of every 30 s, hidden or not; elsewhere it asks nothing', async () => {
  for (const [answer, most, hide] of [[shared(15), 11, false], [shared(15), 11, true], [live('ses_a', 13 * minute, 15 * minute), 0, false]]) {
    const w = new World();
    w.answer = answer;
    const p = await open(w);
    if (hide) p.hide();
    const asked = w.count('/state');
    await w.pass(5 * minute);
    assert.ok(w.count('/state') - asked <= most && w.count('/state') - asked >= most - 1, `${w.count('/state') - asked} of ${most}`);
    assert.equal(p.strip.hidden, !answer.shared);
  }
});

test('a page on a shared computer says when it is closed; one that signs out, that has ended or is elsewhere does not', async () => {
  const w = new World();
  w.answer = shared(15);
  const p = await open(w);
  p.window.emit('pagehide', { persisted: false });
  assert.deepEqual(w.requests.filter((r) => r.path === '/closing').map((r) => r.body), ['session=ses_a']);
  const leaves = await open(w);
  leaves.document.emit('submit', { target: { matches: () => true } });
  leaves.window.emit('pagehide', { persisted: false });
  const over = await open(w);
  w.answer = ended;
  await over.handle.check();
  over.window.emit('pagehide', { persisted: false });
  w.answer = live('ses_a');
  const kept = await open(w);
  kept.window.emit('pagehide', { persisted: false });
  assert.equal(w.count('/closing'), 1);
});
