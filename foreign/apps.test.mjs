// Whole apps that nobody here wrote, set up by what `exeunt clients add --preset`
// prints, sign people in. `make apps` builds them.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fillIn, shell } from '../e2e/lib/browser.mjs';
import { Program, Server, freePort, minutes, root } from '../e2e/lib/serve.mjs';
import { cookieHeader, request, until } from '../e2e/lib/wait.mjs';

const built = (name) => join(process.env.EXEUNT_BIN ? join(process.env.EXEUNT_BIN, '..') : join(root, 'bin'), name);

let server;
let browser;
let ada;
let grace;
before(async () => {
  server = await Server.start();
  ada = await server.account('ada', '--name=Ada', '--email=ada@example.com', '--email-confirmed');
  grace = await server.account('grace'); // she has no e-mail address
  browser = await shell();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

async function visit(t) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  t.after(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(2 * minutes);
  return page;
}

/** Registers an app, and returns the environment that the preset says the app needs. */
async function preset(id, name, url) {
  const { other_side } = await server.client(id, `--preset=${name}`, `--url=${url}`);
  const lines = other_side.matchAll(/^ {2}([A-Z0-9_]+)=(.*)$/gm);
  return Object.fromEntries([...lines].map(([, key, value]) => [key, value]));
}

async function run(t, name, env, url) {
  const { PATH, HOME } = process.env;
  const program = new Program(built(name), [], { env: { PATH, HOME, SSL_CERT_FILE: server.certificate, ...env } });
  t.after(() => program.stop());
  await program.ready(async () => (await request(url)).status > 0);
  return program;
}

/** Signs in, and allows the app to learn who it is. */
async function enter(page, account = ada) {
  await fillIn(page, account);
  await page.click('form[action="/authorize/decide"] button[value=continue]');
}

/** A database of its own for an app. */
async function database(t) {
  const postgres = spawn(built('postgres'), [], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(async () => {
    postgres.stdin.end();
    await once(postgres, 'exit');
  });
  const [address] = await once(postgres.stdout.setEncoding('utf8'), 'data');
  return address.trim();
}

test('Miniflux signs in', async (t) => {
  const url = `http://localhost:${await freePort()}`;
  await run(t, 'miniflux.app', { ...await preset('miniflux', 'miniflux', url),
    DATABASE_URL: await database(t), RUN_MIGRATIONS: '1', DISABLE_SCHEDULER_SERVICE: '1',
    BASE_URL: url, LISTEN_ADDR: `127.0.0.1:${new URL(url).port}` }, url);
  const page = await visit(t);
  await page.goto(url);
  await page.getByRole('link', { name: 'Exeunt' }).click();
  await enter(page);
  await page.waitForURL(`${url}/unread`);
  assert.match(await page.locator('.logout-button').first().getAttribute('title'), /\bada\b/);
});

test('Miniflux behind Exeunt, which it believes by a header, never shows one person what is another\'s', async (t) => {
  const [port, inner] = [await freePort(), await freePort()];
  const wall = `https://miniflux.localhost:${port}`;
  const folder = await mkdtemp(join(tmpdir(), 'exeunt-apps-'));
  await writeFile(join(folder, 'exeunt.toml'),
    `[[sites]]\nhost = "miniflux.localhost:${port}"\nname = "Miniflux"\nupstream = "http://127.0.0.1:${inner}"\nsign_out = ["/logout"]\n`);
  const own = await Server.start({ args: [`--config=${join(folder, 'exeunt.toml')}`], host: 'id.localhost', port, folder });
  t.after(() => own.stop());
  await run(t, 'miniflux.app', { DATABASE_URL: await database(t), RUN_MIGRATIONS: '1', DISABLE_SCHEDULER_SERVICE: '1',
    AUTH_PROXY_HEADER: 'Remote-User', AUTH_PROXY_USER_CREATION: '1', TRUSTED_REVERSE_PROXY_NETWORKS: '127.0.0.1/32',
    BASE_URL: wall, LISTEN_ADDR: `127.0.0.1:${inner}` }, `http://127.0.0.1:${inner}/healthcheck`);
  const page = await visit(t);
  const shown = () => page.locator('.logout-button').first().getAttribute('title');
  const people = [await own.account('ada'), await own.account('grace')];
  for (const person of people) {
    await page.goto(wall);
    await fillIn(page, person);
    await page.waitForURL(`${wall}/**`);
    assert.match(await shown(), new RegExp(`\\b${person.handle}\\b`));
    await page.goto(`${wall}/settings`);
    assert.equal(await page.inputValue('input[name=username]'), person.handle);
    // By its own way out, and the next time without it.
    if (person === people[0]) {
      await page.goto(`${wall}/logout`);
      await page.click('form[action="/end_session/browser"] button');
      await page.waitForURL(/signed_out/);
    }
  }
  await page.goto(`${own.exeunt}/signout`);
  await Promise.all([page.waitForURL('**/signed-out*'), page.click('main form[action="/signout"] button.danger')]);
  await page.goto(`${wall}/settings`);
  await fillIn(page, people[0]);
  await page.waitForURL(`${wall}/settings`);
  assert.equal(await page.inputValue('input[name=username]'), 'ada');
});

/** oauth2-proxy before an app that answers with the headers it got. */
async function oauth2Proxy(t, id, env) {
  const behind = createServer((req, res) => res.end(JSON.stringify(req.headers))).listen(await freePort(), '127.0.0.1');
  t.after(() => { behind.closeAllConnections(); behind.close(); });
  const url = `http://localhost:${await freePort()}`;
  await run(t, 'oauth2-proxy', { ...await preset(id, 'oauth2-proxy', url),
    OAUTH2_PROXY_COOKIE_SECRET: Buffer.alloc(32, 7).toString('base64url'), OAUTH2_PROXY_COOKIE_SECURE: 'false',
    OAUTH2_PROXY_HTTP_ADDRESS: `127.0.0.1:${new URL(url).port}`,
    OAUTH2_PROXY_UPSTREAMS: `http://127.0.0.1:${behind.address().port}/`, ...env }, url);
  return url;
}

test('oauth2-proxy signs in, and out when it is refused another token', async (t) => {
  const url = await oauth2Proxy(t, 'oauth2-proxy', { OAUTH2_PROXY_COOKIE_REFRESH: '1s' }); // instead of the preset's 4m
  const page = await visit(t);
  await page.goto(url);
  await page.getByRole('button', { name: 'Exeunt' }).click();
  await enter(page);
  await page.waitForURL(`${url}/`);
  let cookie = await cookieHeader(page.context(), url);
  const asks = async () => {
    const answer = await request(url, { headers: { cookie } });
    const renewed = answer.headers['set-cookie']?.find((c) => c.startsWith('_oauth2_proxy='));
    if (renewed && answer.status === 200) cookie = renewed.split(';')[0];
    return { ...answer, renewed };
  };
  const seen = JSON.parse((await asks()).text);
  assert.equal(seen['x-forwarded-email'], 'ada@example.com');
  assert.equal(seen['x-forwarded-preferred-username'], 'ada');
  await until('it has another token', async () => (await asks()).renewed, 5 * minutes);
  await (await server.device(ada, 'Phone')).endOthers();
  await until('it has signed out', async () => (await asks()).status !== 200, 5 * minutes);
});

test('oauth2-proxy takes somebody without an address as its preset says', async (t) => {
  const url = await oauth2Proxy(t, 'without-addresses', { OAUTH2_PROXY_OIDC_EMAIL_CLAIM: 'preferred_username' });
  const page = await visit(t);
  await page.goto(`${url}/oauth2/start`);
  await enter(page, grace);
  await page.waitForURL(`${url}/`);
  assert.equal(JSON.parse(await page.innerText('body'))['x-forwarded-preferred-username'], 'grace');
});
