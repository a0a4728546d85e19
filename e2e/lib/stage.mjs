// One node and one browser for a test file, and a fresh visitor for each test.
import { after, before } from 'node:test';
import { Node } from './node.mjs';
import { desktop, launch } from './browser.mjs';

/** Sets the stage for the tests of a file; args are flags of e2e/node, open starts the browser. */
export function stage(args = {}, open = launch) {
  const s = { node: null, browser: null };
  before(async () => {
    s.node = await Node.start(args);
    s.browser = await open();
  });
  after(async () => {
    await s.browser?.close();
    await s.node?.stop();
  });
  /** A page in a browser of its own, closed after the test. */
  s.visit = async (t, options = desktop) => {
    const context = await s.browser.newContext(options);
    t.after(() => context.close());
    const page = await context.newPage();
    page.setDefaultTimeout(120_000);
    return page;
  };
  return s;
}

/** A test with script and one without: fn(t, script). */
export const both = (test, name, fn) => {
  for (const script of [true, false]) test(`${name}, ${script ? 'with' : 'without'} script`, (t) => fn(t, script));
};
