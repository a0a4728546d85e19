// Keeps the page after a sign-out current while apps are being told of it.

import { localTimes } from './times.js';

const first = 1000;
const longest = 20_000;

export function toldApps() {
  const part = document.querySelector('[data-told]');
  let pause = first;
  const again = () => {
    if ('waiting' in (part?.dataset ?? {})) setTimeout(look, pause);
    pause = Math.min(2 * pause, longest);
  };
  async function look() {
    const fresh = document.visibilityState === 'hidden' ? null : await load().catch(() => null);
    if (fresh) {
      if (!fresh.hasAttribute('data-waiting')) delete part.dataset.waiting;
      // What has the focus stays; the next look brings the rest.
      const held = part.contains(document.activeElement);
      const what = held ? part.querySelector('ul:not(:focus-within)') : part;
      localTimes(fresh);
      what?.replaceChildren(...(held ? fresh.querySelector('ul') : fresh).childNodes);
    }
    again();
  }
  again();
}

async function load() {
  const response = await fetch(location.href, { headers: { 'Exeunt-Activity': 'no' }, redirect: 'error' });
  if (!response.ok) return null;
  return new DOMParser().parseFromString(await response.text(), 'text/html').querySelector('[data-told]');
}
