// What help says to people, on their own device, and how they find it.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { desktop, phone, shell, signIn } from './lib/browser.mjs';
import { both, stage } from './lib/stage.mjs';

const s = stage({}, shell);

const iphone = {
  viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true,
  userAgent: 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1',
};
const windows = { ...desktop, userAgent: 'Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:153.0) Gecko/20100101 Firefox/153.0' };

/** The questions whose answers are shown, in their order. */
const shown = (page) => page.locator('[data-answers] > section:not([hidden]) > h2, [data-more] a').allInnerTexts();

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
      /closing a tab or the browser sign me out\?[\s\S]*no\. You are still signed in[\s\S]*swiping the browser or an app away/,
      /shared or public computer\?[\s\S]*sign out and wait for the page that confirms it[\s\S]*Close all windows/,
      /difference between signing out of an app and of a browser\?[\s\S]*in the app[\s\S]*signing out inside an app ends that app/,
      /clearing cookies or browser data[\s\S]*the server does not know/,
      /private windows do\?[\s\S]*the server does not know/,
      /phone was lost or stolen[\s\S]*next to the phone’s browser[\s\S]*one of your recovery codes/,
      /Where am I signed in\?[\s\S]*one at a time, use the review/,
      /Several people use this computer[\s\S]*Whoever signs in next ends the session before/,
      /still signed in\?[\s\S]*You see an old page[\s\S]*filled in your password/,
      /Signing out does not work[\s\S]*Load the page again[\s\S]*server could not confirm[\s\S]*Without a network[\s\S]*it is an ordinary form and needs no scripts[\s\S]*damaged cookies[\s\S]*wrong clock/,
      /fills in my password by itself[\s\S]*To remove it:/,
      /This wasn’t me[\s\S]*signs everybody else out at once/,
      /JavaScript turned off\?[\s\S]*ended from another device[\s\S]*on the screen cannot notice it[\s\S]*Chromium and browsers based on it[\s\S]*Back button does not bring it back/,
    ]) assert.match(text, answer);
    for (const link of await page.locator('nav.toc a').all()) {
      const target = (await link.getAttribute('href')).slice(1);
      assert.equal(await page.locator(`h2[id="${target}"]`).count(), 1, `#${target} leads somewhere`);
    }
    // The other device's answer is there to open.
    await page.locator('section:has(#sign-out) summary').click();
    assert.match(await page.locator('section:has(#sign-out)').innerText(), device === 'phone' ? wide : narrow);
    await signIn(page, s.node, s.node.ada, 'shared');
    assert.match(await read(), /You said that this is a shared computer\. Sign out before you leave it\./);
    assert.ok(await page.locator('section:has(#sign-out)').getByRole('link', { name: 'Sign out of this browser' }).isVisible());
  });
}

