// Dialogs: the drawer, the sign-out confirmation, the idle warning.

import { canLeaveOffline } from './offline.js';

/** A confirmation that does not come by then is asked for without the server. */
const patience = 2500;

/**
 * Opens a dialog as one step of the history, so that Back closes it like Escape and its
 * own button. The focus then returns to what opened it.
 */
function openStep(dialog, focus) {
  if (dialog.open) return;
  const opener = document.activeElement;
  // The confirmation reuses the drawer's step, so one Back leaves both.
  const step = history.state?.dialog ? 'replaceState' : 'pushState';
  history[step]({ dialog: dialog.id }, '');
  dialog.showModal();
  focus?.focus();
  const onBack = () => { back = true; dialog.close(); };
  let back = false;
  window.addEventListener('popstate', onBack);
  dialog.addEventListener('close', () => {
    window.removeEventListener('popstate', onBack);
    if (!back && history.state?.dialog === dialog.id) history.back();
    stillThere(opener)?.focus();
  }, { once: true });
}

/**
 * The opener, or if its menu has closed in the meantime what opens that: the focus must
 * not be lost to the top of the page.
 */
function stillThere(opener) {
  const menu = opener?.closest('details')?.querySelector('summary');
  return [opener, menu, document.querySelector('[data-drawer]'), document.getElementById('main')]
    .find((node) => node?.isConnected && node.checkVisibility());
}

/** The topbar's picture opens the drawer in place of /menu. */
export function drawer() {
  const dialog = document.getElementById('drawer');
  document.querySelector('[data-drawer]')?.addEventListener('click', (event) => {
    if (other(event)) return;
    event.preventDefault();
    openStep(dialog, dialog.querySelector('[data-close]'));
  });
  dialog.addEventListener('click', (event) => {
    // A press beside the drawer lands on the dialog element itself.
    if (event.target !== dialog && !event.target.closest('[data-close]')) return;
    event.preventDefault();
    dialog.close();
  });
}

/** Links to /signout open its form in a dialog; if it cannot be fetched they stay links. */
export function confirmations() {
  const dialog = document.getElementById('ask');
  dialog.addEventListener('click', (event) => {
    if (!event.target.closest('[data-cancel]') && event.target !== dialog) return;
    event.preventDefault();
    dialog.close();
  });
  document.addEventListener('click', async (event) => {
    // A page that is hidden because the server cannot be asked offers it, too.
    const veil = event.target.closest('.exeunt-veil');
    const link = event.target.closest(veil ? 'a[href="/signout"]' : 'a[data-signout]');
    if (!link || other(event)) return;
    if (document.body.dataset.page === 'sign_out') return; // the page itself is open
    event.preventDefault();
    const form = await lift(link.href) ?? await away(link.href);
    if (!form) {
      location.assign(link.href);
      return;
    }
    if (veil) {
      form.querySelector('[data-cancel]').remove(); // the page behind it cannot be shown
      veil.replaceChildren(form);
      form.querySelector('button.danger').focus();
      return;
    }
    dialog.replaceChildren(form);
    document.getElementById('drawer').close();
    openStep(dialog);
    // The focus is on the button, but nothing presses it.
    form.querySelector('button.danger').focus({ preventScroll: true });
  });
}

async function lift(address) {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), patience);
  unreachable = false;
  try {
    const response = await fetch(address, { headers: { 'Exeunt-Activity': 'no' }, redirect: 'error', signal: abort.signal });
    // A proxy may answer for a server that is away, and with any status; our own answers have an ID.
    unreachable = response.status >= 500 || !response.headers.has('X-Request-Id');
    if (!response.ok) return null;
    const page = new DOMParser().parseFromString(await response.text(), 'text/html');
    return page.body.dataset.session === document.body.dataset.session ? page.querySelector('main form') : null;
  } catch (error) {
    // A browser that refuses scripts to ask says nothing of the server.
    unreachable = error instanceof TypeError || error.name === 'AbortError';
    return null;
  } finally {
    clearTimeout(timer);
  }
}

/** The page of a locked browser, as our worker keeps it: the first in its cache, which is named by what is in it. */
const keptPage = async () => (await caches.keys()).find((name) => name.startsWith('exeunt ')).split(' ')[1];

/** Whether the server did not answer the last question, or could not. */
let unreachable = false;

/** The question without the server: it signs out of this browser. Its words are in the page that the worker keeps. */
async function away(address) {
  if (!unreachable || !canLeaveOffline() || /scope=others/.test(address)) return null;
  try {
    const kept = new DOMParser().parseFromString(await (await caches.match(await keptPage())).text(), 'text/html');
    const form = document.adoptNode(kept.getElementById('ask-away').content.firstElementChild);
    form.elements.ticket.value = document.body.dataset.ticket;
    const add = (name, value) => form.append(Object.assign(document.createElement('input'), { type: 'hidden', name, value }));
    const { pathname, searchParams } = new URL(address);
    if (/scope=account/.test(address)) add('scope', 'account');
    // The worker has the tickets of other accounts.
    const of = pathname === '/signout/all' ? 'all' : searchParams.get('session');
    if (of && of !== document.body.dataset.session) add('held', of);
    if (document.body.dataset.shared !== undefined) add('shared', '1');
    return form;
  } catch {
    return null;
  }
}

/** Clicks for a new tab or window are left to the browser. */
function other(event) {
  return event.defaultPrevented || event.button > 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey;
}

/** The warning before the idle end, counting down. */
export function idleWarning(words, stay) {
  const dialog = document.getElementById('idle');
  const when = document.getElementById('idle-when');
  let timer;
  // Closed by the button or Escape, somebody is there. Closed by anything else, such as
  // the veil, it tells nothing.
  let answered = false;
  for (const name of ['submit', 'cancel']) dialog.addEventListener(name, () => { answered = true; });
  dialog.addEventListener('close', () => {
    clearInterval(timer);
    if (answered) stay();
    answered = false;
  });
  return {
    show(left) {
      const until = performance.now() + left;
      const tick = () => {
        when.textContent = words.idle.replace('%s',
          Math.max(0, Math.round((until - performance.now()) / 1000)));
      };
      clearInterval(timer);
      timer = setInterval(tick, 1000);
      tick();
      if (!dialog.open) dialog.showModal();
    },
    hide() {
      dialog.close();
    },
  };
}
