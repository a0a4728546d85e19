// Converts exact times, which the server writes in UTC, to the reader's zone. They have
// the format of the page's other dates, whatever the browser's language: day, month, year
// and a 24-hour clock. Some have the hour and minute only.

export function localTimes(root) {
  const lang = document.documentElement.lang;
  const exact = new Intl.DateTimeFormat(lang === 'en' ? 'en-GB' : lang, { dateStyle: 'long', timeStyle: 'long' });
  const clock = new Intl.DateTimeFormat(lang === 'en' ? 'en-GB' : lang, { hour: '2-digit', minute: '2-digit', hour12: false });
  for (const time of root.querySelectorAll('time[datetime]')) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    const text = exact.format(at);
    if ('exact' in time.dataset) time.textContent = text;
    else time.title = text;
    if ('clock' in time.dataset) time.textContent = clock.format(at);
  }
}
