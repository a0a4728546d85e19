// The sign-in form: a password can be looked at with script, and nothing is chosen for a browser that nobody has used.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { stage, both } from './lib/stage.mjs';
import { desktop, signIn, signOut } from './lib/browser.mjs';

const s = stage();

both(test, 'a button shows the password, and sending the form hides it', async (t, script) => {
  const page = await s.visit(t, { ...desktop, javaScriptEnabled: script });
  await page.goto(`${s.node.exeunt}/signin`);
  const button = page.locator('button[data-show]');
  assert.equal(await button.isVisible(), script);
  if (!script) return;
  const type = () => page.locator('input[name=password]').getAttribute('type');
  await button.click();
  assert.equal(await type(), 'text');
  assert.equal(await button.getAttribute('aria-pressed'), 'true');
  await page.fill('input[name=identifier]', s.node.ada.handle);
  await page.fill('input[name=password]', s.node.ada.password);
  await page.check('input[name=kind][value=kept]');
  await page.locator('form[action="/signin"]').evaluate((f) => { f.addEventListener('submit', (e) => e.preventDefault()); });
  await page.click('form[action="/signin"] button.primary');
  assert.equal(await type(), 'password');
  assert.equal(await button.getAttribute('aria-pressed'), 'false');
});

both(test, 'the choice of device is required, and begins with the last one', async (t, script) => {
  const page = await s.visit(t, { ...desktop, javaScriptEnabled: script });
  await page.goto(`${s.node.exeunt}/signin`);
  assert.equal(await page.locator('input[name=kind]:checked').count(), 0);
  assert.equal(await page.locator('input[name=kind]:required').count(), 2);
  await signIn(page, s.node);
  await signOut(page, s.node);
  await page.goto(`${s.node.exeunt}/signin`);
  assert.equal(await page.locator('input[name=kind]:checked').getAttribute('value'), 'kept');
});
