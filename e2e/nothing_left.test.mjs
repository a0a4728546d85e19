// After a sign-out on a shared computer, and once the browser is closed, nothing of the person is on its disk: every file
// of the profile is searched, in Chromium and in Firefox.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { readFile, readdir, rm } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { gunzipSync, inflateSync } from 'node:zlib';
import { Node } from './lib/node.mjs';
import { click, fillIn, open, sees, shows } from './lib/either.mjs';
import { authorize, inside } from './lib/pages.mjs';
import { request, until } from './lib/wait.mjs';

let node;
before(async () => { node = await Node.start(); });
after(() => node?.stop());

const minutes = 120_000;

/** What LZ4 has packed into a block. */
function unpack(block, size) {
  const out = Buffer.alloc(size);
  let at = 0;
  const length = (from, first) => {
    let n = first;
    if (first === 15) for (let more = 255; more === 255;) { more = block[from.i]; from.i += 1; n += more; }
    return n;
  };
  for (const from = { i: 0 }; from.i < block.length;) {
    const token = block[from.i]; from.i += 1;
    const literals = length(from, token >> 4);
    block.copy(out, at, from.i, from.i + literals);
    at += literals; from.i += literals;
    if (from.i >= block.length) break;
    const back = block.readUInt16LE(from.i); from.i += 2;
    for (let n = length(from, token & 15) + 4; n > 0; n -= 1, at += 1) out[at] = out[at - back];
  }
  return out.subarray(0, at);
}

/** A file as it is, and what is packed in it: Firefox's windows by LZ4, answers in a cache by gzip or deflate. */
function* layers(content) {
  yield content;
  if (content.subarray(0, 8).toString('latin1') === 'mozLz40\0') yield unpack(content.subarray(12), content.readUInt32LE(8));
  for (const [magic, open] of [[Buffer.from([0x1f, 0x8b, 8]), gunzipSync], [Buffer.from([0x78, 0x9c]), inflateSync], [Buffer.from([0x78, 0x01]), inflateSync]]) {
    for (let i = content.indexOf(magic); i >= 0; i = content.indexOf(magic, i + 1)) {
      try {
        yield open(content.subarray(i), { finishFlush: 2 });
      } catch {
        // no packed text begins here
      }
    }
  }
}

/** Every place in a profile where one of the named texts is. */
async function search(dir, texts) {
  const found = [];
  let files = 0;
  for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath ?? entry.path, entry.name);
    const content = await readFile(path).catch(() => Buffer.alloc(0));
    files += 1;
    for (const layer of layers(content)) {
      for (const [what, text] of Object.entries(texts)) {
        for (const needle of [Buffer.from(text), Buffer.from(text, 'utf16le')]) {
          const i = layer.indexOf(needle);
          if (i >= 0) found.push(`${what} in ${relative(dir, path)}: ${layer.subarray(Math.max(0, i - 60), i + 80).toString('latin1').replace(/[^ -~]/g, '.')}`);
        }
      }
    }
  }
  return { found: [...new Set(found)], files };
}

for (const kind of ['chromium', 'firefox']) {
  test(`[R4.2] nothing of somebody is left on a shared computer once they have signed out: ${kind}`, async () => {
    const who = { handle: `zephyrine_${kind}`, password: 'seven herons at the weir', email: `zephyrine.${kind}@example.com` };
    await node.call('add', who);
    const b = await open(kind);
    try {
      const page = await b.tab();
      await page.goto(`${node.exeunt}/signin?shared=1`);
      await fillIn(page, who, 'shared');
      const here = await page.evaluate(() => ({ session: document.body.dataset.session, ticket: document.body.dataset.ticket }));
      const texts = { handle: who.handle, 'e-mail address': who.email, password: who.password, session: here.session, ticket: here.ticket,
        account: (await node.call('account', { handle: who.handle })).id };
      await page.goto(`${node.chirp}/exeunt/sign-in`);
      await until('the app is signed in to', () => page.evaluate(() => Boolean(document.documentElement.dataset.session)).catch(() => false), minutes);
      texts['app session'] = await page.evaluate(() => document.documentElement.dataset.session);
      for (const address of [...inside.map((path) => node.exeunt + path), node.exeunt + authorize(node), `${node.chirp}/drafts`, `${node.chirp}/messages`,
        `${node.chirp}/messages/grace`]) {
        await page.goto(address);
      }
      // The device of a kept sign-in is in a cookie; of a shared one the browser has only the pair and the apps' own.
      for (const address of [node.exeunt, node.chirp]) {
        for (const c of await b.browser.cookies()) {
          if (c.domain.includes(new URL(address).hostname) && c.value.length > 12) texts[`cookie ${c.name}`] = c.value;
        }
      }
      assert.ok(texts['cookie __Host-exeunt-shared'] && texts['cookie __Host-exeunt-shared-here'] && texts['cookie __Host-chirp'], Object.keys(texts).join(', '));
      await page.goto(`${node.exeunt}/signout`);
      await sees(page, 'main form[action="/signout"] button.danger');
      await click(page, 'main form[action="/signout"] button.danger');
      await shows(page, /This was a shared computer/);
      const { active } = await node.sessions(who.handle);
      assert.deepEqual(active, []);
      await until('the worker has gone', () => page.evaluate(async () => (await navigator.serviceWorker.getRegistrations()).length === 0
        && (await caches.keys()).length === 0).catch(() => false), minutes);
      await b.browser.close();

      const { found, files } = await search(b.folder, texts);
      assert.ok(files > 20, `${files} files`);
      const shown = await search(b.folder, { site: 'exeunt.localhost' });
      assert.notDeepEqual(shown.found, [], 'the search finds nothing where there is something');
      // Known: Firefox keeps the cookies of open windows, also those of an app's host, which only that app can remove. They are
      // of no use any more: the app's session has ended.
      const dead = found.filter((one) => kind === 'firefox' && /^cookie __Host-chirp(-flow)? in sessionstore/.test(one));
      assert.deepEqual(found.filter((one) => !dead.includes(one)), []);
      const again = await request(`${node.chirp}/drafts`, { headers: { Cookie: `__Host-chirp=${texts['cookie __Host-chirp']}`, 'Sec-Fetch-Mode': 'navigate' } });
      assert.equal(again.status, 401);
    } finally {
      await b.browser.close().catch(() => {});
      await rm(b.folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
    }
  });
}

test('the search unpacks what Firefox keeps of its windows', () => {
  // "abcd" once, then 12 times the same by reference, then "end" (the LZ4 block format)
  const block = Buffer.from([0x4f, ...Buffer.from('abcd'), 4, 0, 48 - 19, 0x30, ...Buffer.from('end')]);
  assert.equal(unpack(block, 55).toString(), `${'abcd'.repeat(13)}end`);
});
