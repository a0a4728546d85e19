// A receipt of a sign-out: found after it, looked at by anybody who is given its address, saved, and verified elsewhere.
import test from 'node:test';
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import axe from 'axe-core';
import * as jose from 'jose';
import { desktop, phone, shell, signIn } from './lib/browser.mjs';
import { both, stage } from './lib/stage.mjs';
import { enterChirp } from './lib/chirp.mjs';
import { cookieHeader, request } from './lib/wait.mjs';
import { verifyReceipt } from '../js/receipt.js';

const s = stage({}, shell);
const run = promisify(execFile);

/** Signs in, uses Chirp and Gazette, and signs out. */
async function leave(page, kind = 'kept') {
  await signIn(page, s.node, s.node.ada, kind);
  await enterChirp(page, s.node);
  await page.goto(`${s.node.exeunt}/signout`);
  await Promise.all([page.waitForURL('**/signed-out'), page.locator('main form button.danger').first().click()]);
}

const keys = async () => {
  const answer = await request(`${s.node.exeunt}/oauth/receipt-keys`);
  assert.equal(answer.status, 200);
  return JSON.parse(answer.text);
};

both(test, '[R1.5] "Save proof" leads to a page that says what ended, and to a file that three tools verify', async (t, script) => {
  const page = await s.visit(t, { ...desktop, javaScriptEnabled: script, acceptDownloads: true });
  await leave(page);
  await Promise.all([page.waitForURL('**/receipts/*'), page.getByRole('link', { name: 'Save proof' }).click()]);
  assert.equal(await page.locator('h1').innerText(), 'Receipt of a sign-out');
  const said = await page.locator('main').innerText();
  assert.match(said, /One session ended, and one sign-in of an app with it\./);
  assert.match(said, /Chirp\s+Closed at once\./);
  assert.match(said, /What this proves/);
  assert.doesNotMatch(said, /ada|Quill|Chrome on/i);
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'Save the signed receipt' }).click()]);
  const name = download.suggestedFilename();
  assert.match(name, /^exeunt-receipt-\d{4}-\d\d-\d\d-\d+\.jws$/);
  assert.ok(said.includes(`exeunt receipt verify ${name}`));
  const folder = await mkdtemp(join(tmpdir(), 'exeunt-receipt-'));
  t.after(() => rm(folder, { recursive: true }));
  const [file, keyFile] = [join(folder, name), join(folder, 'keys.json')];
  await download.saveAs(file);
  const text = await readFile(file, 'utf8');

  // By a library that knows nothing of us,
  const { payload, protectedHeader } = await jose.compactVerify(text, jose.createLocalJWKSet(await keys()));
  const statement = JSON.parse(new TextDecoder().decode(payload));
  assert.deepEqual([protectedHeader.typ, statement.iss, statement.apps.map((one) => [one.client, one.state])],
    ['exeunt-receipt+jwt', s.node.exeunt, [['chirp', 'closed']]]);
  // by our module,
  assert.deepEqual(await verifyReceipt(text, await keys(), { issuer: s.node.exeunt }), statement);
  // and by our program, without network.
  await writeFile(keyFile, JSON.stringify(await keys()));
  const { stdout } = await run(process.env.EXEUNT_BIN, ['receipt', 'verify', file, '--jwks', keyFile, '--issuer', s.node.exeunt]);
  assert.match(stdout, /^This receipt is genuine/);
  await writeFile(file, text.replace(/.$/, (c) => (c === 'A' ? 'Q' : 'A')));
  const refused = await run(process.env.EXEUNT_BIN, ['receipt', 'verify', file, '--jwks', keyFile]).then(() => null, (error) => error);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /proves nothing/);
});

both(test, 'the address of a receipt is all that is needed to see it, and it lets nobody in', async (t, script) => {
  const page = await s.visit(t, { ...desktop, javaScriptEnabled: script });
  await leave(page);
  const address = new URL(await page.getByRole('link', { name: 'Save proof' }).getAttribute('href'), s.node.exeunt).href;
  const other = await s.visit(t, { ...phone, javaScriptEnabled: script });
  const answer = await other.goto(address);
  assert.equal(answer.headers()['cache-control'], 'no-store');
  assert.equal(await other.locator('h1').innerText(), 'Receipt of a sign-out');
  await other.goto(`${s.node.exeunt}/sessions`);
  assert.equal(new URL(other.url()).pathname, '/signin');
  assert.equal((await other.goto(`${address}x`)).status(), 404);
});

both(test, 'the list of ended sessions leads to the proof of each', async (t, script) => {
  const page = await s.visit(t, { ...desktop, javaScriptEnabled: script });
  await leave(page);
  await signIn(page, s.node);
  await page.goto(`${s.node.exeunt}/sessions/ended`);
  await Promise.all([page.waitForURL('**/receipts/*'), page.locator('.ended-rows a[href^="/receipts/"]').first().click()]);
  assert.match(await page.locator('main').innerText(), /Chirp\s+Closed at once/);
  assert.equal(await page.locator('nav.panel').isVisible(), true, 'the page is inside for who is signed in');
});

both(test, 'nothing that is left on a shared computer leads to a receipt', async (t, script) => {
  const page = await s.visit(t, { ...desktop, javaScriptEnabled: script });
  await leave(page, 'shared');
  assert.equal(await page.locator('a[href*="receipt"]').count(), 0);
  assert.doesNotMatch(await cookieHeader(page.context(), s.node.exeunt), /event|receipt/);
  assert.doesNotMatch(await page.content(), /receipt/i);
});

for (const [device, base] of Object.entries({ desktop, phone })) {
  test(`the receipt can be used by everybody, light and dark, and printed on one sheet: ${device}`, async (t) => {
    const page = await s.visit(t, base);
    await leave(page);
    await page.getByRole('link', { name: 'Save proof' }).click();
    await page.waitForURL('**/receipts/*');
    await page.evaluate(axe.source);
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      const { violations, passes } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
      assert.ok(passes.length > 0);
      assert.deepEqual(violations.filter((v) => v.impact === 'serious' || v.impact === 'critical').flatMap((v) => v.nodes.map((n) => `${v.id}: ${n.html}`)), []);
      if (process.env.EXEUNT_SCREENSHOT) await page.screenshot({ path: `e2e/out/receipt-${device}-${colorScheme}.png`, fullPage: true });
    }
    if (device !== 'desktop') return;
    const pdf = (await page.pdf({ format: 'A4' })).toString('latin1');
    assert.equal(pdf.match(/\/Type\s*\/Page[^s]/g).length, 1, 'sheets');
    if (!process.env.EXEUNT_SCREENSHOT) return;
    await page.emulateMedia({ media: 'print', colorScheme: 'light' });
    await page.setViewportSize({ width: 720, height: 1050 });
    await page.screenshot({ path: 'e2e/out/receipt-print.png' });
  });
}
