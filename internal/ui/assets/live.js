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
    .filter((row) => fresh.querySelector(`[data-row="${row.dataset.row}"]:not([data-state="ended"])`) === null)
    .filter((row) => !pushedOff(row, fresh));
  const ended = gone.length ? await page('/sessions/ended') : null;
  for (const row of gone) fade(row, ended?.querySelector(`[data-row="${row.dataset.row}"]`), words);
  for (const name of ['tabs', 'scope', 'pager']) replace(name, fresh);
  if (!document.querySelector('[data-live=asking] details[open]')) replace('asking', fresh);
  if (!gone.length || document.body.dataset.page === 'sessions') add(fresh);
  if (gone.length) say(gone, words);
}

const maxNamed = 3;

/** Tells screen readers which rows have ended. */
function say(gone, words) {
  const names = gone.slice(0, maxNamed).map((row) => row.querySelector('h3 bdi').textContent).join(words.comma);
  const rest = gone.length - maxNamed;
  document.getElementById('said').textContent = words.said.replace('%s', () =>
    (rest > 0 ? words.more.replace('%s', () => names).replace('%n', () => rest) : names));
}

/**
 * Whether a row is missing in the fetched page only because that is one of several, and
 * newer sessions have moved the row to the next.
 */
function pushedOff(row, fresh) {
  const began = [...fresh.querySelectorAll('[data-live] [data-began]')].map((one) => Number(one.dataset.began));
  return fresh.querySelector('[data-next]') !== null && began.length > 0
    && Number(row.dataset.began) <= Math.min(...began);
}

async function page(address) {
  const response = await fetch(address, quiet);
  if (!response.ok) return null;
  const parsed = new DOMParser().parseFromString(await response.text(), 'text/html');
  return parsed.body.dataset.session === document.body.dataset.session ? parsed : null;
}

/** Marks a row as ended in its place; `told` is its row in the list of ended sessions. */
function fade(row, told, words) {
  if (row.dataset.state === 'ended') return;
  const why = told?.querySelector('.why')?.textContent;
  const held = row.contains(document.activeElement);
  row.dataset.state = 'ended';
  row.querySelector('h3 .st')?.remove();
  row.querySelector('h3').append(
    status('check', 'gone', told?.dataset.reason === 'signed_out' ? words.gone : words.over));
  const [meta, ...rest] = row.querySelectorAll('.meta');
  if (why) meta.textContent = words.why.replace('%s', () => why.trim());
  for (const part of [...rest, ...row.querySelectorAll('.apps, .more, .st:not(.gone), form')]) part.remove();
  if (held) nextTo(row).focus();
}

/** What gets the focus of a row whose button is gone: the next row's button, or the one before, or the row's name. */
function nextTo(row) {
  const buttons = [...document.querySelectorAll('.rows [data-row] form button')];
  const follows = (one) => row.compareDocumentPosition(one) & Node.DOCUMENT_POSITION_FOLLOWING;
  return buttons.find(follows) ?? buttons.at(-1) ?? row.querySelector('h3');
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

/**
 * Ends the session of a row without leaving the page, so that a long list stays where it is. If the answer is not that
 * it has ended, the form is sent as without script: its key makes that harmless, and the page says what is wrong.
 */
export function endInPlace(words) {
  document.addEventListener('submit', async (event) => {
    const form = event.target;
    if (event.defaultPrevented || !form.matches('form[data-ending]')) return;
    event.preventDefault();
    const row = form.closest('.row');
    if (row.dataset.state === 'ending') return; // pressed twice
    row.dataset.state = 'ending';
    row.querySelector('h3 .st')?.remove();
    row.querySelector('h3').append(status('arc', 'ending', words.ending));
    form.querySelector('button').setAttribute('aria-disabled', 'true');
    if (!await end(form)) {
      form.submit();
      return;
    }
    const ended = await page('/sessions/ended').catch(() => null);
    const told = ended?.querySelector(`[data-row="${row.dataset.row}"]`) ?? ownDoing;
    if (row.dataset.state === 'ended') return; // the event stream was faster
    fade(row, told, words);
    say([row], words);
  });
}

// What is known of a session that was ended here if its row in the list of ended ones cannot be fetched.
const ownDoing = Object.assign(document.createElement('li'), { hidden: true });
ownDoing.dataset.reason = 'signed_out';

async function end(form) {
  const body = new URLSearchParams(new FormData(form));
  body.set('stay', '1');
  try {
    const response = await fetch(form.action, { method: 'POST', body, redirect: 'error' });
    return response.status === 204;
  } catch {
    return false;
  }
}
