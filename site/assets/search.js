// Finds parts of pages in which every word occurs, as it is typed. The index is loaded with the first word.
const form = document.querySelector('.search');
const input = form.querySelector('input');
const found = document.getElementById('found');
const article = document.querySelector('article');
const { up } = document.body.dataset;
let index;

if (location.protocol !== 'file:') form.hidden = false; // browsers do not read files for pages that are files

form.addEventListener('submit', (event) => { event.preventDefault(); found.querySelector('a')?.click(); });
input.addEventListener('input', async () => {
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length) index ??= fetch(`${up}search.json`).then((r) => r.json()).then((list) => list.map((e) => ({ ...e, all: `${e.page} ${e.title ?? ''} ${e.text}`.toLowerCase() })));
  const list = words.length ? await index : [];
  if (words.join(' ') !== input.value.toLowerCase().split(/\s+/).filter(Boolean).join(' ')) return; // more was typed meanwhile
  show(words, list.filter((e) => words.every((w) => e.all.includes(w))).sort((a, b) => weight(b, words) - weight(a, words)));
});
addEventListener('keydown', (event) => {
  if (event.key === '/' && !/input|textarea/i.test(document.activeElement.tagName) && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    input.focus();
  } else if (event.key === 'Escape' && document.activeElement === input) {
    input.value = '';
    show([], []);
  }
});

function weight(e, words) {
  const heading = `${e.page} ${e.title ?? ''}`.toLowerCase();
  return words.filter((w) => heading.includes(w)).length;
}

const most = 20;

function show(words, list) {
  found.hidden = !words.length;
  article.hidden = Boolean(words.length);
  found.replaceChildren();
  if (!words.length) return;
  const head = document.createElement('h2');
  head.textContent = list.length ? `${list.length} found` : 'Nothing found. Try fewer or other words.';
  const ol = document.createElement('ol');
  for (const e of list.slice(0, most)) {
    const li = document.createElement('li');
    const a = document.createElement('a');
    a.href = up + e.at;
    a.textContent = e.title ? `${e.page}: ${e.title}` : e.page;
    a.addEventListener('click', () => { input.value = ''; show([], []); }); // it may be on this page
    const p = document.createElement('p');
    p.textContent = around(e.text, words);
    li.append(a, p);
    ol.append(li);
  }
  found.append(head, ol);
}

/** The text around the first word. */
function around(text, words) {
  const at = Math.max(0, Math.min(...words.map((w) => text.toLowerCase().indexOf(w)).filter((i) => i >= 0).concat(text.length)) - 60);
  const from = at > 0 ? text.indexOf(' ', at) + 1 : 0;
  return `${from > 0 ? '… ' : ''}${text.slice(from, from + 180)}${text.length > from + 180 ? ' …' : ''}`;
}
