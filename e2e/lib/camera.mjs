// Sees every frame that a browser draws. Screenshots and animation frames miss
// the one private frame that a page can flash when the browser brings it back;
// a screencast does not.
import { inflateSync } from 'node:zlib';

const [R, G, B] = [255, 0, 255];

// paint colours what is private on a page, in a way that the page's policy does
// not forbid and that goes with the page wherever the browser keeps it.
export const paint = (page) => page.evaluate(() => {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync('.private, .private * { background: #f0f !important; }');
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
});

// film records until stop, which tells how many frames there were and how many
// of them showed something private.
export async function film(page) {
  const cdp = await page.context().newCDPSession(page);
  const frames = [];
  cdp.on('Page.screencastFrame', ({ data, sessionId }) => {
    frames.push(data);
    cdp.send('Page.screencastFrameAck', { sessionId }).catch(() => {});
  });
  await cdp.send('Page.startScreencast', { format: 'png', everyNthFrame: 1, maxWidth: 640, maxHeight: 430 });
  return {
    get frames() { return frames.length; },
    /** Whether the latest frame shows something private. */
    get sees() { return frames.length > 0 && shows(Buffer.from(frames.at(-1), 'base64')); },
    async stop() {
      await cdp.send('Page.stopScreencast').catch(() => {});
      await cdp.detach().catch(() => {});
      return { all: frames.length, private: frames.filter((f) => shows(Buffer.from(f, 'base64'))).length };
    },
  };
}

// shows reports whether a frame has more than a few pixels of that colour.
function shows(png) {
  const { width, height, depth, rows } = decode(png);
  let n = 0;
  for (let y = 0; y < height; y += 2) {
    for (let x = 0; x < width; x += 2) {
      const at = y * width * depth + x * depth;
      if (Math.abs(rows[at] - R) < 40 && rows[at + 1] - G < 60 && Math.abs(rows[at + 2] - B) < 40) n += 1;
    }
  }
  return n > 20;
}

// decode reads what Chromium writes: 8 bits, RGB or RGBA, not interlaced (PNG,
// third edition, sections 9 and 11.2.1).
function decode(png) {
  let at = 8;
  let header;
  const data = [];
  while (at < png.length) {
    const length = png.readUInt32BE(at);
    const kind = png.toString('latin1', at + 4, at + 8);
    const body = png.subarray(at + 8, at + 8 + length);
    if (kind === 'IHDR') header = body;
    if (kind === 'IDAT') data.push(body);
    at += length + 12;
  }
  const width = header.readUInt32BE(0);
  const height = header.readUInt32BE(4);
  const depth = { 2: 3, 6: 4 }[header[9]];
  if (header[8] !== 8 || !depth || header[12] !== 0) throw new Error('a frame is no PNG that this reads');
  const raw = inflateSync(Buffer.concat(data));
  const line = width * depth;
  const rows = Buffer.alloc(line * height);
  for (let y = 0; y < height; y += 1) {
    const filter = raw[y * (line + 1)];
    for (let x = 0; x < line; x += 1) {
      const left = x >= depth ? rows[y * line + x - depth] : 0;
      const up = y > 0 ? rows[(y - 1) * line + x] : 0;
      const corner = x >= depth && y > 0 ? rows[(y - 1) * line + x - depth] : 0;
      rows[y * line + x] = raw[y * (line + 1) + 1 + x] + predicted(filter, left, up, corner);
    }
  }
  return { width, height, depth, rows };
}

function predicted(filter, left, up, corner) {
  switch (filter) {
    case 1: return left;
    case 2: return up;
    case 3: return (left + up) >> 1;
    case 4: {
      const p = left + up - corner;
      const [a, b, c] = [Math.abs(p - left), Math.abs(p - up), Math.abs(p - corner)];
      if (a <= b && a <= c) return left;
      return b <= c ? up : corner;
    }
    default: return 0;
  }
}
