// Real Chromium, as a person has it: the back-forward cache is on (Playwright
// would turn it off).
import { chromium } from 'playwright-core';
import { mkdtemp, rm } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const args = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];
const ignoreDefaultArgs = ['--disable-back-forward-cache'];

function executablePath(...first) {
  const found = [process.env.CHROMIUM, ...first, '/usr/bin/chromium', '/usr/bin/chromium-browser'].find((p) => p && existsSync(p));
  if (!found) throw new Error('chromium is not installed; script/test installs it');
  return found;
}

export const desktop = { viewport: { width: 1280, height: 860 } };
export const phone = {
  viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true,
  userAgent: 'Mozilla/5.0 (Linux; Android 16; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Mobile Safari/537.36',
};

export function launch() {
  return chromium.launch({ executablePath: executablePath(), args, ignoreDefaultArgs });
}

// shell starts the same browser without its windows, which takes a third of the
// work. It has no back-forward cache: it is for tests that look at pages and never
// go back to one.
export function shell() {
  return chromium.launch({ executablePath: executablePath('/usr/bin/chromium-headless-shell'), args });
}

// profile starts a browser on a profile folder of its own, which survives
// closing the browser: for restored windows and extensions.
export async function profile({ folder, extension, ...options } = {}) {
  const dir = folder ?? await mkdtemp(join(tmpdir(), 'exeunt-profile-'));
  const extra = extension ? [`--disable-extensions-except=${extension}`, `--load-extension=${extension}`] : [];
  const context = await chromium.launchPersistentContext(dir, {
    executablePath: executablePath(), args: [...args, ...extra],
    ignoreDefaultArgs: extension ? [...ignoreDefaultArgs, '--disable-extensions'] : ignoreDefaultArgs,
    // Extensions run only in the new headless mode of the full browser.
    channel: undefined, ...options,
  });
  return { context, dir, remove: () => rm(dir, { recursive: true, force: true }) };
}

// signIn fills in the form as a person would. kind is kept or shared.
export async function signIn(page, node, account = node.ada, kind = 'kept') {
  await page.goto(`${node.exeunt}/signin${kind === 'shared' ? '?shared=1' : ''}`);
  await Promise.all([page.waitForURL(`${node.exeunt}/`), fillIn(page, account, kind)]);
}

/** Fills in the sign-in form of the page, wherever it leads. */
export async function fillIn(page, account, kind = 'kept') {
  await page.fill('input[name=identifier]', account.handle);
  await page.fill('input[name=password]', account.password);
  await page.check(`input[name=kind][value=${kind}]`);
  await page.click('main form button.primary');
}

// signOut goes through the confirmation page.
export async function signOut(page, node) {
  await page.goto(`${node.exeunt}/signout`);
  await Promise.all([page.waitForURL('**/signed-out*'), page.click('main form[action="/signout"] button.danger')]);
}
