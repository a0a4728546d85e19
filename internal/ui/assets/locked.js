// The page that the service worker shows while this browser is locked, or while the server cannot be reached. It deletes
// what scripts can delete of the sign-in, has the worker try again, and says how far that is.

import { locale } from './locale.js';

const part = document.querySelector('[data-offline]');
const state = part.dataset.offline;
const marker = '__Host-exeunt-ticket';
/** The sign-ins whose tickets these are; tickets begin with the name of their session. On a shared computer it has none. */
const places = ['shared', ...part.querySelector('form[data-finish]').elements.ticket.value.split(' ').map((ticket) => ticket.split('.')[0])];
const firstPause = 500;
/** When the server is back nothing tells us, and a session must not outlive that for long. */
const lastPause = 4000;
const patience = 9000;

for (const section of part.children) section.hidden = section.dataset.when !== state;
if (state === 'locked') locked();

function locked() {
  clear();
  let pause = firstPause;
  let timer;
  let unanswered = 0;
  const look = async (kind) => {
    clearTimeout(timer);
    const answer = await ask(kind);
    if (answer) show(answer);
    else if (++unanswered > 1) part.querySelector('[data-out]').hidden = false; // the worker has no say over the way out
    if (answer && over(answer)) return;
    pause = Math.min(2 * pause, lastPause);
    countDown(pause);
    timer = setTimeout(look, pause, 'try');
  };
  window.addEventListener('online', () => look('try'));
  window.addEventListener('pageshow', (event) => { if (event.persisted) window.location.reload(); });
  part.querySelector('[data-release]').addEventListener('click', release);
  look('look');
}

/** Deletes the readable half of the sign-in, and what pages may have stored. */
function clear() {
  for (const place of places) expire(`__Host-exeunt-${place}-here`);
  // While a ticket waits, no answer of the server may clear what is stored here.
  document.cookie = `${marker}=1; Secure; SameSite=Lax; Path=/; Max-Age=31536000`;
  for (const storage of ['localStorage', 'sessionStorage']) {
    try {
      window[storage].clear();
    } catch {
      // The browser refuses to store anything.
    }
  }
}

function expire(name) { document.cookie = `${name}=; Max-Age=0; Secure; SameSite=Lax; Path=/`; }

/** Whether a readable half is left: then whoever comes next would be signed in. */
function half() { return places.some((place) => document.cookie.includes(`__Host-exeunt-${place}-here=`)); }

/** Asks the worker; null if it does not answer. */
function ask(kind) {
  return new Promise((resolve) => {
    const worker = navigator.serviceWorker?.controller;
    const channel = new MessageChannel();
    setTimeout(resolve, worker ? patience : 0, null);
    channel.port1.onmessage = (event) => resolve(event.data);
    worker?.postMessage({ kind }, [channel.port2]);
  });
}

function show(answer) {
  const reason = answer.state === 'locked' ? answer.last ?? '' : 'confirmed';
  for (const line of part.querySelectorAll('[data-why]')) line.hidden = line.dataset.why !== reason;
  if (answer.since) {
    const since = part.querySelector('[data-since]');
    const time = document.createElement('time');
    const at = new Date(answer.since);
    time.dateTime = at.toISOString();
    time.textContent = new Intl.DateTimeFormat(locale, { timeStyle: 'medium', hourCycle: 'h23' }).format(at);
    since.dataset.words ??= since.textContent;
    const [before, after] = since.dataset.words.split('%s');
    since.replaceChildren(before, time, after);
    since.hidden = false;
  }
  const tries = part.querySelector('[data-tries]');
  const { one, many } = tries.dataset;
  tries.textContent = answer.tries > 1 ? many.replace('%s', answer.tries) : answer.tries ? one : '';
  part.querySelector('[data-everywhere]').hidden = !answer.everywhere;
  part.querySelector('[data-weak]').hidden = !answer.weak;
  part.querySelector('[data-out]').hidden = answer.tries < 2;
}

/** Goes on once the server has confirmed, or nothing is locked any more. */
function over(answer) {
  switch (answer.state) {
    case 'none': // another tab has gone on before
      window.location.replace('/signed-out');
      return true;
    case 'confirmed':
    case 'gone':
      if (!answer.more) expire(marker);
      part.querySelector('form[data-finish]').submit();
      return true;
  }
  return false;
}

function countDown(ms) {
  const next = part.querySelector('[data-next]');
  next.textContent = next.dataset.again.replace('%s', Math.ceil(ms / 1000));
}

/** Stops the lock. Only where nothing of the sign-in is left that would sign the next visitor in. */
async function release() {
  clear();
  if (half()) {
    part.querySelector('[data-held]').hidden = false;
    return;
  }
  await ask('release');
  window.location.replace('/');
}
