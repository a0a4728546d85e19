// Verifies receipts: signed statements of the authority that sessions have ended. It is the same rules as the Go package
// client/receipt, on WebCrypto alone. Nothing else of this module imports it.

const type = 'exeunt-receipt+jwt';
const version = 1;
const maxLength = 256 * 1024;

const algorithms = {
  RS256: {
    import: { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }, verify: { name: 'RSASSA-PKCS1-v1_5' },
    fits: (key) => key.kty === 'RSA' && rsaBits(key) >= 2048 && rsaBits(key) <= 8192, parts: ['kty', 'n', 'e'],
  },
  ES256: {
    import: { name: 'ECDSA', namedCurve: 'P-256' }, verify: { name: 'ECDSA', hash: 'SHA-256' },
    fits: (key) => key.kty === 'EC' && key.crv === 'P-256', parts: ['kty', 'crv', 'x', 'y'],
  },
  EdDSA: {
    import: { name: 'Ed25519' }, verify: { name: 'Ed25519' },
    fits: (key) => key.kty === 'OKP' && key.crv === 'Ed25519', parts: ['kty', 'crv', 'x'],
  },
};

/** Why a text is no receipt, by code: malformed, version, unknown_key, signature, issuer. */
export class ReceiptError extends Error {
  constructor(code, message) {
    super(message);
    this.name = 'ReceiptError';
    this.code = code;
  }
}

const malformed = (what) => new ReceiptError('malformed', `this is not a receipt, or it was damaged: ${what}`);

/**
 * Returns what a receipt says, if the holder of one of the keys has signed exactly that. With an issuer, it must be that
 * installation's.
 */
export async function verifyReceipt(text, keySet, { issuer } = {}) {
  const receipt = parse(text);
  const { alg, kid } = receipt.header;
  const { fits, parts, import: how, verify } = algorithms[alg];
  const named = (keySet?.keys ?? []).filter((key) => key?.kid === kid && kid !== '' && (key.use ?? 'sig') === 'sig');
  if (named.length === 0) {
    throw new ReceiptError('unknown_key', `this receipt was signed with a key that is not among the keys given (kid ${JSON.stringify(kid)})`);
  }
  let good = false;
  for (const key of named.filter((one) => (one.alg ?? alg) === alg && fits(one))) {
    // Only what makes the key: other fields may say that it is for something else.
    const plain = Object.fromEntries(parts.map((part) => [part, key[part]]));
    const imported = await crypto.subtle.importKey('jwk', plain, how, false, ['verify']).catch(() => null);
    good ||= imported !== null && await crypto.subtle.verify(verify, imported, receipt.signature, receipt.over);
  }
  if (!good) throw new ReceiptError('signature', 'the signature does not fit: the receipt was changed, or is forged');
  const { statement } = receipt;
  if (issuer !== undefined && statement.iss !== issuer) {
    throw new ReceiptError('issuer', `this receipt is another installation's: it is from ${statement.iss}, and not from ${issuer}`);
  }
  return statement;
}

/** Reads the compact form (RFC 7515 section 7.1). A receipt has one spelling. */
function parse(text) {
  if (typeof text !== 'string' || text.length > maxLength) throw malformed('it is too long');
  const parts = text.split('.');
  if (parts.length !== 3) throw malformed(`it has ${parts.length} parts with dots between them, and not 3`);
  const [head, body, signature] = parts.map(decode);
  const header = exact(head, 'header');
  if (Object.keys(header).join() !== 'alg,kid,typ' || Object.values(header).some((one) => typeof one !== 'string')) {
    throw malformed('its header is not alg, kid and typ alone');
  }
  if (header.typ !== type) throw malformed(`its type is ${JSON.stringify(header.typ)}, and not ${type}: it is another sort of token`);
  if (!Object.hasOwn(algorithms, header.alg)) throw malformed(`it is signed by ${JSON.stringify(header.alg)}: use RS256, ES256 or EdDSA`);
  const statement = exact(body, 'statement');
  if (statement.v !== version) {
    throw new ReceiptError('version', `this receipt has a form that this program does not know: v is ${JSON.stringify(statement.v)}`);
  }
  check(statement);
  return { header, statement, signature, over: new TextEncoder().encode(`${parts[0]}.${parts[1]}`) };
}

/** Reads the one spelling of some bytes in base64url without padding (RFC 7515 section 2). */
function decode(text) {
  if (!/^[A-Za-z0-9_-]*$/.test(text) || text.length % 4 === 1) throw malformed('it is not base64url without padding; a receipt is one line');
  const bytes = Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0));
  if (encode(bytes) !== text) throw malformed('it is not base64url in its one spelling');
  return bytes;
}

function encode(bytes) {
  let out = '';
  for (const byte of bytes) out += String.fromCharCode(byte);
  return btoa(out).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}

/** Reads an object that is spelt as RFC 8785 spells it: fields by their names, no spaces, none twice. */
function exact(bytes, what) {
  let text;
  let value;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    value = JSON.parse(text);
  } catch {
    throw malformed(`its ${what} is not JSON`);
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value) || spell(value) !== text) {
    throw malformed(`its ${what} is not in the one form of version ${version}`);
  }
  return value;
}

function spell(value) {
  if (Array.isArray(value)) return `[${value.map(spell).join()}]`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  return `{${Object.keys(value).sort().map((name) => `${JSON.stringify(name)}:${spell(value[name])}`).join()}}`;
}

const whole = (n) => Number.isSafeInteger(n) && n >= 0;
const word = (s) => typeof s === 'string';
const moment = (s) => word(s) && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z$/.test(s) && !Number.isNaN(Date.parse(s));

const fields = {
  app_sessions: [whole, true], apps: [Array.isArray], apps_complete: [(b) => typeof b === 'boolean'], by: [word], ended_at: [moment],
  event: [(n) => whole(n) && n > 0], iat: [whole], iss: [(s) => word(s) && s !== ''], jti: [(s) => word(s) && s !== ''],
  log: [(s) => word(s) && s !== ''], reason: [word], scope: [word], sessions: [whole], v: [whole],
};
const appFields = {
  attempts: [whole, true], client: [word], expires_by: [moment, true], name: [word], state: [word], tier: [word], told_at: [moment, true],
};

function hasOnly(value, known) {
  return value !== null && typeof value === 'object' && Object.keys(value).every((name) => Object.hasOwn(known, name))
    && Object.entries(known).every(([name, [is, optional]]) => (Object.hasOwn(value, name) ? is(value[name]) : optional));
}

function check(statement) {
  if (!hasOnly(statement, fields) || !statement.apps.every((app) => hasOnly(app, appFields))) {
    throw malformed(`its statement is not in the one form of version ${version}`);
  }
  if ((statement.iat + 1) * 1000 < Date.parse(statement.ended_at)) throw malformed('it was signed before what it says had happened');
}

function rsaBits(key) {
  try {
    const bytes = decode(key.n);
    return bytes.length === 0 || bytes[0] === 0 ? 0 : (bytes.length - 1) * 8 + (32 - Math.clz32(bytes[0]));
  } catch {
    return 0;
  }
}
