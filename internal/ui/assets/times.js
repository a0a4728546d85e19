// Converts exact times, which the server writes in UTC, to the reader's zone. They have
// the format of the page's other dates, whatever the browser's language, and a 24-hour clock.
// Some have the hour and minute only.

import { locale } from './locale.js';

export function localTimes(root) {
  const exact = new Intl.DateTimeFormat(locale, { dateStyle: 'long', timeStyle: 'long', hourCycle: 'h23' });
  const clock = new Intl.DateTimeFormat(locale, { hour: '2-digit', minute: '2-digit', hour12: false });
  for (const time of root.querySelectorAll('time[datetime]')) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    const text = exact.format(at);
    if ('exact' in time.dataset) time.textContent = text;
    else time.title = text;
    if ('clock' in time.dataset) time.textContent = clock.format(at);
  }
}
