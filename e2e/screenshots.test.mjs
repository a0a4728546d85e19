// How pages arrive and look: small, from nowhere else, with and without script.
// With EXEUNT_SCREENSHOT=1 it also writes the README's picture, and every page
// in every variant below e2e/out for people to look at.
import test from 'node:test';
import assert from 'node:assert/strict';
import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { desktop, phone, shell, signIn } from './lib/browser.mjs';
import { both, stage } from './lib/stage.mjs';
import { enterChirp } from './lib/chirp.mjs';
import { chirpPages, everyDialog, everyPage } from './lib/pages.mjs';

const s = stage({}, shell);
const picturing = Boolean(process.env.EXEUNT_SCREENSHOT);
const root = fileURLToPath(new URL('..', import.meta.url));
const limit = 60_000;

const compressed = new Map();

/** How many bytes an answer has as it is sent. The browser tells it of the first of its kind; later ones are cached. */
async function sent(answer) {
  const url = answer.url();
  // Of the icon and of what is gone the debugger has only the header.
  const told = Number(answer.headers()['content-length'] ?? NaN);
  const size = await answer.request().sizes().then((all) => all.responseBodySize, () => told);
  if (size > 0) compressed.set(url, size);
  return compressed.get(url) ?? told;
}

/** Takes down what each page loads, the page itself included. */
function tally(page) {
  let loads = [];
  const elsewhere = [];
  const sizes = new Map(); // read as they arrive: a page that is left takes them along
  page.on('response', (answer) => {
    if (answer.status() >= 300 && answer.status() < 400) return;
    sizes.set(answer.request(), sent(answer));
  });
  const ours = (url) => [s.node.exeunt, s.node.chirp].includes(new URL(url).origin);
  page.on('request', (r) => {
    if (!/^https?:|^wss?:/.test(r.url())) return;
    if (!ours(r.url())) elsewhere.push(r.url());
    if (r.isNavigationRequest() && r.frame() === page.mainFrame()) loads = [];
    // An open page's questions and its stream are not what it loads.
    if (!/\/(stream|state|activity)$/.test(new URL(r.url()).pathname)) loads.push(r);
  });
  return {
    elsewhere,
    async weigh() {
      let sum = 0;
      const parts = [];
      for (const r of loads) {
        await r.response();
        if (!sizes.has(r)) continue; // a redirect
        const length = await sizes.get(r);
        assert.ok(length >= 0, `the size of ${r.url()} is known`);
        parts.push(`${new URL(r.url()).pathname} ${length}`);
        sum += length;
      }
      const page = loads.find((r) => r.isNavigationRequest());
      // A page and what it loads come from one origin. Browsers ask for icons
      // late: one may belong to the page before.
      const strangers = loads.filter((r) => page && !/favicon/.test(r.url()) && new URL(r.url()).origin !== new URL(loads.at(-1).frame().url()).origin && !r.isNavigationRequest());
      return { sum, parts, strangers: strangers.map((r) => r.url()) };
    },
  };
}

// First: nothing has been added to the seeded history yet.
test('the README\'s picture: the sessions page with some history', async (t) => {
  const page = await s.visit(t, { ...desktop, colorScheme: 'light', locale: 'en-GB' });
  await signIn(page, s.node);
  await enterChirp(page, s.node);
  await page.goto(`${s.node.exeunt}/sessions`);
  for (const part of ['This browser, now', 'Chirp', 'Safari on macOS', 'Pixel 8', 'Sign out everywhere else']) {
    await page.locator('main').getByText(part, { exact: true }).first().waitFor();
  }
  if (!picturing) return;
  const path = join(root, 'docs', 'screenshot.png');
  await page.screenshot({ path });
  assert.ok((await stat(path)).size <= 150_000, 'small enough for a README');
});

both(test, 'every page weighs less than 60 kB with all it loads and asks nobody else for anything', async (t, script) => {
  const page = await s.visit(t, { ...desktop, javaScriptEnabled: script });
  const cache = await page.context().newCDPSession(page);
  await cache.send('Network.setCacheDisabled', { cacheDisabled: true });
  const loading = tally(page);
  const heavy = [];
  let heaviest = 0;
  let looked = 0;
  const look = async (name) => {
    await page.waitForLoadState('load');
    const { sum, parts, strangers } = await loading.weigh();
    looked++;
    heaviest = Math.max(heaviest, sum);
    assert.ok(parts.some((part) => /\.css \d{4,}/.test(part)), `${name}: its style was weighed, too: ${parts}`);
    assert.deepEqual(strangers, [], name);
    if (sum >= limit) heavy.push(`${name}: ${sum} (${parts.join(', ')})`);
  };
  await everyPage(page, s.node, look);
  await signIn(page, s.node);
  await chirpPages(page, s.node, look);
  assert.deepEqual(heavy, []);
  assert.deepEqual(loading.elsewhere, []);
  assert.ok(looked > 35 && heaviest > 10_000, `${looked} pages, the heaviest ${heaviest} bytes`);
  t.diagnostic(`the heaviest of ${looked} pages weighs ${heaviest} bytes`);
});

if (picturing) {
  for (const [device, base] of Object.entries({ desktop, phone })) {
    for (const colorScheme of ['light', 'dark']) {
      both(test, `pictures of every page: ${device}, ${colorScheme}`, async (t, script) => {
        const folder = join(root, 'e2e', 'out', [device, colorScheme, script ? 'script' : 'no-script'].join('-'));
        await mkdir(folder, { recursive: true });
        const page = await s.visit(t, { ...base, colorScheme, javaScriptEnabled: script });
        let n = 0;
        const look = async (name) => {
          n++;
          await page.screenshot({ path: join(folder, `${String(n).padStart(2, '0')} ${name.replace(/[^a-z0-9]+/gi, ' ').trim()}.png`), fullPage: true });
        };
        await everyPage(page, s.node, look);
        await signIn(page, s.node);
        if (script) await everyDialog(page, s.node, look);
        await chirpPages(page, s.node, look);
      });
    }
  }
}
