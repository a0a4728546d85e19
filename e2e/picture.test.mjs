// A person's picture: chosen in Settings, shown where the account is, and gone with the sign-in.
import assert from 'node:assert/strict';
import test from 'node:test';
import { desktop, phone, shell, signIn } from './lib/browser.mjs';
import { both, stage } from './lib/stage.mjs';

const s = stage({}, shell);

/** A photo as phones take them, in the browser's own encoding: larger than 1 MB, or as large as is said. */
async function photo(page, width, height) {
  const data = await page.evaluate(async ([w, h]) => {
    const canvas = new OffscreenCanvas(w, h);
    const at = canvas.getContext('2d');
    const noise = at.createImageData(w, h);
    for (let i = 0; i < noise.data.length; i += 65536) crypto.getRandomValues(noise.data.subarray(i, i + 65536));
    for (let i = 3; i < noise.data.length; i += 4) noise.data[i] = 255;
    at.putImageData(noise, 0, 0);
    const blob = await canvas.convertToBlob({ type: 'image/jpeg', quality: 0.9 });
    return Array.from(new Uint8Array(await blob.arrayBuffer()));
  }, [width, height]);
  return { name: 'IMG_1234.JPG', mimeType: 'image/jpeg', buffer: Buffer.from(data) };
}

const save = 'form[action="/settings/picture"] button:not([form])';
const shown = (page) => page.locator('.avatar:visible').first().evaluate((e) => (e.localName === 'img' ? [e.complete, e.naturalWidth] : e.localName));

for (const [device, options] of [['a desktop', desktop], ['a phone', phone]]) {
  both(test, `a picture is chosen and removed, on ${device}`, async (t, script) => {
    const { node } = s;
    const page = await s.visit(t, { ...options, javaScriptEnabled: script });
    await signIn(page, node);
    await page.goto(`${node.exeunt}/settings`);
    const wide = () => page.evaluate(() => document.documentElement.scrollWidth <= innerWidth);
    if (await page.locator('button[form="remove-picture"]').count()) await page.click('button[form="remove-picture"]');
    assert.equal(await shown(page), 'svg');

    const large = await photo(page, 1400, 1000);
    assert.ok(large.buffer.length > 1 << 20, `the photo has ${large.buffer.length} bytes`);
    await page.setInputFiles('#f-picture', large);
    await page.click(save);
    if (script) {
      await page.getByText('Your picture is saved.').waitFor();
    } else { // nothing can make it smaller
      await page.getByText('This file is larger than 1 MB.').waitFor();
      assert.equal(await page.getAttribute('#f-picture', 'aria-invalid'), 'true');
      assert.ok(await wide(), 'nothing is cut off');
      await page.setInputFiles('#f-picture', await photo(page, 400, 300));
      await page.click(save);
      await page.getByText('Your picture is saved.').waitFor();
    }
    assert.ok(await wide(), 'nothing is cut off');
    await page.goto(`${node.exeunt}/sessions`);
    assert.deepEqual(await shown(page), [true, 128]);

    const address = await page.locator('img.avatar').first().evaluate((e) => e.src);
    await page.goto(`${node.exeunt}/signout`);
    await page.click('form[action="/signout"] button');
    await page.waitForURL(`${node.exeunt}/signed-out`);
    assert.equal((await page.goto(address)).status(), 404);
    await signIn(page, node);
    await page.goto(`${node.exeunt}/settings`);
    await page.click('button[form="remove-picture"]');
    await page.getByText('Your picture is removed.').waitFor();
    assert.equal(await shown(page), 'svg');
  });
}

test('a browser shows a photo upright as the server does', async (t) => {
  const { node } = s;
  const page = await s.visit(t);
  await signIn(page, node);
  // Red above blue; the camera stored it lying on its side, and says so.
  const file = await page.evaluate(async () => {
    const canvas = new OffscreenCanvas(200, 200);
    const at = canvas.getContext('2d');
    at.fillStyle = '#c00000';
    at.fillRect(0, 0, 100, 200);
    at.fillStyle = '#0000c0';
    at.fillRect(100, 0, 100, 200);
    return Array.from(new Uint8Array(await (await canvas.convertToBlob({ type: 'image/jpeg', quality: 1 })).arrayBuffer()));
  });
  const exif = Buffer.from('ffe10022457869660000' + '4d4d002a00000008' + '0001' + '0112000300000001' + '00060000' + '00000000', 'hex');
  const buffer = Buffer.concat([Buffer.from(file.slice(0, 2)), exif, Buffer.from(file.slice(2))]);
  const halves = (src) => page.evaluate(async (from) => {
    const image = new Image();
    image.src = from;
    await image.decode();
    const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
    const at = canvas.getContext('2d');
    at.drawImage(image, 0, 0);
    return [0.25, 0.75].map((y) => {
      const [r, , b] = at.getImageData(canvas.width / 2, canvas.height * y, 1, 1).data;
      return r > b ? 'red' : 'blue';
    });
  }, src);
  await page.goto(`${node.exeunt}/settings`);
  await page.setInputFiles('#f-picture', { name: 'IMG.JPG', mimeType: 'image/jpeg', buffer });
  await page.click(save);
  await page.getByText('Your picture is saved.').waitFor();
  const ours = await halves(await page.locator('img.avatar').first().evaluate((e) => e.src));
  const blank = await s.visit(t); // of no policy that forbids data: addresses
  const own = await blank.evaluate(async (src) => {
    const bitmap = await createImageBitmap(await (await fetch(src)).blob());
    const at = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d');
    at.drawImage(bitmap, 0, 0);
    return [0.25, 0.75].map((y) => {
      const [r, , b] = at.getImageData(bitmap.width / 2, bitmap.height * y, 1, 1).data;
      return r > b ? 'red' : 'blue';
    });
  }, `data:image/jpeg;base64,${buffer.toString('base64')}`);
  assert.deepEqual(ours, own);
});
