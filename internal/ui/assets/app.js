// The pages' own script. Everything works without it. It opens some pages as dialogs,
// keeps lists current, and guards signed-in pages.

import { guard } from '../../../js/exeunt.js';
import { menus } from './menus.js';
import { drawer, confirmations, idleWarning } from './dialogs.js';
import { liveSessions, endInPlace } from './live.js';
import { localTimes } from './times.js';
import { toldApps } from './told.js';
import { passkeys } from './passkeys.js';
import { helpSearch } from './help.js';
import { offline } from './offline.js';
import { deviceChoice, displaySwitch, passwordButtons, reviewKeys, keepFragment, sendAgain } from './forms.js';

const { session, idle } = document.body.dataset;
const words = document.getElementById('words')?.dataset ?? {};

localTimes(document);
deviceChoice();
passwordButtons();
toldApps();
passkeys();
helpSearch();
reviewKeys();
keepFragment();
sendAgain();
offline();

if (session) {
  const warning = idleWarning(words, () => guarded.stay());
  const guarded = guard({
    state: `/session/state?session=${session}`,
    stream: `/session/stream?session=${session}`,
    activity: '/session/activity',
    closing: '/session/closing',
    session,
    idleIn: +idle,
    ended: '/ended',
    signOut: '/signout',
    warn: warning,
    changed: liveSessions(words),
    words: { ...words, signOut: words.signout },
  });
  menus();
  drawer();
  confirmations();
  endInPlace(words);
  displaySwitch();
}
