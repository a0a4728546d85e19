// Sums up test results: `go FILE ERR` prints what failed of a `go test -json`
// run, `node FILE` the table of promises of a run of reporter.mjs, `total
// NAME=FILE…` how many tests ran of each kind; `failed` and `merge` serve the
// second run of browser tests. Exits 1 if any failed, was
// skipped, or none ran.
import { readFileSync, writeFileSync } from 'node:fs';
import { relative } from 'node:path';

const lines = (file) => readFileSync(file, 'utf8').split('\n').filter(Boolean);

function readGo(file) {
  const tests = new Map();
  const output = new Map();
  const packages = [];
  for (const line of lines(file)) {
    let e;
    try { e = JSON.parse(line); } catch { continue; }
    const key = `${e.Package ?? e.ImportPath} ${e.Test ?? ''}`;
    if (e.Action === 'output' || e.Action === 'build-output') output.set(key, (output.get(key) ?? '') + e.Output);
    if (!['pass', 'fail', 'skip', 'build-fail'].includes(e.Action)) continue;
    if (e.Test) tests.set(key, e.Action);
    else packages.push({ name: e.Package ?? e.ImportPath, action: e.Action, key, elapsed: e.Elapsed ?? 0 });
  }
  const ended = new Set(tests.keys());
  // A test with subtests is counted by those.
  for (const key of [...tests.keys()]) {
    const parent = key.slice(0, key.lastIndexOf('/'));
    if (key.includes('/', key.indexOf(' ')) && tests.has(parent) && tests.get(parent) === 'pass') tests.delete(parent);
  }
  return { tests, ended, output, packages };
}

function count(states) {
  const n = { pass: 0, fail: 0, skip: 0 };
  for (const s of states) n[s] = (n[s] ?? 0) + 1;
  return n;
}

function go(file, errFile) {
  const { tests, ended, output, packages } = readGo(file);
  const err = readFileSync(errFile, 'utf8').split('\n').filter((l) => l && !l.startsWith('go: downloading')).join('\n');
  if (err) console.log(err);
  let bad = false;
  for (const p of packages) {
    if (p.action === 'fail' || p.action === 'build-fail') {
      bad = true;
      console.log(`FAIL ${p.name}`);
      if (output.has(p.key)) console.log(output.get(p.key));
      // A program that died did so in a test that never ended: what it said last is the reason.
      for (const [key, said] of output) {
        if (key !== p.key && key.startsWith(`${p.name} `) && !ended.has(key)) console.log(`--- DIED IN ${key}\n${said}`);
      }
    }
  }
  for (const [key, action] of tests) {
    if (action === 'fail') console.log(`--- FAIL ${key}\n${output.get(key) ?? ''}`);
    if (action === 'skip') { bad = true; console.log(`--- SKIPPED ${key}\n${output.get(key) ?? ''}`); }
  }
  const slowest = packages.filter((p) => p.action === 'pass').sort((a, b) => b.elapsed - a.elapsed).slice(0, 5);
  console.log(`slowest: ${slowest.map((p) => `${p.name.replace(/.*exeunt\//, '')} ${p.elapsed}s`).join(', ')}`);
  const n = count(tests.values());
  return !bad && n.fail === 0 && n.pass > 0;
}

// A test whose name begins with promises in brackets, as "[R1.2 R4.1] …",
// stands for those rows of docs/promises.md.
function node(file) {
  const results = lines(file).map((l) => JSON.parse(l));
  const rows = new Map();
  for (const r of results) {
    const m = /^\[((?:R\d+\.\d+ ?)+)\] (.*)$/.exec(r.name);
    if (!m) continue;
    for (const row of m[1].trim().split(' ')) rows.set(row, [...(rows.get(row) ?? []), `${r.state === 'pass' ? '✓' : '✗'} ${m[2]}`]);
  }
  if (rows.size > 0) {
    console.log('\npromise  tests that drive it through the real program');
    const order = (id) => id.slice(1).split('.').map(Number).reduce((a, b) => a * 100 + b);
    for (const [row, tests] of [...rows].sort((a, b) => order(a[0]) - order(b[0]))) {
      tests.forEach((t, i) => console.log(`${(i === 0 ? row : '').padEnd(8)} ${t}`));
    }
  }
  const n = count(results.map((r) => r.state));
  return n.fail === 0 && n.skip === 0 && n.pass > 0;
}

// The files in which something failed, or nothing at all if it was the run itself.
function failed(file) {
  const files = new Set(lines(file).map((l) => JSON.parse(l)).filter((r) => r.state === 'fail').map((r) => relative('.', r.file)));
  console.log([...files].join(' '));
  return files.size > 0;
}

// Puts the results of files that were run again in the place of their first.
function merge(file, again) {
  const second = lines(again).map((l) => JSON.parse(l));
  const files = new Set(second.map((r) => r.file));
  const first = lines(file).map((l) => JSON.parse(l));
  for (const r of first) if (files.has(r.file) && r.state === 'fail') console.log(`failed at first: ${r.name}\n${brief(r.reason)}`);
  writeFileSync(file, [...first.filter((r) => !files.has(r.file)), ...second].map((r) => `${JSON.stringify(r)}\n`).join(''));
  return second.length > 0;
}

/** The first lines of an error. */
const brief = (reason = '') => reason.split('\n').slice(0, 12).map((line) => `    ${line.slice(0, 300)}`).join('\n');

function total(named) {
  const sum = { pass: 0, fail: 0, skip: 0 };
  let all = true;
  for (const arg of named) {
    const [name, file] = arg.split(/=(.*)/s);
    let states = [];
    try {
      if (name === 'go') {
        const { tests, output } = readGo(file);
        for (const [key, action] of tests) if (action !== 'pass') console.log(`${action}: ${key}\n${brief(output.get(key))}`);
        states = [...tests.values()];
      } else {
        const results = lines(file).map((l) => JSON.parse(l));
        for (const r of results) if (r.state !== 'pass') console.log(`${r.state}: ${r.name}\n${brief(r.reason)}`);
        states = results.map((r) => r.state);
      }
    } catch (e) {
      console.log(`${name}: no results (${e.message})`);
    }
    const n = count(states);
    if (n.pass === 0) all = false;
    for (const k of Object.keys(sum)) sum[k] += n[k];
    console.log(`${name}: ${n.pass} passed, ${n.fail} failed, ${n.skip} skipped`);
  }
  console.log(`total: ${sum.pass} passed, ${sum.fail} failed, ${sum.skip} skipped`);
  return all && sum.fail === 0 && sum.skip === 0;
}

const [mode, ...args] = process.argv.slice(2);
const modes = { go, node, failed, merge, total: (...named) => total(named) };
const ok = modes[mode](...args);
process.exit(ok ? 0 : 1);
