// Apps built on libraries that nobody here wrote sign people in, and learn of a
// sign-out, each by what its own documentation says.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { chmod, mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import express from 'express';
import { auth } from 'express-openid-connect';
import * as client from 'openid-client';
import { fillIn, shell, signIn } from './lib/browser.mjs';
import { cookieHeader, request, until } from './lib/wait.mjs';
import { Program, Server, freePort, minutes } from './lib/serve.mjs';

let server;
let browser;
let ada;
let grace;
before(async () => {
  server = await Server.start();
  [ada, grace] = [await server.account('ada', '--name=Ada'), await server.account('grace')];
  browser = await shell();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

const consent = 'form[action="/authorize/decide"] button[value=continue]';

async function visit(t, account) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  t.after(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(2 * minutes);
  if (account) await signIn(page, server, account);
  return page;
}

/** An app of express, listening until the test ends. */
async function listen(t, app, port) {
  const listener = app.listen(port, '127.0.0.1');
  t.after(() => { listener.closeAllConnections(); listener.close(); });
  await new Promise((done) => { listener.once('listening', done); });
  return `http://localhost:${port}`;
}

// What express-session's stores do, in memory.
const store = () => {
  const kept = new Map();
  return {
    get: (id, done) => done(null, kept.get(id)),
    set: (id, value, done) => { kept.set(id, value); done?.(null); },
    destroy: (id, done) => { kept.delete(id); done?.(null); },
  };
};

test('[R5.4] an app on express-openid-connect signs in, and is signed out from another device', async (t) => {
  const port = await freePort();
  const url = `http://localhost:${port}`;
  const { client_id, client_secret } = await server.client('express', '--name=Express',
    `--redirect-uri=${url}/callback`, `--backchannel-uri=${url}/backchannel-logout`);
  const app = express();
  app.use(auth({
    issuerBaseURL: server.exeunt, baseURL: url, clientID: client_id, clientSecret: client_secret,
    authorizationParams: { response_type: 'code', scope: 'openid profile' }, authRequired: false,
    secret: 'a secret of the app', customFetch: server.fetch,
    backchannelLogout: true, session: { store: store() },
  }));
  app.get('/info', async (req, res) => res.json(await req.oidc.fetchUserInfo()));
  app.get('/', (req, res) => { // it asks nobody but its own session
    if (req.oidc.isAuthenticated()) res.json(req.oidc.idTokenClaims);
    else res.status(401).send('nobody');
  });
  await listen(t, app, port);

  const page = await visit(t);
  await page.goto(`${url}/login`);
  await fillIn(page, ada);
  await Promise.all([page.waitForURL(`${url}/`), page.click(consent)]);
  const cookies = await cookieHeader(page.context(), url);
  const asks = (cookie, path = '/') => fetch(url + path, { headers: { cookie } });
  const claims = await (await asks(cookies)).json();
  const info = await (await asks(cookies, '/info')).json();
  assert.equal(claims.preferred_username, 'ada');
  assert.equal(info.name, 'Ada');
  assert.equal(info.sub, claims.sub);
  const other = await visit(t, grace);
  await other.goto(`${url}/login`);
  await Promise.all([other.waitForURL(`${url}/`), other.click(consent)]);

  const phone = await server.device(ada, 'Phone');
  await phone.end(claims.sid);
  await until('the app refuses', async () => (await asks(cookies)).status === 401, 5 * minutes);
  assert.equal((await asks(await cookieHeader(other.context(), url))).status, 200, 'somebody else is still signed in');
});

// An app without a framework: its browser comes back to a page that does nothing.
async function relying(t, auth, name = auth) {
  const port = await freePort();
  const id = `lib-${name}`;
  const callback = `http://localhost:${port}/callback`;
  const { client_secret } = await server.client(id, `--name=With ${name}`, `--redirect-uri=${callback}`,
    `--auth=${auth}`, '--first-party');
  await listen(t, express().get('/callback', (req, res) => res.send('back')), port);
  const method = { basic: client.ClientSecretBasic, post: client.ClientSecretPost, none: client.None }[auth];
  const config = await client.discovery(new URL(server.exeunt), id, undefined, method(client_secret), {
    [client.customFetch]: server.fetch,
  });
  /** Goes through the browser, and returns where it came back to and what must be checked. */
  const authorize = async (page) => {
    const checks = { pkceCodeVerifier: client.randomPKCECodeVerifier(), expectedNonce: client.randomNonce(),
      expectedState: client.randomState(), idTokenExpected: true };
    const start = client.buildAuthorizationUrl(config, {
      redirect_uri: callback, scope: 'openid profile offline_access',
      state: checks.expectedState, nonce: checks.expectedNonce,
      code_challenge: await client.calculatePKCECodeChallenge(checks.pkceCodeVerifier), code_challenge_method: 'S256',
    });
    await Promise.all([page.waitForURL(`${callback}?*`), page.goto(start.href)]);
    return { back: new URL(page.url()), checks };
  };
  return { config, authorize };
}

const because = (what) => (error) => what.test(error.cause?.message);
const refused = (error) => error.error === 'invalid_grant' && error.status === 400;

for (const auth of ['basic', 'post', 'none']) {
  test(`openid-client signs in, refreshes and revokes as a client of the kind ${auth}`, async (t) => {
    const { config, authorize } = await relying(t, auth);
    const page = await visit(t, ada);
    const { back, checks } = await authorize(page);
    const mixedUp = new URL(back);
    mixedUp.searchParams.set('iss', 'https://other.example.com');
    await assert.rejects(client.authorizationCodeGrant(config, mixedUp, checks), because(/"iss"/));
    const first = await client.authorizationCodeGrant(config, back, checks);
    const { sub, sid } = first.claims();
    assert.ok(sid);
    assert.equal((await client.fetchUserInfo(config, first.access_token, sub)).preferred_username, 'ada');
    await assert.rejects(client.authorizationCodeGrant(config, back, checks), refused, 'a code used again');

    // That a code came twice has ended what it gave.
    await assert.rejects(client.refreshTokenGrant(config, first.refresh_token), refused);

    const second = await authorize(page);
    const given = await client.authorizationCodeGrant(config, second.back, second.checks);
    const renewed = await client.refreshTokenGrant(config, given.refresh_token);
    assert.notEqual(renewed.refresh_token, given.refresh_token);
    assert.notEqual(renewed.access_token, given.access_token);
    const again = await client.refreshTokenGrant(config, given.refresh_token); // its answer was lost
    assert.equal(again.refresh_token, renewed.refresh_token);
    assert.equal(again.access_token, renewed.access_token);
    await client.fetchUserInfo(config, renewed.access_token, sub);
    if (auth !== 'none') {
      const found = await client.tokenIntrospection(config, renewed.access_token);
      assert.equal(found.active, true);
      assert.equal(found.sub, sub);
    }
    await client.tokenRevocation(config, renewed.refresh_token);
    await assert.rejects(client.fetchUserInfo(config, renewed.access_token, sub), (error) => error.status === 401);
    await assert.rejects(client.refreshTokenGrant(config, renewed.refresh_token), refused);
    if (auth !== 'none') assert.equal((await client.tokenIntrospection(config, renewed.access_token)).active, false);
  });
}


test('openid-client checks the nonce, and is refused a refresh after a sign-out on another device', async (t) => {
  const { config, authorize } = await relying(t, 'basic', 'other');
  const page = await visit(t, ada);
  const { back, checks } = await authorize(page);
  const replayed = { ...checks, expectedNonce: client.randomNonce() };
  await assert.rejects(client.authorizationCodeGrant(config, back, replayed), because(/nonce/));
  const next = await authorize(page);
  const tokens = await client.authorizationCodeGrant(config, next.back, next.checks);
  const { sub, sid } = tokens.claims();
  await client.fetchUserInfo(config, tokens.access_token, sub);
  await (await server.device(ada, 'Phone')).end(sid);
  await assert.rejects(client.refreshTokenGrant(config, tokens.refresh_token), refused);
  await assert.rejects(client.fetchUserInfo(config, tokens.access_token, sub), (error) => error.status === 401);
  assert.equal((await client.tokenIntrospection(config, tokens.access_token)).active, false);
});

/** Apache with mod_auth_openidc before an app that answers with the headers it got; each site is a client. */
async function apache(t, sites) {
  const behind = await freePort();
  await listen(t, express().use((req, res) => res.set('Cache-Control', 'no-store').json(req.headers)), behind);
  const folder = await mkdtemp(join(server.folder, 'apache-'));
  await chmod(folder, 0o755); // its workers are somebody else
  const modules = ['mpm_event', 'authn_core', 'authz_core', 'authz_user', 'auth_openidc', 'proxy', 'proxy_http'];
  const lines = [
    ...modules.map((name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`),
    `ServerRoot ${folder}`, 'ServerName localhost', `PidFile ${folder}/pid`, `DefaultRuntimeDir ${folder}`,
    'ErrorLog "|$cat >&2"', 'LogLevel warn', `Mutex file:${folder}`, 'StartServers 1', 'MaxRequestWorkers 100',
    ...(process.getuid() === 0 ? ['User www-data', 'Group www-data'] : []),
  ];
  for (const { id, url, secret, directives = [] } of sites) {
    const { port } = new URL(url);
    lines.push(`Listen 127.0.0.1:${port}`, `<VirtualHost 127.0.0.1:${port}>`, 'ServerName localhost',
      `OIDCProviderMetadataURL ${server.exeunt}/.well-known/openid-configuration`,
      `OIDCCABundlePath ${server.certificate}`, `OIDCClientID ${id}`, `OIDCClientSecret ${secret}`,
      `OIDCRedirectURI ${url}/redirect_uri`, 'OIDCCryptoPassphrase passphrase',
      'OIDCPKCEMethod S256', 'OIDCRemoteUserClaim preferred_username', `OIDCCookie session-${id}`, ...directives,
      '<Location />', 'AuthType openid-connect', 'Require valid-user', '</Location>',
      `ProxyPass / http://127.0.0.1:${behind}/`, '</VirtualHost>');
  }
  await writeFile(join(folder, 'httpd.conf'), `${lines.join('\n')}\n`);
  const program = new Program('apache2', ['-DFOREGROUND', '-f', join(folder, 'httpd.conf')], {
    env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` },
  });
  t.after(() => program.stop());
  await program.ready(async () => (await request(sites[0].url, { headers: { accept: 'text/html' } })).status === 302);
  return program;
}

test('[R5.4] Apache with mod_auth_openidc signs in, refreshes, and refuses after a sign-out', async (t) => {
  const site = async (id, directives, ...flags) => {
    const url = `http://localhost:${await freePort()}`;
    const { client_secret } = await server.client(id, `--name=${id}`, `--redirect-uri=${url}/redirect_uri`,
      '--first-party', ...flags.map((flag) => flag.replace('URL', url)));
    return { id, url, secret: client_secret, directives };
  };
  const told = await site('told', ['OIDCScope "openid profile"'],
    '--backchannel-uri=URL/redirect_uri?logout=backchannel');
  // Its access tokens live shorter than that, so each request needs another.
  const asking = await site('asking', ['OIDCScope "openid profile offline_access"',
    'OIDCRefreshAccessTokenBeforeExpiry 60 logout_on_error'], '--token-life=30s');
  await apache(t, [told, asking]);

  const page = await visit(t);
  await page.goto(`${told.url}/some/page`);
  await Promise.all([page.waitForURL(`${told.url}/some/page`), fillIn(page, ada)]);
  await page.goto(`${asking.url}/`);
  const cookie = await cookieHeader(page.context(), told.url); // of both: cookies do not know ports
  const asks = ({ url }) => request(url, { headers: { cookie, accept: 'text/html' } });
  const passed = async (at) => JSON.parse((await asks(at)).text);
  const seen = await passed(told);
  assert.equal(seen.oidc_claim_preferred_username, 'ada');
  assert.equal(seen.oidc_claim_name, 'Ada');
  const first = (await passed(asking)).oidc_access_token;
  const second = (await passed(asking)).oidc_access_token;
  assert.match(first, /^ext_/);
  assert.notEqual(second, first, 'a request renews the access token');

  await (await server.device(ada, 'Phone')).end(seen.oidc_claim_sid);
  await page.goto(asking.url); // it is refused a refresh
  await page.getByText('Logged Out').waitFor();
  assert.equal((await asks(asking)).status, 302, 'its own session is over');
  await until('the site that is told refuses', async () => (await asks(told)).status === 302, 5 * minutes);
});
