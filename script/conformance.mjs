// See script/conformance.
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Program, Server, freePort, makeCertificate, minutes, password, root } from '../e2e/lib/serve.mjs';
import { until } from '../e2e/lib/wait.mjs';

const { env } = process;
const [jar, onlyPlan, ...onlyModules] = process.argv.slice(2);
const alias = 'exeunt';

const plans = {
  basic: { name: 'oidcc-basic-certification-test-plan', title: 'Basic OP',
    variant: { server_metadata: 'discovery', client_registration: 'static_client' } },
  config: { name: 'oidcc-config-certification-test-plan', title: 'Config OP', variant: {} },
  logout: { name: 'oidcc-rp-initiated-logout-certification-test-plan', title: 'RP-Initiated Logout OP',
    variant: { client_registration: 'static_client', response_type: 'code' } },
  backchannel: { name: 'oidcc-backchannel-rp-initiated-logout-certification-test-plan', title: 'Back-Channel Logout OP',
    variant: { client_registration: 'static_client', response_type: 'code' }, client: 'told' },
};
if (onlyPlan && !plans[onlyPlan]) {
  console.error(`there is no plan ${onlyPlan}: use one of ${Object.keys(plans).join(', ')}`);
  process.exit(2);
}

// startSuite starts the jar with a certificate of its own, and returns where it is.
async function startSuite(folder) {
  if (env.SUITE_URL) return { url: env.SUITE_URL, certificate: env.SUITE_CERT };
  const [certificate, key] = [join(folder, 'suite.pem'), join(folder, 'suite-key.pem')];
  makeCertificate(certificate, key);
  const port = await freePort();
  const url = `https://localhost:${port}`;
  const words = (text) => (text ?? '').split(/\s+/).filter(Boolean);
  const program = new Program(env.JAVA ?? 'java', [...words(env.JAVA_OPTS), '-jar', jar,
    '--server.address=127.0.0.1', `--server.port=${port}`, '--server.ssl.enabled=true',
    `--server.ssl.certificate=file:${certificate}`, `--server.ssl.certificate-private-key=file:${key}`,
    '--fintechlabs.devmode=true', '--fintechlabs.startredir=false',
    `--fintechlabs.base_url=${url}`, `--fintechlabs.base_mtls_url=${url}`,
    `--spring.mongodb.uri=${env.MONGO_URI ?? 'mongodb://127.0.0.1:27017/test_suite'}`,
    ...words(env.SUITE_ARGS)], { cwd: folder });
  return { url, certificate, program };
}

// api calls the suite, whose certificate is made here.
function api(suite, method, path, query = {}, body) {
  const address = new URL(`/api/${path}`, suite.url);
  for (const [name, value] of Object.entries(query)) address.searchParams.set(name, value);
  return new Promise((resolve, reject) => {
    const headers = { 'Content-Type': 'application/json', Accept: 'application/json' };
    const r = https.request(address, { method, headers, rejectUnauthorized: false }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (part) => { text += part; }).on('error', reject).on('end', () => {
        if (answer.statusCode < 300) resolve(text ? JSON.parse(text) : null);
        else reject(new Error(`${method} ${address}: ${answer.statusCode} ${text.slice(0, 2000)}`));
      });
    });
    r.on('error', reject);
    r.end(body && JSON.stringify(body));
  });
}

