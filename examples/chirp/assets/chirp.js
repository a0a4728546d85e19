// Guards a signed-in page: blanks it when its session ends, wherever that happens,
// and warns before the session expires. Nothing is stored in the browser.
import { guard } from './exeunt/exeunt.js';

const dialog = document.getElementById('idle');
const { session, idle } = document.documentElement.dataset;

const page = guard({
  state: '/exeunt/state',
  stream: '/exeunt/stream',
  activity: '/exeunt/activity',
  closing: '/exeunt/closing',
  session,
  idleIn: idle * 1000,
  ended: '/exeunt/ended',
  signOut: '/exeunt/sign-out',
  warn: {
    show() { if (!dialog.open) dialog.showModal(); },
    hide() { dialog.close(); },
  },
});

document.getElementById('stay').addEventListener('click', () => page.stay());
// Escape means "stay signed in" as well.
dialog.addEventListener('cancel', () => page.stay());

// The account menu closes like any menu.
const menu = document.querySelector('.acct');
document.addEventListener('click', (event) => { if (!menu.contains(event.target)) menu.open = false; });
menu.addEventListener('keydown', (event) => {
  if (event.key !== 'Escape' || !menu.open) return;
  menu.open = false;
  menu.querySelector('summary').focus();
});
