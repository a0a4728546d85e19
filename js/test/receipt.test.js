import test from 'node:test';
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { verifyReceipt } from '../receipt.js';

// A receipt that the Go package has signed.
const kept = new URL('../../client/receipt/testdata/', import.meta.url);
const text = await readFile(new URL('receipt.jws', kept), 'utf8');
const keys = JSON.parse(await readFile(new URL('keys.json', kept), 'utf8'));

const base64url = (bytes) => Buffer.from(bytes).toString('base64url');
const refused = (what, keySet = keys, options = {}) => verifyReceipt(what, keySet, options).then(() => 'none', (error) => error.code ?? error);

const kinds = {
  RS256: [{ name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256', modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]) }, { name: 'RSASSA-PKCS1-v1_5' }],
  ES256: [{ name: 'ECDSA', namedCurve: 'P-256' }, { name: 'ECDSA', hash: 'SHA-256' }],
  EdDSA: [{ name: 'Ed25519' }, { name: 'Ed25519' }],
};

async function signer(alg, kid = 'k1', more = {}) {
  const [make, how] = kinds[alg];
  const pair = await crypto.subtle.generateKey({ ...make, ...more }, true, ['sign', 'verify']);
  return {
    jwk: { ...await crypto.subtle.exportKey('jwk', pair.publicKey), kid, alg, use: 'sig' },
    async sign(payload, header = JSON.stringify({ alg, kid, typ: 'exeunt-receipt+jwt' })) {
      const over = `${base64url(header)}.${base64url(payload)}`;
      return `${over}.${base64url(await crypto.subtle.sign(how, pair.privateKey, Buffer.from(over)))}`;
    },
  };
}

const payload = Buffer.from(text.split('.')[1], 'base64url').toString();

test('a receipt that was signed elsewhere says what it says', async () => {
  const said = await verifyReceipt(text, keys, { issuer: 'https://id.example.com' });
  assert.deepEqual([said.event, said.iat, said.apps.length, said.apps[1].name, said.app_sessions], [17, 1796058061, 3, 'Fotos für Ünal', 3]);
  assert.equal(await refused(text, keys, { issuer: 'https://other.example' }), 'issuer');
  assert.equal(await refused(text, { keys: [] }), 'unknown_key');
  const forger = await signer('RS256');
  assert.equal(await refused(text, { keys: [forger.jwk] }), 'signature');
});

test('each algorithm', async () => {
  for (const alg of Object.keys(kinds)) {
    const s = await signer(alg);
    const receipt = await s.sign(payload);
    assert.equal((await verifyReceipt(receipt, { keys: [s.jwk] })).event, 17, alg);
    for (const other of Object.keys(kinds)) {
      assert.equal(await refused(receipt, { keys: [(await signer(other)).jwk] }), 'signature', `${alg} by ${other}`);
    }
  }
});

test('with any byte changed, missing or added it is no receipt', async () => {
  const wrong = [];
  const codes = new Set(['malformed', 'version', 'unknown_key', 'signature']);
  const check = async (what, changed) => { if (changed !== text && !codes.has(await refused(changed))) wrong.push(what); };
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    for (const other of [1, 2, 0x20].map((bit) => String.fromCharCode(code ^ bit)).concat('A', '-', '_', '+', '=', '.', '\n', 'é')) {
      await check(`character ${i} is ${JSON.stringify(other)}`, text.slice(0, i) + other + text.slice(i + 1));
    }
    await check(`without character ${i}`, text.slice(0, i) + text.slice(i + 1));
    await check(`a character more before ${i}`, `${text.slice(0, i)}A${text.slice(i)}`);
  }
  for (const more of ['\n', '=', 'A', ' ', '.']) await check('more at the end', text + more);
  assert.deepEqual(wrong, []);
});

test('other tokens and other spellings', async () => {
  const s = await signer('ES256');
  const header = (more) => JSON.stringify({ alg: 'ES256', kid: 'k1', typ: 'exeunt-receipt+jwt', ...more });
  const ask = async (body, head) => refused(await s.sign(body, head), { keys: [s.jwk] });
  assert.equal(await ask(payload, header()), 'none');
  for (const [what, head] of Object.entries({
    'an ID token': header({ typ: 'JWT' }), 'a logout token': header({ typ: 'logout+jwt' }), none: header({ alg: 'none' }), HMAC: header({ alg: 'HS256' }),
    'a name of objects': header({ alg: 'constructor' }), crit: header({ crit: ['x'] }), 'a key in it': header({ jwk: s.jwk }), spaces: `${header()} `,
    'another order': '{"kid":"k1","alg":"ES256","typ":"exeunt-receipt+jwt"}', twice: header().replace('{', '{"alg":"ES256",'), 'no object': '[]', null: 'null',
  })) assert.equal(await ask(payload, head), 'malformed', what);
  const said = JSON.parse(payload);
  const spelt = (change) => JSON.stringify(Object.fromEntries(Object.entries({ ...said, ...change }).sort(([a], [b]) => (a < b ? -1 : 1))));
  assert.equal(await ask(spelt({}), header()), 'none');
  for (const [what, change] of Object.entries({
    'a field more': { x: 1 }, 'no apps': { apps: undefined }, 'an app with more': { apps: [{ ...said.apps[0], x: 1 }] }, 'no event': { event: 0 },
    'a number as text': { event: '17' }, 'another zone': { ended_at: '2026-11-30T18:00:01.25+01:00' }, 'from the future': { iat: 1 },
  })) assert.equal(await ask(spelt(change), header()), 'malformed', what);
  assert.equal(await ask(spelt({ v: 2 }), header()), 'version');
  assert.equal(await ask(payload.replace('{', '{ '), header()), 'malformed');
  assert.equal(await refused('A'.repeat(300_000)), 'malformed');
  assert.equal(await refused(undefined), 'malformed');
});

test('keys that are for something else', async () => {
  const s = await signer('RS256');
  const receipt = await s.sign(payload);
  const small = await signer('RS256', 'k1', { modulusLength: 1024 });
  assert.equal(await refused(await small.sign(payload), { keys: [small.jwk] }), 'signature');
  for (const key of [{ ...s.jwk, use: 'enc' }, { ...s.jwk, kid: 'k2' }]) assert.equal(await refused(receipt, { keys: [key] }), 'unknown_key');
  for (const key of [{ ...s.jwk, alg: 'ES256' }, { ...s.jwk, n: 'AQAB' }, { ...s.jwk, kty: 'oct' }]) {
    assert.equal(await refused(receipt, { keys: [key] }), 'signature');
  }
  assert.equal(await refused(receipt, { keys: [{ ...s.jwk, key_ops: [], ext: false }] }), 'none');
  assert.equal(await refused(receipt, null), 'unknown_key');
});