// What the suite's browser does on our pages. A task whose page was not shown is skipped.
function steps(site) {
  const says = (text, optional) => ['wait', 'xpath', '//*', 10, text,
    `update-image-placeholder${optional ? '-optional' : ''}`];
  const signIn = (...first) => ({ task: 'Sign in', optional: true, match: `${site}/signin*`, commands: [...first,
    ['text', 'name', 'identifier', 'ada', 'optional'], ['text', 'name', 'password', password],
    ['click', 'css', 'input[name=kind][value=kept]', 'optional'], ['click', 'css', 'main form button.primary']] });
  const consent = { task: 'Consent', optional: true, match: `${site}/authorize*`,
    commands: [['click', 'css', 'button[value=continue]']] };
  const back = { task: 'Back', match: '*/test/*/callback*', commands: [['wait', 'id', 'submission_complete', 10]] };
  const visit = (...first) => ({ match: `${site}/authorize*`, tasks: [signIn(...first), consent, back] });
  const page = (path, text) => ({ match: `${site}/${path}*`,
    tasks: [{ task: 'Page', match: `${site}/*`, commands: [says(text)] }] });
  const ask = { task: 'Ask', match: `${site}/end_session*`,
    commands: [['click', 'css', 'form[action="/end_session/browser"] button']] };
  const leave = { match: `${site}/end_session*`,
    tasks: [ask, { task: 'Left', match: '*/test/*/post_logout_redirect*' }] };
  const stay = { match: `${site}/end_session*`, tasks: [ask, { task: 'Signed out', match: `${site}/signed-out*`,
    commands: [says('no longer signed in')] }] };
  const logout = (name) => `oidcc-rp-initiated-logout-${name}`;
  const each = (browser, ...modules) => Object.fromEntries(modules.map((name) => [name, { browser }]));
  return {
    browser: [visit(), leave],
    override: {
      ...each([visit(says('Sign in', true))], 'oidcc-prompt-login', 'oidcc-max-age-1'),
      ...each([page('authorize', 'not set up correctly')], 'oidcc-ensure-registered-redirect-uri',
        'oidcc-ensure-request-object-with-redirect-uri'),
      ...each([visit(), stay], ...['no-params', 'no-post-logout-redirect-uri', 'only-state'].map(logout)),
      ...each([visit(), page('end_session', 'Sign out')], ...['bad-post-logout-redirect-uri', 'modified-id-token-hint',
        'query-added-to-post-logout-redirect-uri', 'bad-id-token-hint', 'no-id-token-hint'].map(logout)),
    },
  };
}

async function register(node, suite) {
  await node.account('ada', '--name=Ada', '--email=ada@example.com', '--email-confirmed');
  const at = `${suite.url}/test/a/${alias}`;
  const add = async (id, ...flags) => {
    const { client_id, client_secret } = await node.client(id, `--name=${id}`, `--redirect-uri=${at}/callback`,
      `--post-logout-uri=${at}/post_logout_redirect`, '--no-pkce', '--first-party', ...flags);
    return { client_id, client_secret };
  };
  return {
    client: await add('first'), client2: await add('second'), client_secret_post: await add('third', '--auth=post'),
    told: await add('told', `--backchannel-uri=${at}/backchannel_logout`),
  };
}

const over = ['FINISHED', 'INTERRUPTED'];

async function runModule(suite, plan, { testModule, variant }) {
  const { id } = await api(suite, 'POST', 'runner',
    { test: testModule, plan, ...(variant && { variant: JSON.stringify(variant) }) });
  const at = async (...states) => {
    let info;
    await until(`${testModule} is ${states.join(' or ')}`, async () => {
      info = await api(suite, 'GET', `info/${id}`);
      return states.includes(info.status);
    }, 5 * minutes).catch((error) => { info.result = `UNFINISHED: ${error.message}`; });
    return info;
  };
  const { status } = await at('CONFIGURED', 'WAITING', 'RUNNING', ...over);
  if (status === 'CONFIGURED') await api(suite, 'POST', `runner/${id}`);
  const info = await at(...over);
  if (!over.includes(info.status)) await api(suite, 'DELETE', `runner/${id}`);
  const log = await api(suite, 'GET', `log/${id}`);
  if (env.LOGS) {
    await mkdir(env.LOGS, { recursive: true });
    await writeFile(join(env.LOGS, `${testModule}.json`), JSON.stringify(log, null, 1));
  }
  const result = info.status === 'INTERRUPTED' ? 'INTERRUPTED' : info.result;
  console.log(`${testModule.padEnd(70)} ${result}`);
  for (const { src, msg, result: one } of log) {
    if (['FAILURE', 'WARNING'].includes(one)) console.log(`    ${src}: ${msg}`);
  }
  return { module: testModule, result, version: info.version };
}

