// Puts exact times, which the server writes in UTC, into the reader's own zone.
// They keep the style of the page's other dates: day, month, year, and a clock
// of 24 hours, whatever the browser's own language does.

export function localTimes(root) {
  const lang = document.documentElement.lang;
  const exact = new Intl.DateTimeFormat(lang === 'en' ? 'en-GB' : lang, { dateStyle: 'long', timeStyle: 'long' });
  for (const time of root.querySelectorAll('time[datetime]')) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    const text = exact.format(at);
    if ('exact' in time.dataset) time.textContent = text;
    else time.title = text;
  }
}
