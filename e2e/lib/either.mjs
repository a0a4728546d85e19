// Chromium and Firefox, by one interface (WebDriver BiDi where that is how a browser is driven): for what both must do.
import puppeteer from 'puppeteer-core';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from './wait.mjs';

const chromium = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];

const found = (...paths) => {
  const path = paths.find((p) => p && existsSync(p));
  if (!path) throw new Error(`none of ${paths.filter(Boolean).join(', ')} is installed; script/test installs it`);
  return path;
};

/** A browser whose requests go through the proxy at that port. With a folder it begins with what an earlier one left there; private: all its windows are. */
export async function open(kind, { port, folder, private: hidden } = {}) {
  const dir = folder ?? await mkdtemp(join(tmpdir(), `exeunt-${kind}-`));
  const b = kind === 'firefox'
    ? await puppeteer.launch({
      browser: 'firefox', executablePath: found(process.env.FIREFOX, '/usr/bin/firefox-esr', '/usr/bin/firefox'), headless: true,
      userDataDir: dir, extraPrefsFirefox: {
        ...(port ? { 'network.proxy.type': 1, 'network.proxy.http': '127.0.0.1', 'network.proxy.http_port': port,
          'network.proxy.allow_hijacking_localhost': true, 'network.proxy.no_proxies_on': '' } : {}),
        ...(hidden ? { 'browser.privatebrowsing.autostart': true } : {}),
        'browser.sessionstore.resume_from_crash': false, 'network.http.speculative-parallel-limit': 0,
      },
    })
    : await puppeteer.launch({
      browser: 'chrome', executablePath: found(process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser'), headless: true,
      userDataDir: dir, ignoreDefaultArgs: ['--disable-back-forward-cache'],
      args: [...chromium, ...(hidden ? ['--incognito'] : []), ...(port ? [`--proxy-server=127.0.0.1:${port}`, '--proxy-bypass-list=<-loopback>'] : [])],
    });
  return {
    browser: b, folder: dir,
    async tab() {
      const page = await b.newPage();
      page.setDefaultTimeout(120_000);
      return page;
    },
    /** As a power cut ends it. */
    async kill() {
      const { process } = { process: b.process() };
      const gone = new Promise((done) => { process.once('exit', done); });
      process.kill('SIGKILL');
      await gone;
    },
    async close() {
      await b.close().catch(() => {});
      await rm(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
    },
  };
}

// Pages are asked by functions that run in them: a handle is lost while one page gives way to the next, and that a question
// fails then says nothing.
const minutes = 120_000;

export const main = (page) => page.evaluate(() => document.querySelector('main')?.innerText ?? '').catch(() => '');
export const shows = (page, text) => until(`the page says ${text}`, async () => text.test(await main(page)), minutes);
export const sees = (page, css) => until(`the page has ${css}`, () => page.evaluate((one) => Boolean(document.querySelector(one)), css).catch(() => false), minutes);
/** Clicks; that the page is gone by then is what a click may be for. */
export const click = (page, css) => page.evaluate((one) => { document.querySelector(one).click(); }, css).catch(() => {});

/** Fills in the form of the page and sends it, once, and waits until somebody is signed in. */
export async function fillIn(page, account, kind) {
  await until('the form is sent', () => page.evaluate(({ handle, password }, device) => {
    const form = document.querySelector('form[data-device]');
    if (!form) return Boolean(document.body?.dataset.session);
    if (!form.dataset.sent) {
      form.dataset.sent = 'yes';
      form.elements.identifier.value = handle;
      form.elements.password.value = password;
      form.querySelector(`input[name=kind][value=${device}]`).click();
      form.querySelector('button.primary').click();
    }
    return false;
  }, account, kind).catch(() => false), minutes);
  await until('somebody is signed in', () => page.evaluate(() => location.pathname === '/'
    && document.readyState === 'complete' && Boolean(document.body.dataset.session)).catch(() => false), minutes);
}

/** Waits until the page's worker takes what it sends. */
export const workerReady = (page, within = minutes) => until('the worker is ready',
  () => page.evaluate(() => Boolean(navigator.serviceWorker.controller)).catch(() => false), within);