async function runPlan(suite, node, clients, plan) {
  const config = {
    alias, description: 'Exeunt',
    server: { discoveryUrl: `${node.exeunt}/.well-known/openid-configuration`, login_hint: 'ada' },
    client: clients[plan.client ?? 'client'], client2: clients.client2, client_secret_post: clients.client_secret_post,
    options: { browsercontrol_css_enable: false }, ...steps(node.exeunt),
  };
  console.log(`\n== ${plan.title}`);
  const { id, modules } = await api(suite, 'POST', 'plan',
    { planName: plan.name, variant: JSON.stringify(plan.variant) }, config);
  const results = [];
  for (const module of modules) {
    if (onlyModules.length && !onlyModules.includes(module.testModule)) continue;
    results.push(await runModule(suite, id, module));
  }
  return { ...plan, results };
}

// The words of the suite.
const meaning = `REVIEW: passed, with a picture of a page that a person looks at, as described in the note. WARNING:
passed, with a remark. SKIPPED: it tests something that discovery says is not offered. None of these
stands in the way of a certification.`;

function pageOf(done, notes) {
  const version = done.flatMap((plan) => plan.results).find((r) => r.version)?.version;
  const lines = ['# Conformance', '',
    `What the OpenID Foundation's conformance suite${version ? ` (${version})` : ''} says of a node.`,
    '`script/conformance` runs it and writes this page. No certification was asked for.', '', ...meaning.split('\n'), ''];
  for (const plan of done) {
    const counts = Object.entries(grouped(plan.results)).sort(([a], [b]) => a.localeCompare(b));
    const sums = counts.map(([result, all]) => `${all.length} ${result}`).join(', ');
    lines.push(`## ${plan.title}`, '', `\`${plan.name}\`: ${sums}.`, '',
      '| module | result | note |', '|---|---|---|',
      ...plan.results.map((r) => `| \`${r.module}\` | ${r.result} | ${notes[r.module] ?? ''} |`), '');
  }
  return `${lines.join('\n').trimEnd()}\n`;
}

function grouped(results) {
  const groups = {};
  for (const r of results) (groups[r.result] ??= []).push(r);
  return groups;
}

const folder = await mkdtemp(join(tmpdir(), 'exeunt-conformance-'));
let suite;
let node;
let status = 0;
try {
  suite = await startSuite(folder);
  const listening = () => api(suite, 'GET', 'plan', { length: 1 }).then(() => true);
  node = await Server.start({ trust: suite.certificate });
  if (suite.program) await suite.program.ready(listening);
  const clients = await register(node, suite);
  const notes = JSON.parse(await readFile(join(root, 'script', 'conformance.json'), 'utf8'));
  const done = [];
  const wanted = onlyPlan ? [plans[onlyPlan]] : Object.values(plans);
  for (const plan of wanted) done.push(await runPlan(suite, node, clients, plan));
  const results = done.flatMap((plan) => plan.results);
  const failed = results.filter((r) => !['PASSED', 'REVIEW', 'SKIPPED', 'WARNING'].includes(r.result));
  const unexplained = results.filter((r) => r.result === 'WARNING' && !notes[r.module]);
  const named = (list) => list.map((r) => r.module).join(', ');
  if (!onlyPlan) await writeFile(join(root, 'docs', 'conformance.md'), pageOf(done, notes));
  console.log(`\n${results.length} modules, ${failed.length} failed`);
  if (failed.length) console.log(`failed: ${named(failed)}`);
  if (unexplained.length) console.log(`warnings without a note in script/conformance.json: ${named(unexplained)}`);
  if (failed.length || unexplained.length) status = 1;
} finally {
  await node?.stop();
  await suite?.program?.stop();
  await rm(folder, { recursive: true, force: true });
}
process.exit(status);
