// Changing the e-mail address, which can become a way to sign in, takes the
// current password; the rest of the profile does not.
import assert from 'node:assert/strict';
import test from 'node:test';
import { desktop, phone, shell, signIn } from './lib/browser.mjs';
import { both, stage } from './lib/stage.mjs';

const s = stage({}, shell);

for (const [device, options] of [['a desktop', desktop], ['a phone', phone]]) {
  both(test, `another e-mail address takes the password, on ${device}`, async (t, script) => {
    const { node } = s;
    const page = await s.visit(t, { ...options, javaScriptEnabled: script });
    await signIn(page, node);
    await page.goto(`${node.exeunt}/settings`);
    const before = await page.inputValue('input[name=email]');
    const save = async () => {
      const [answer] = await Promise.all([
        page.waitForResponse((r) => r.request().method() === 'POST' && /profile/.test(r.url())),
        page.click('form[action="/settings/profile"] button.btn'),
      ]);
      await page.waitForLoadState();
      return answer.status();
    };
    await page.fill('input[name=email]', 'thief@example.com');
    assert.equal(await save(), 422);
    await page.getByText('Enter your current password too. Nothing was changed.').waitFor();
    assert.equal(await page.inputValue('input[name=email]'), 'thief@example.com', 'what was typed stays');
    assert.equal(await page.getAttribute('input[name=current]', 'aria-invalid'), 'true');
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'nothing is cut off');
    await page.fill('input[name=current]', 'a guess');
    assert.equal(await save(), 422);
    await page.getByText('The current password is wrong. Nothing was changed.').waitFor();
    await page.goto(`${node.exeunt}/settings`);
    assert.equal(await page.inputValue('input[name=email]'), before);
    await page.fill('input[name=name]', 'Ada Quill'); // without the password
    assert.equal(await save(), 303);
    await page.getByText('Saved.').waitFor();
    const next = `ada.${device.length}.${script}@example.com`;
    await page.fill('input[name=email]', next);
    await page.fill('input[name=current]', node.ada.password);
    assert.equal(await save(), 303);
    await page.getByText('Saved.').waitFor();
    await page.getByText(`${next} replaces the present address once you open the link`).waitFor();
    assert.equal(await page.inputValue('input[name=email]'), before, 'it stays until the other one is confirmed');
    assert.equal(await page.inputValue('input[name=current]'), '');
  });
}