for (const [name, as, passwords, other] of [
  ['Chrome on Android', phone, /then “Google Password Manager”/, 'Safari on a Mac'],
  ['Safari on an iPhone or iPad', iphone, /The app Passwords \(before iOS 18/, 'Chrome on Android'],
  ['Firefox on a computer', windows, /Menu at the top right, then “Passwords”/, 'Samsung Internet'],
]) {
  both(test, `[R9.1] help has the steps of the person's own browser, and of others to open: ${name}`, async (t, script) => {
    const page = await s.visit(t, { ...as, javaScriptEnabled: script });
    await page.goto(`${s.node.exeunt}/help#saved-passwords`);
    for (const id of ['clearing-data', 'private-windows', 'saved-passwords']) {
      assert.ok((await page.locator(`section:has(#${id})`).innerText()).includes(`${name}: `), `#${id} has the steps of ${name}`);
    }
    const answer = page.locator('section:has(#saved-passwords)');
    assert.match(await answer.innerText(), passwords);
    const others = answer.locator('dt', { hasText: other });
    assert.equal(await others.isVisible(), false);
    await answer.locator('summary').click();
    assert.ok(await others.isVisible());
    assert.equal(await answer.locator('dt', { hasText: name }).count(), 0, 'the own one is not among the others');
  });
}

both(test, '[R9.1] every answer of help ends in a link that does it, or that signs in first', async (t, script) => {
  const page = await s.visit(t, { ...desktop, javaScriptEnabled: script });
  for (const who of ['nobody', 'somebody']) {
    if (who === 'somebody') await signIn(page, s.node);
    await page.goto(`${s.node.exeunt}/help`);
    const answers = await page.locator('[data-answers] > section').all();
    assert.ok(answers.length >= 25, `${answers.length} answers`);
    const to = new Set();
    for (const answer of answers) {
      const last = answer.locator(':scope > :last-child a.btn');
      assert.ok(await last.count() > 0, `${await answer.innerText()} ends in a link`);
      for (const link of await last.all()) to.add(await link.getAttribute('href'));
    }
    for (const path of to) {
      const answer = await page.goto(s.node.exeunt + path);
      assert.ok([200, 203].includes(answer.status()), `${who}: ${path} answers ${answer.status()}`);
      if (path.startsWith('/signin')) assert.ok(await page.locator('input[name=identifier]').isVisible());
      else assert.equal(new URL(page.url()).pathname, path, `${who} stays at ${path}`);
    }
  }
});

test('[R9.1] the sign-in that an answer asks for leads to where the answer is done', async (t) => {
  const page = await s.visit(t);
  await page.goto(`${s.node.exeunt}/help#forgot-somewhere`);
  await page.locator('section:has(#forgot-somewhere)').getByRole('link', { name: 'Sign in, then: Sessions' }).click();
  await page.fill('input[name=identifier]', s.node.ada.handle);
  await page.fill('input[name=password]', s.node.ada.password);
  await page.check('input[name=kind][value=kept]');
  await Promise.all([page.waitForURL(`${s.node.exeunt}/sessions`), page.click('main form button.primary')]);
});

both(test, '[R9.1] help is searched, also when nothing is found', async (t, script) => {
  const page = await s.visit(t, { ...desktop, javaScriptEnabled: script });
  await page.goto(`${s.node.exeunt}/help`);
  const whole = (await shown(page)).length;
  await page.fill('input[name=q]', 'lost phones');
  if (script) await page.locator('[data-counted]:visible').waitFor(); // before anything is sent
  else await Promise.all([page.waitForURL('**/help?q=lost+phones'), page.keyboard.press('Enter')]);
  const found = await shown(page);
  assert.equal(found[0], 'My phone was lost or stolen');
  assert.ok(found.length < whole);
  assert.equal(await page.locator('[role=status]').innerText(), `Answers found: ${found.length}`);
  assert.equal(await page.locator('nav.toc').isVisible(), false);
  await page.fill('input[name=q]', 'zebra');
  if (!script) await Promise.all([page.waitForURL('**/help?q=zebra'), page.keyboard.press('Enter')]);
  else await page.locator('div[data-none]:visible').waitFor();
  assert.deepEqual(await shown(page), []);
  assert.equal(await page.locator('[role=status]').innerText(), 'No answer has all of these words.');
  await page.getByRole('link', { name: 'saved password', exact: true }).click();
  await page.waitForURL('**/help?q=saved%20password');
  assert.equal((await shown(page))[0], 'The browser fills in my password by itself');
  await page.getByRole('link', { name: 'All answers' }).click();
  await page.waitForURL(`${s.node.exeunt}/help`);
  assert.equal((await shown(page)).length, whole);
});

test('[R9.1] typing finds the same answers as the server, in the same order, and Back returns to them', async (t) => {
  const page = await s.visit(t);
  const plain = await s.visit(t, { ...desktop, javaScriptEnabled: false });
  await page.goto(`${s.node.exeunt}/help`);
  const field = page.locator('input[name=q]');
  for (const search of ['closing tabs', 'How do I log off?', 'password', 'PASSWORDS', 'this wasn\'t me', 'this wasn’t me', 'the', 'i', ' ?! ', 'internet café',
    'Ｌｏｇｏｆｆ', 'sessions', 'a b c d e f g h i j k', 'zebra', 'android', '日本', '', 'used', 'addresses', 'é', '"><b>']) {
    await plain.goto(`${s.node.exeunt}/help?q=${encodeURIComponent(search)}`);
    await field.fill(search);
    assert.deepEqual(await shown(page), await shown(plain), `“${search}”`);
    assert.equal(await page.locator('[role=status]').innerText(), await plain.locator('[role=status]').innerText(), `“${search}”`);
    assert.equal(await page.locator('nav.toc').isVisible(), await plain.locator('nav.toc').isVisible(), `“${search}”`);
  }
  // A page of what was found has only that. Typing there loads the others.
  await page.goto(`${s.node.exeunt}/help?q=zebra`);
  await field.fill('sign');
  await page.locator('[data-counted]:visible').waitFor();
  await plain.goto(`${s.node.exeunt}/help?q=sign`);
  assert.deepEqual(await shown(page), await shown(plain));
  assert.equal(await page.locator('[data-more]').count(), 0);
  await field.fill('');
  assert.ok(await page.locator('nav.toc').isVisible());
  await field.pressSequentially('incognito');
  assert.equal((await shown(page))[0], 'What do private windows do?');
  assert.ok(await field.evaluate((node) => node === document.activeElement), 'the focus stays in the field');
  await page.locator('section:has(#private-windows)').getByRole('link', { name: 'Sign in, then: Sessions' }).click();
  await page.waitForURL((url) => url.pathname === '/signin');
  await page.goBack();
  await page.waitForURL('**/help?q=incognito');
  assert.equal((await shown(page))[0], 'What do private windows do?');
});

both(test, '[R9.1] an answer has an address of its own, and the keyboard reaches everything', async (t, script) => {
  const page = await s.visit(t, { ...desktop, javaScriptEnabled: script });
  await page.goto(`${s.node.exeunt}/help#closing-a-tab`);
  const heading = await page.locator('#closing-a-tab').boundingBox();
  assert.ok(heading.y >= 0 && heading.y < desktop.viewport.height, `the answer is in sight, at ${heading.y}`);
  await page.goto('about:blank');
  await page.goto(`${s.node.exeunt}/help`);
  const reached = [];
  const want = await page.locator('main :is(a, button, input, summary):visible').count();
  for (let i = 0; i < want + 20; i++) {
    await page.keyboard.press('Tab');
    const at = await page.evaluate(() => {
      const node = document.activeElement;
      if (!node?.closest('main')) return '';
      const all = [...document.querySelectorAll('main :is(a, button, input, summary)')];
      return `${all.indexOf(node)} ${node.matches('input') ? 'field' : node.tagName}`;
    });
    if (at) reached.push(at);
    else if (reached.length) break; // past the end: nothing holds the focus
  }
  assert.equal(new Set(reached).size, want, `${reached}`);
  assert.match(reached[0], /field/, 'the search comes first');
  await page.locator('section:has(#saved-passwords) summary').focus();
  await page.keyboard.press('Enter');
  assert.ok(await page.locator('section:has(#saved-passwords) dl').isVisible());
});

test('[R9.1] the known limit of pages without script is stated in the docs, too', async () => {
  const text = await readFile(new URL('../docs/promises.md', import.meta.url), 'utf8');
  assert.match(text, /## Known limits[\s\S]*JavaScript off, ended from elsewhere[\s\S]*can be read until it is left/);
});
