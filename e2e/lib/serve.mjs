// A node as operators run it: `exeunt serve` with TLS, and `exeunt` commands. For
// apps and programs that nobody here wrote, which often refuse plain http.
import { execFile, execFileSync, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { until } from './wait.mjs';

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
export const minutes = 60_000;
export const password = 'rather-long-and-private-7';

// script/test builds the program beforehand; a single file can be run alone.
function binary() {
  if (process.env.EXEUNT_BIN) return process.env.EXEUNT_BIN;
  execFileSync('go', ['build', '-o', join(root, 'bin', 'exeunt'), './cmd/exeunt'], { cwd: root, stdio: 'inherit' });
  return join(root, 'bin', 'exeunt');
}

/** Makes a certificate of localhost that nobody has signed. */
export function makeCertificate(certificate, key) {
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
    '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,DNS:id.localhost,DNS:*.localhost,IP:127.0.0.1',
    '-keyout', key, '-out', certificate], { stdio: 'pipe' });
}

/** A port that was free a moment ago. */
export async function freePort() {
  const listener = net.createServer();
  await new Promise((done) => { listener.listen(0, '127.0.0.1', done); });
  const { port } = listener.address();
  await new Promise((done) => { listener.close(done); });
  return port;
}

/** Runs a program until stop is called; output is what it said. */
export class Program {
  constructor(command, args, { env = process.env, cwd } = {}) {
    this.name = command.split('/').at(-1);
    this.output = '';
    this.process = spawn(command, args, { env, cwd, stdio: ['ignore', 'pipe', 'pipe'] });
    const say = (part) => { this.output += part; };
    for (const stream of [this.process.stdout, this.process.stderr]) stream.on('data', say);
    this.exited = new Promise((done) => {
      this.process.once('error', (error) => { this.output += error; this.over = true; done(); });
      this.process.once('exit', () => { this.over = true; done(); });
    });
  }

  /** Waits until ask returns something; fails at once when the program has ended. */
  ready(ask) {
    return until(`${this.name} is ready`, async () => {
      if (this.over) throw new Error(`${this.name} ended: ${this.output}`);
      return ask().catch(() => false);
    }, 5 * minutes);
  }

  async stop() {
    if (!this.over) this.process.kill('SIGTERM');
    await this.exited;
  }
}

/** Every name below localhost is this machine. */
const lookup = (_, options, found) => {
  if (options.all) found(null, [{ address: '127.0.0.1', family: 4 }]);
  else found(null, '127.0.0.1', 4);
};

export class Server {
  /**
   * Starts a node; args are further flags of `exeunt serve`, trust the file of a certificate that it shall trust. It
   * terminates TLS itself at host, or is behind a proxy of this machine, which people reach at the address behind.
   */
  static async start({ args = [], trust, host = 'localhost', behind, port, folder } = {}) {
    const server = new Server();
    server.folder = folder ?? await mkdtemp(join(tmpdir(), 'exeunt-serve-'));
    execFileSync('chmod', ['755', server.folder]); // programs that run as others read the certificate there
    server.certificate = join(server.folder, 'cert.pem');
    server.key = join(server.folder, 'key.pem');
    makeCertificate(server.certificate, server.key);
    server.ca = await readFile(server.certificate);
    server.port = port ?? await freePort();
    server.exeunt = behind ?? `https://${host}:${server.port}`;
    server.data = join(server.folder, 'data');
    server.bin = binary();
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('EXEUNT_')));
    if (trust) env.SSL_CERT_FILE = trust;
    const tls = behind ? ['--trusted-proxy=127.0.0.1'] : [`--tls-cert=${server.certificate}`, `--tls-key=${server.key}`];
    server.program = new Program(server.bin, ['serve', `--url=${server.exeunt}`, `--addr=127.0.0.1:${server.port}`,
      `--data=${server.data}`, ...tls, ...args], { env });
    const own = `${behind ? 'http' : 'https'}://127.0.0.1:${server.port}`;
    await server.program.ready(async () => (await server.fetch(`${own}/readyz`)).status === 200);
    return server;
  }

  /** An operator's command, and what it prints as JSON. */
  async command(...args) {
    const json = args[0] === 'accounts' || args[0] === 'clients' ? ['--json'] : [];
    const input = args.includes('--password-stdin') ? `${password}\n` : '';
    return new Promise((resolve, reject) => {
      const child = execFile(this.bin, [...args, `--data=${this.data}`, ...json], (error, stdout, stderr) => {
        if (error) reject(new Error(`exeunt ${args.join(' ')}: ${stderr}`));
        else resolve(stdout && json.length ? JSON.parse(stdout) : stdout);
      });
      child.stdin.end(input);
    });
  }

  /** Adds an account with the password that all have. */
  async account(handle, ...flags) {
    await this.command('accounts', 'add', handle, '--password-stdin', ...flags);
    return { handle, password };
  }

  /** Registers an app: { client_id, client_secret }. */
  client(id, ...flags) { return this.command('clients', 'add', id, ...flags); }

  /** fetch that trusts the node's certificate and follows no redirect: what apps' libraries take for theirs. */
  fetch = (address, { method = 'GET', headers = {}, body } = {}) => new Promise((resolve, reject) => {
    const options = { method, headers: Object.fromEntries(new Headers(headers)), ca: this.ca, lookup };
    const r = (address.startsWith('http:') ? http : https).request(address, options, (answer) => {
      const parts = [];
      answer.on('data', (part) => parts.push(part)).on('error', reject).on('end', () => {
        const { statusCode: status } = answer;
        const got = new Headers();
        const raw = answer.rawHeaders;
        for (let i = 0; i < raw.length; i += 2) got.append(raw[i], raw[i + 1]);
        resolve(new Response([204, 304].includes(status) ? null : Buffer.concat(parts), { status, headers: got }));
      });
    });
    r.on('error', reject);
    r.end(body instanceof URLSearchParams ? body.toString() : body);
  });

  /** Another device of an account's owner: an app with a token of its own. */
  async device(account, label) {
    const call = async (method, path, token, body) => {
      const answer = await this.fetch(`${this.exeunt}/api/v1/${path}`, {
        method, body: body && JSON.stringify(body),
        headers: {
          ...(token && { Authorization: `Bearer ${token}` }), ...(body && { 'Content-Type': 'application/json' }),
        },
      });
      const text = await answer.text();
      if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
      return text ? JSON.parse(text) : {};
    };
    const { token } = await call('POST', 'signin', null,
      { identifier: account.handle, password: account.password, label });
    return {
      /** Ends one of the account's other sessions. */
      end: (id) => call('DELETE', `sessions/${id}`, token),
      /** Ends every session of the account but this. */
      endOthers: () => call('DELETE', 'sessions?scope=others', token),
    };
  }

  async stop() {
    await this.program.stop();
    await rm(this.folder, { recursive: true, force: true });
  }
}
