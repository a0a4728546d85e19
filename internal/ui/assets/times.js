// Puts exact times, which the server writes in UTC, into the reader's own zone.

export function localTimes(root) {
  const lang = document.documentElement.lang;
  const exact = new Intl.DateTimeFormat(lang === 'en' ? [...navigator.languages, 'en'] : lang, { dateStyle: 'long', timeStyle: 'medium' });
  for (const time of root.querySelectorAll('time[datetime]')) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    const text = exact.format(at);
    if ('exact' in time.dataset) time.textContent = text;
    else time.title = text;
  }
}
