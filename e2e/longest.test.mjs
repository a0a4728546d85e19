// The longest texts that anybody may give, unbroken, in every field: pages hold them, and
// push nothing out of reach.
import test from 'node:test';
import assert from 'node:assert/strict';
import { desktop, shell, signIn } from './lib/browser.mjs';
import { stage } from './lib/stage.mjs';
import { chirpPages, everyDialog, everyPage } from './lib/pages.mjs';
import { request } from './lib/wait.mjs';

const s = stage({}, shell);

const longest = {
  handle: 'm'.repeat(63), name: 'M'.repeat(80), email: `${'m'.repeat(60)}@${`${'w'.repeat(60)}.`.repeat(3)}example`, password: 'plum-otter-lantern-31',
};

/** An account with them, which also has an app with the longest label. */
async function settle(page) {
  await page.goto(`${s.node.exeunt}/signup`);
  for (const name of ['handle', 'name', 'email', 'password']) await page.fill(`input[name=${name}]`, longest[name]);
  await page.check('input[name=kind][value=kept]');
  await Promise.all([page.waitForURL(`${s.node.exeunt}/`), page.click('main form button.primary')]);
  const body = JSON.stringify({ identifier: longest.handle, password: longest.password, label: 'W'.repeat(80) });
  for (let i = 0; i < 6; i++) {
    const { status } = await request(`${s.node.exeunt}/api/v1/signin`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body });
    assert.equal(status, 201);
  }
  s.node.ada = longest;
}

/** What can be read or pressed and reaches out of the window, or of a box that cuts it. */
function outOfReach() {
  const wide = document.documentElement.clientWidth;
  const found = [];
  if (document.documentElement.scrollWidth > wide) found.push(`the page scrolls to ${document.documentElement.scrollWidth} of ${wide}`);
  for (const node of document.querySelectorAll('a, button, summary, input, label, h1, h2, h3, p, dd, li, b, bdi')) {
    if (!node.checkVisibility({ visibilityProperty: true, opacityProperty: true }) || node.closest('.vh, .skip')) continue;
    const box = node.getBoundingClientRect();
    if (box.width > 1 && (box.right > wide + 0.5 || box.left < -0.5)) found.push(`${box.left.toFixed()} to ${box.right.toFixed()} of ${wide}: ${node.outerHTML.slice(0, 120)}`);
  }
  return found.slice(0, 4);
}

test('the longest texts overflow nowhere, at 320 pixels (which is 400 % zoom) and on a desktop', async (t) => {
  await settle(await s.visit(t));
  const sizes = { narrow: { viewport: { width: 320, height: 215 } }, desktop };
  for (const [name, size] of Object.entries(sizes)) {
    const page = await s.visit(t, size);
    const found = [];
    const look = async (what) => {
      found.push(...(await page.evaluate(outOfReach)).map((one) => `${name}, ${what}: ${one}`));
    };
    await everyPage(page, s.node, look);
    await signIn(page, s.node);
    await everyDialog(page, s.node, look);
    await chirpPages(page, s.node, look);
    assert.deepEqual(found, []);
    await page.context().close();
  }
});
