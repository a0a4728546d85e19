// Exeunt with two sites, behind a real proxy or as their proxy, and the app that both show.
import { createHash } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { mkdtemp, mkdir, readFile, writeFile } from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';
import tls from 'node:tls';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Program, Server, freePort, makeCertificate } from './serve.mjs';

const replaced = (text, ...pairs) => {
  for (const [from, to] of pairs) {
    if (!text.includes(from)) throw new Error(`the configuration has no ${from}`);
    text = text.replaceAll(from, to);
  }
  return text;
};

const listens = (port) => () => new Promise((resolve, reject) => {
  const conn = tls.connect({ port, host: '127.0.0.1', servername: 'wiki.localhost', rejectUnauthorized: false },
    () => { conn.destroy(); resolve(true); });
  conn.on('error', reject);
});

const proxies = {
  async nginx(f, snippet) {
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `${kind}_temp_path ${f.folder}/${kind};`);
    const sites = replaced(snippet('nginx'), ['listen 80;', `listen 127.0.0.1:${f.spare};`], ['listen [::]:80;', ''],
      [`listen ${f.port} `, `listen 127.0.0.1:${f.port} `], [`listen [::]:${f.port} ssl http2;`, ''],
      ...f.names.flatMap((name) => [[`/etc/ssl/${name}.pem`, f.server.certificate], [`/etc/ssl/${name}.key`, f.server.key]]));
    const file = join(f.folder, 'nginx.conf');
    await writeFile(file, `${process.getuid() === 0 ? 'user root;' : ''} daemon off; worker_processes 1; pid ${f.folder}/pid;
      error_log stderr; events {} http { access_log off; ${temporary.join(' ')}\n${sites}}`);
    return ['nginx', '-p', f.folder, '-e', 'stderr', '-c', file];
  },
  async caddy(f, snippet) {
    const file = join(f.folder, 'Caddyfile');
    const tls = `\n\ttls ${f.server.certificate} ${f.server.key}\n`;
    await writeFile(file, `{\n\tadmin off\n\tgrace_period 1s\n\tdefault_bind 127.0.0.1\n\thttp_port ${f.spare}\n\thttps_port ${f.port}\n}\n${
      replaced(snippet('caddy'), ...f.hosts.map((host) => [`${host} {\n`, `${host} {${tls}`]))}`);
    return ['caddy', 'run', '--config', file, '--adapter', 'caddyfile'];
  },
  async haproxy(f, snippet) {
    const [file, lua, certs] = ['haproxy.cfg', 'exeunt.lua', 'certs'].map((name) => join(f.folder, name));
    await mkdir(certs);
    await writeFile(join(certs, 'both.pem'), `${await readFile(f.server.certificate)}${await readFile(f.server.key)}`);
    await writeFile(lua, snippet('haproxy-lua'));
    await writeFile(file, replaced(snippet('haproxy'), ['/etc/haproxy/exeunt.lua', lua], ['/etc/haproxy/certs/', certs],
      ['bind :::80 v4v6', `bind 127.0.0.1:${f.spare}`], [`bind :::${f.port} v4v6`, `bind 127.0.0.1:${f.port}`]));
    return ['haproxy', '-db', '-f', file];
  },
};

export const kinds = [...Object.keys(proxies), 'exeunt'];

export class Front {
  static async start(kind) {
    const f = new Front();
    f.folder = await mkdtemp(join(tmpdir(), 'exeunt-front-'));
    f.seen = [];
    [f.port, f.spare] = [await freePort(), await freePort()];
    f.names = ['wiki.localhost', 'notes.localhost'];
    f.hosts = f.names.map((name) => `${name}:${f.port}`);
    [f.wiki, f.notes] = f.hosts.map((host) => `https://${host}`);
    await f.#app();
    const config = join(f.folder, 'exeunt.toml');
    const upstream = kind === 'exeunt' ? `upstream = "http://127.0.0.1:${f.app.address().port}"\n` : '';
    await writeFile(config, f.hosts.map((host, i) => `[[sites]]\nhost = "${host}"\nname = "${['Wiki', 'Notes'][i]}"\n${upstream
    }sign_out = ["/logout"]\ncookies = ["app_deep /deep"]\n`).join('\n'));
    const args = [`--config=${config}`];
    if (kind === 'exeunt') {
      f.server = await Server.start({ args, host: 'id.localhost', port: f.port, folder: f.folder });
    } else {
      await f.#ahead();
      f.server = await Server.start({ args, behind: `https://id.localhost:${f.ahead.address().port}`, folder: f.folder, port: f.inner });
      f.server.ca = f.ca;
      await writeFile(join(f.folder, 'printed.toml'), `url = "${f.server.exeunt}"\ndata = "${f.folder}/none"\ntrusted_proxies = ["127.0.0.1"]\n${
        await readFile(config)}`);
      const snippet = (proxy) => execFileSync(f.server.bin, ['sites', 'snippet', '--proxy', proxy, '--config', join(f.folder, 'printed.toml'),
        '--exeunt', `http://127.0.0.1:${f.server.port}`, '--app', `http://127.0.0.1:${f.app.address().port}`, ...f.hosts]).toString();
      const [command, ...rest] = await proxies[kind](f, snippet);
      f.proxy = new Program(command, rest, { cwd: f.folder,
        env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin`, HOME: f.folder, XDG_DATA_HOME: f.folder, XDG_CONFIG_HOME: f.folder } });
      await f.proxy.ready(listens(f.port));
    }
    return f;
  }

  // What terminates TLS for the authority itself.
  async #ahead() {
    this.inner = await freePort();
    const [certificate, key] = ['ahead.pem', 'ahead.key'].map((name) => join(this.folder, name));
    makeCertificate(certificate, key);
    this.ca = await readFile(certificate);
    this.ahead = https.createServer({ cert: await readFile(certificate), key: await readFile(key) }, (req, res) => {
      const onward = http.request({ port: this.inner, host: '127.0.0.1', method: req.method, path: req.url,
        headers: { ...req.headers, 'x-forwarded-for': '127.0.0.1', 'x-forwarded-proto': 'https' } }, (answer) => {
        res.writeHead(answer.statusCode, answer.rawHeaders);
        answer.pipe(res);
      });
      res.on('close', () => onward.destroy());
      onward.on('error', () => res.destroy());
      req.pipe(onward);
    });
    await new Promise((done) => { this.ahead.listen(0, '127.0.0.1', done); });
  }

  // An app that asks nobody but its own cookie once it has set that, as many do.
  async #app() {
    this.sockets = new Set();
    this.app = http.createServer((req, res) => {
      const chunks = [];
      req.on('data', (c) => chunks.push(c)).on('end', () => {
        this.seen.push({ host: req.headers.host, method: req.method, url: req.url, body: Buffer.concat(chunks).toString(), headers: req.headers });
        const cookies = Object.fromEntries((req.headers.cookie ?? '').split('; ').map((pair) => pair.split('=')));
        const who = cookies.app_session ?? req.headers['remote-user'] ?? 'nobody';
        if (req.url.startsWith('/events')) {
          res.writeHead(200, { 'Content-Type': 'text/event-stream' });
          res.write('data: open\n\n');
          const ticks = setInterval(() => res.write('data: tick\n\n'), 100);
          res.on('close', () => clearInterval(ticks));
        } else if (req.url.startsWith('/api')) {
          res.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify({ who }));
        } else {
          res.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8',
            'Set-Cookie': [`app_session=${who}; Path=/; HttpOnly`, `app_deep=${who}; Path=/deep`] })
            .end(`<!doctype html><title>App</title><h1>${who}</h1><p id=deep>${cookies.app_deep ?? ''}</p>
              <form method=post action=/save><input name=text value="some words"><button>Save</button></form>
              <script>document.title = localStorage.who ??= '${who}'</script>`);
        }
      });
    });
    this.app.on('upgrade', (req, socket) => {
      this.sockets.add(socket);
      socket.on('close', () => this.sockets.delete(socket)).on('error', () => {});
      const accept = createHash('sha1').update(`${req.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
      socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
    });
    await new Promise((done) => { this.app.listen(0, '127.0.0.1', done); });
  }

  async stop() {
    await this.proxy?.stop();
    for (const s of this.sockets) s.destroy();
    for (const s of [this.ahead, this.app]) { s?.closeAllConnections(); s?.close(); }
    await this.server?.stop();
  }
}
