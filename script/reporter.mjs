// A reporter for node --test: one JSON line for each test that ended, and the
// text of each failure to standard error as it happens, so that a long run
// shows where it stands.
import { inspect } from 'node:util';

export default async function* reporter(source) {
  for await (const { type, data } of source) {
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    if (data.details?.type === 'suite') continue;
    const skipped = data.skip !== undefined || data.todo !== undefined;
    const state = type === 'test:fail' ? 'fail' : skipped ? 'skip' : 'pass';
    const seconds = ((data.details?.duration_ms ?? 0) / 1000).toFixed(1);
    const mark = { pass: '✓', fail: '✗', skip: '-' }[state];
    process.stderr.write(`  ${mark} ${data.name} (${seconds} s)\n`);
    let reason;
    if (state === 'fail') {
      const error = data.details?.error;
      reason = `${inspect(error?.cause ?? error, { depth: 4 })}\n    at ${data.file}:${data.line}`;
      process.stderr.write(`${reason}\n`);
    }
    // A test that only groups others is counted by those.
    yield JSON.stringify({ name: data.name, state, nesting: data.nesting, file: data.file, reason }) + '\n';
  }
}
