// What may stand between a browser and the server: a proxy that the browser is told to use, which can be gone, be silent,
// answer with errors, cut what it passes at any byte, and change answers.
import http from 'node:http';

export class Between {
  static async start() {
    const b = new Between();
    b.sockets = new Set();
    b.mode = 'pass';
    b.change = null; // (path, answer) may change an answer: {status, headers, body}
    b.blocks = null; // addresses that nothing comes back from
    b.cut = null; // {path, request or answer: bytes}, once
    b.posts = [];
    b.server = http.createServer((request, response) => b.#handle(request, response).catch(() => request.socket.destroy()));
    b.server.on('connection', (socket) => {
      b.sockets.add(socket);
      socket.on('close', () => b.sockets.delete(socket)).on('error', () => {});
      if (b.mode === 'gone') socket.destroy();
    });
    await new Promise((done) => b.server.listen(0, '127.0.0.1', done));
    b.port = b.server.address().port;
    return b;
  }

  /** pass; gone: connections are refused; silent: they are taken and nothing answers; 503: the server fails. */
  be(mode) {
    this.mode = mode;
    if (mode !== 'pass') for (const socket of this.sockets) socket.destroy();
  }

  async stop() {
    this.be('gone');
    await new Promise((done) => this.server.close(done));
  }

  async #handle(request, response) {
    const url = new URL(request.url, `http://${request.headers.host}`);
    if (this.mode === 'gone' || this.blocks?.test(url.pathname)) { request.socket.destroy(); return; }
    if (this.mode === 'silent') return;
    if (request.method === 'POST') this.posts.push(url.pathname);
    if (this.mode === '503') {
      response.writeHead(503, { 'Content-Type': 'text/plain' }).end('no server is available');
      return;
    }
    const headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => !/^(proxy-)?connection$/.test(name)));
    if (this.change) delete headers['accept-encoding']; // what is changed is read
    const cut = request.method === 'POST' && this.cut?.path === url.pathname ? this.cut : null;
    if (cut) this.cut = null;
    const upstream = http.request({ host: '127.0.0.1', port: url.port, method: request.method, path: url.pathname + url.search,
      headers: { ...headers, host: url.host }, agent: false });
    const answer = new Promise((resolve, reject) => { upstream.on('response', resolve).on('error', reject); });
    if (cut?.request !== undefined) {
      const body = await read(request);
      upstream.on('error', () => {});
      upstream.flushHeaders();
      if (cut.request < 0) upstream.destroy(); // not even the headers
      else upstream.write(body.subarray(0, cut.request), () => setTimeout(() => upstream.destroy(), 50));
      await answer.catch(() => {});
      request.socket.destroy();
      return;
    }
    request.pipe(upstream);
    const got = await answer;
    if (cut) {
      const body = await read(got);
      const head = `HTTP/1.1 ${got.statusCode} ${got.statusMessage}\r\n${pairs(got.rawHeaders).map(([n, v]) => `${n}: ${v}\r\n`).join('')}\r\n`;
      const whole = Buffer.concat([Buffer.from(head), body]);
      const at = cut.answer < 0 ? whole.length + cut.answer : Math.min(cut.answer, whole.length - 1);
      request.socket.write(whole.subarray(0, at), () => request.socket.destroy());
      return;
    }
    if (!this.change || /event-stream/.test(got.headers['content-type'] ?? '')) {
      response.writeHead(got.statusCode, pairs(got.rawHeaders).flat());
      got.pipe(response);
      response.on('close', () => upstream.destroy());
      return;
    }
    const changed = { status: got.statusCode, headers: pairs(got.rawHeaders).filter(([n]) => !/^(transfer-encoding|content-length)$/i.test(n)), body: await read(got) };
    this.change(url.pathname, changed);
    response.writeHead(changed.status, [...changed.headers, ['Content-Length', String(changed.body.length)]].flat());
    response.end(changed.body);
  }
}

const pairs = (raw) => raw.reduce((list, value, i) => (i % 2 ? list : [...list, [value, raw[i + 1]]]), []);

async function read(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts);
}
