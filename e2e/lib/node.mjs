// Starts the authority and Chirp for a test file, and talks to them: the clock
// can be moved, sessions listed and ended as an operator would.
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { execFileSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join, dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createInterface } from 'node:readline';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

// script/test builds the program beforehand; a single file can be run alone.
function binary() {
  if (process.env.EXEUNT_E2E_NODE) return process.env.EXEUNT_E2E_NODE;
  execFileSync('go', ['build', '-o', join(root, 'bin', 'e2e-node'), './e2e/node'], { cwd: root, stdio: 'inherit' });
  return join(root, 'bin', 'e2e-node');
}

export class Node {
  // args are flags of e2e/node, as { 'shared-idle': '20s' }.
  static async start(args = {}) {
    const node = new Node();
    node.args = args;
    node.data = await mkdtemp(join(tmpdir(), 'exeunt-e2e-'));
    await node.#spawn();
    return node;
  }

  async #spawn() {
    const flags = Object.entries(this.args).map(([k, v]) => `-${k}=${v}`);
    this.process = spawn(binary(), [`-data=${this.data}`, ...flags], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.exited = new Promise((done) => this.process.once('exit', done));
    this.waiting = [];
    const ready = new Promise((resolve, reject) => {
      this.waiting.push(resolve);
      this.process.once('exit', (code) => reject(new Error(`the node ended with status ${code}`)));
    });
    createInterface({ input: this.process.stdout }).on('line', (line) => this.waiting.shift()?.(JSON.parse(line)));
    const { exeunt, chirp, gazette, mailbox, accounts } = await ready;
    Object.assign(this, { exeunt, chirp, gazette, mailbox, accounts });
    [this.ada, this.grace] = accounts;
  }

  // call sends a command and returns its answer; see e2e/node/main.go.
  async call(verb, args = {}) {
    const answer = new Promise((resolve) => this.waiting.push(resolve));
    this.process.stdin.write(`${JSON.stringify({ do: verb, ...args })}\n`);
    const got = await answer;
    if (got.error) throw new Error(`${verb}: ${got.error}`);
    return got;
  }

  // mail waits for a mail to an address, or for one after the mail given or with such a subject, and returns the latest.
  async mail(to, { after, subject = /./ } = {}) {
    const port = new URL(this.mailbox).port;
    for (;;) {
      const list = await (await fetch(`http://127.0.0.1:${port}/messages`)).json();
      const one = list.find((m) => m.to === to && subject.test(m.subject) && (!after || Number(m.id) > Number(after.id)));
      if (one) return one;
      await new Promise((done) => { setTimeout(done, 50); });
    }
  }

  async clearMails() {
    await fetch(`http://127.0.0.1:${new URL(this.mailbox).port}/messages`, { method: 'DELETE' });
  }

  advance(seconds) { return this.call('advance', { seconds }); }

  sessions(handle) { return this.call('sessions', { handle }); }

  // restart stops the process, gently or with SIGKILL, and starts it again on
  // the same data and addresses. The clock starts again at the system's.
  async restart(signal = 'SIGTERM') {
    this.process.kill(signal);
    await this.exited;
    const at = (address) => `127.0.0.1:${new URL(address).port}`;
    this.args = { ...this.args, addr: at(this.exeunt), 'app-addr': at(this.chirp), 'gazette-addr': at(this.gazette),
      'mailbox-addr': at(this.mailbox) };
    await this.#spawn();
  }

  async halt(signal = 'SIGTERM') { // without starting again
    this.process.kill(signal);
    await this.exited;
  }

  async stop() {
    this.process.stdin.end();
    await this.exited;
    await rm(this.data, { recursive: true, force: true });
  }
}
