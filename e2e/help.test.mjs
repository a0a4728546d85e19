// What help says to people, on their own device.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { desktop, phone, shell, signIn } from './lib/browser.mjs';
import { both, stage } from './lib/stage.mjs';

const s = stage({}, shell);

for (const [device, as] of Object.entries({ desktop, phone })) {
  both(test, `[R9.1] help answers for the person's own device: ${device}`, async (t, script) => {
    const page = await s.visit(t, { ...as, javaScriptEnabled: script });
    const read = async () => {
      await page.goto(`${s.node.exeunt}/help`);
      return page.locator('main').innerText();
    };
    const text = await read();
    const wide = /select your name at the bottom of the panel, then “Sign out”/;
    const narrow = /tap your picture at the top, then “Sign out”/;
    assert.match(text, device === 'phone' ? narrow : wide);
    assert.doesNotMatch(text, device === 'phone' ? wide : narrow);
    for (const answer of [
      /closing a tab or the browser sign me out\?[\s\S]*no\. You are still signed in/,
      /shared or public computer\?[\s\S]*sign out and wait for the page that confirms it[\s\S]*Close all windows/,
      /difference between signing out of an app and of a browser\?[\s\S]*in the app/,
      /private windows[\s\S]*the server does not know/,
      /still seem to be signed in[\s\S]*Reload the page[\s\S]*it is an ordinary form and needs no scripts/,
      /known limit with JavaScript turned off[\s\S]*ended from another device[\s\S]*on the screen cannot notice it[\s\S]*Chromium and browsers based on it[\s\S]*Back button does not bring it back/,
    ]) assert.match(text, answer);
    for (const link of await page.locator('nav.toc a').all()) {
      const target = (await link.getAttribute('href')).slice(1);
      assert.equal(await page.locator(`h2[id="${target}"]`).count(), 1, `#${target} leads somewhere`);
    }
    await signIn(page, s.node, s.node.ada, 'shared');
    assert.match(await read(), /You said that this is a shared computer\. Sign out before you leave it\./);
    assert.ok(await page.locator('main').getByRole('link', { name: 'Sign out of this browser' }).isVisible());
  });
}

test('[R9.1] the known limit of pages without script is stated in the docs, too', async () => {
  const text = await readFile(new URL('../docs/promises.md', import.meta.url), 'utf8');
  assert.match(text, /## Known limits[\s\S]*JavaScript off, ended from elsewhere[\s\S]*can be read until it is left/);
});
