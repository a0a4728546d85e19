// Waiting for conditions, with a deadline and no fixed sleeps.
import assert from 'node:assert/strict';
import http from 'node:http';

/** Calls ask until it returns something truthy; fails after `within` ms. */
export async function until(what, ask, within = 5000) {
  const end = performance.now() + within;
  for (;;) {
    const got = await ask();
    if (got) return got;
    if (performance.now() > end) assert.fail(`not within ${within} ms: ${what}`);
    await new Promise((next) => setTimeout(next, 20));
  }
}

/**
 * A request from elsewhere: no browser, only what is passed. Node does not
 * resolve *.localhost, so it goes to 127.0.0.1 under that name.
 */
export function request(address, { method = 'GET', headers = {}, body } = {}) {
  const url = new URL(address);
  return new Promise((resolve, reject) => {
    const r = http.request({ host: '127.0.0.1', port: url.port, path: url.pathname + url.search, method, headers: { Host: url.host, ...headers } }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (part) => { text += part; })
        .on('end', () => resolve({ status: answer.statusCode, headers: answer.headers, text }));
      // A stream that is admitted does not end by itself.
      if (/event-stream/.test(answer.headers['content-type'] ?? '')) {
        resolve({ status: answer.statusCode, headers: answer.headers, text });
        answer.destroy();
      }
    });
    r.on('error', reject);
    r.end(body);
  });
}

/** The context's cookies for an address as one Cookie header: a thief's copy. */
export async function cookieHeader(context, address) {
  // Secure cookies of *.localhost are sent over plain http there, but listed only for https.
  const cookies = await context.cookies(address.replace('http:', 'https:'));
  return cookies.map((c) => `${c.name}=${c.value}`).join('; ');
}
