// Keeps lists of sessions current: a session that ends elsewhere fades in its place, with
// the reason; a new one appears; and screen readers are told once, politely.

import { localTimes } from './times.js';

const quiet = { headers: { 'Exeunt-Activity': 'no' }, redirect: 'error' };

/** Returns the function to call when the account's list changes. */
export function liveSessions(words) {
  let running = false;
  let again = false;
  return async function changed() {
    if (!document.querySelector('[data-live]')) return;
    again = true;
    if (running) return;
    running = true;
    while (again) {
      again = false;
      await refresh(words).catch(() => {}); // the next change or a reload fetches it
    }
    running = false;
  };
}

async function refresh(words) {
  const fresh = await page(location.href);
  if (!fresh) return;
  const gone = [...document.querySelectorAll('[data-live] [data-row][data-state]:not([data-state="ended"])')]
    .filter((row) => fresh.querySelector(`[data-row="${row.dataset.row}"]:not([data-state="ended"])`) === null);
  const ended = gone.length ? await page('/sessions/ended') : null;
  for (const row of gone) fade(row, ended?.querySelector(`[data-row="${row.dataset.row}"]`), words);
  for (const name of ['tabs', 'scope']) replace(name, fresh);
  if (!gone.length || document.body.dataset.page === 'sessions') add(fresh);
  if (gone.length) {
    const names = gone.map((row) => row.querySelector('h3 bdi').textContent).join(', ');
    document.getElementById('said').textContent = words.said.replace('%s', names);
  }
}

async function page(address) {
  const response = await fetch(address, quiet);
  if (!response.ok) return null;
  const parsed = new DOMParser().parseFromString(await response.text(), 'text/html');
  return parsed.body.dataset.session === document.body.dataset.session ? parsed : null;
}

/** Marks a row as ended in its place; `told` is its row in the list of ended sessions. */
function fade(row, told, words) {
  const why = told?.querySelector('.why')?.textContent;
  const held = row.contains(document.activeElement);
  row.dataset.state = 'ended';
  row.querySelector('h3 .st')?.remove();
  row.querySelector('h3').append(
    status('check', 'gone', told?.dataset.reason === 'signed_out' ? words.gone : words.over));
  if (why) row.querySelector('.meta').textContent = `${why.trim()}.`;
  for (const part of row.querySelectorAll('.apps, .more, form')) part.remove();
  if (held) row.querySelector('h3').focus();
}

function status(icon, kind, text) {
  const mark = document.querySelector('svg.i use').closest('svg').cloneNode(true);
  mark.setAttribute('class', 'i');
  const use = mark.querySelector('use');
  use.setAttribute('href', use.getAttribute('href').replace(/#.*/, `#${icon}`));
  const span = document.createElement('span');
  span.className = `st ${kind}`;
  span.append(mark, text);
  return span;
}

/** Replaces a part unless it has the focus. */
function replace(name, fresh) {
  const old = document.querySelector(`[data-live="${name}"]`);
  const now = fresh.querySelector(`[data-live="${name}"]`);
  if (old && now && !old.contains(document.activeElement)) old.replaceWith(document.adoptNode(now));
}

/** Adds new rows, at their place in the fetched page. */
function add(fresh) {
  const old = document.querySelector('[data-live="lists"]');
  const now = fresh.querySelector('[data-live="lists"]');
  if (!old || !now) {
    replace('others', fresh);
    return;
  }
  for (const row of now.querySelectorAll('[data-row]')) {
    if (document.querySelector(`[data-row="${row.dataset.row}"]`)) continue;
    const list = row.parentElement;
    const mine = list.id ? document.getElementById(list.id) : old;
    localTimes(row);
    if (mine) mine.prepend(document.adoptNode(row));
    else old.append(document.adoptNode(list.closest('section')));
  }
  old.querySelector(':scope > .empty:not(:only-child)')?.remove();
}

/** Shows in a row that its session is being ended, until the answer comes. */
export function markEnding(words) {
  document.addEventListener('submit', (event) => {
    const form = event.target;
    if (event.defaultPrevented || !form.matches('form[data-ending]')) return;
    const row = form.closest('.row');
    if (row.dataset.state === 'ending') {
      event.preventDefault(); // pressed twice
      return;
    }
    row.dataset.state = 'ending';
    row.querySelector('h3 .st')?.remove();
    row.querySelector('h3').append(status('arc', 'ending', words.ending));
    form.querySelector('button').setAttribute('aria-disabled', 'true');
  });
}
