// A receiver on the public library of Standard Webhooks, which nobody here wrote,
// verifies what a node sends, and refuses what was changed on the way.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import http from 'node:http';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Webhook } from 'standardwebhooks';
import { Server, minutes } from './lib/serve.mjs';
import { until } from './lib/wait.mjs';

const secrets = [1, 2].map(() => `whsec_${randomBytes(32).toString('base64')}`);
const received = [];
const receiver = http.createServer(async (request, response) => {
  let body = '';
  for await (const part of request.setEncoding('utf8')) body += part;
  received.push({ headers: request.headers, body });
  response.writeHead(received.length === 2 ? 500 : 204).end(); // so that the second one is sent again
});

let server;
before(async () => {
  await new Promise((done) => { receiver.listen(0, '127.0.0.1', done); });
  const folder = await mkdtemp(join(tmpdir(), 'exeunt-webhooks-'));
  const config = join(folder, 'exeunt.toml');
  await writeFile(config, `[[webhooks]]\nname = "siem"\nurl = "http://localhost:${receiver.address().port}/hook"\n`
    + `secret = "${secrets[0]}"\nold_secret = "${secrets[1]}"\nevents = ["session.started", "session.ended", "account.secured"]\n`);
  server = await Server.start({ folder, args: [`--config=${config}`] });
});
after(async () => {
  await server?.stop();
  receiver.closeAllConnections();
  receiver.close();
});

const arrived = (count) => until(`${count} messages`, () => received.length >= count, 2 * minutes);

test('what a node sends is verified by the library standardwebhooks, by either secret, and nothing that was changed is', async () => {
  assert.match(await server.command('webhooks', 'test', 'siem'), /^answer +204 /);
  const ada = await server.account('ada');
  const device = await server.device(ada, 'Pixel 8');
  await arrived(3); // the ping, the start, and the start again
  await device.endOthers();
  await server.command('accounts', 'secure', 'ada');
  await arrived(6);
  const events = received.map(({ headers, body }) => {
    for (const secret of secrets) {
      const hook = new Webhook(secret);
      assert.deepEqual(hook.verify(body, headers), JSON.parse(body));
      assert.throws(() => hook.verify(body.replace('"type":"', '"type":"x'), headers), /No matching signature/);
      for (const [name, other] of [['webhook-id', 'msg_other'], ['webhook-timestamp', String(+headers['webhook-timestamp'] - 1)]]) {
        assert.throws(() => hook.verify(body, { ...headers, [name]: other }), /No matching signature/);
      }
    }
    assert.throws(() => new Webhook(`whsec_${randomBytes(32).toString('base64')}`).verify(body, headers), /No matching signature/);
    return { id: headers['webhook-id'], ...JSON.parse(body) };
  });
  const told = (type) => events.filter((event) => event.type === type);
  const [first, second] = told('session.started');
  assert.deepEqual(first, second, 'what is sent again');
  assert.equal(first.data.kind, 'app');
  assert.deepEqual(told('session.ended').map(({ data }) => [data.scope, data.reason, data.by]).sort(),
    [['account', 'secured', 'operator'], ['others', 'signed_out', 'person']]);
  assert.equal(told('account.secured')[0].data.account_id, first.data.account_id);
  assert.equal(new Set(events.map(({ id }) => id)).size, events.length - 1);
});
