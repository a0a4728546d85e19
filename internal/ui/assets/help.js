// Filters the answers of the help page while somebody types, by the rules of internal/ui/help.go, which does the same
// for readers without script. Their tests compare the two.

const words = (text) => text.normalize('NFKD').replace(/[\p{M}'’]/gu, '').toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];

/** What may be inside a word: Japanese has no spaces, and Arabic joins articles and prepositions to the word. */
const within = /(?!\p{sc=Latn})\p{L}/u;

/** The beginnings of words that an answer must have. */
function stems(search, { skip, endings }) {
  const typed = words(search);
  const skipped = words(skip);
  const said = typed.filter((word) => !skipped.includes(word));
  return (said.length ? said : typed).slice(0, 8).map((word) => {
    const ending = endings.split(' ').find((one) => word.endsWith(one) && [...word].length - one.length >= 3);
    return ending ? word.slice(0, -ending.length) : word;
  });
}

export function helpSearch() {
  const form = document.querySelector('form[data-help]');
  if (!form) return;
  const field = form.elements.q;
  const list = document.querySelector('[data-answers]');
  const read = () => [...list.children].map((node) => {
    const asked = words(`${node.querySelector('h2').textContent} ${node.dataset.words}`);
    return { node, asked, all: [...asked, ...words(node.querySelector('div').textContent)] };
  });
  // A page of what was found has only that.
  let answers = 'part' in form.dataset ? null : read();
  let loading;
  const whole = async () => {
    try {
      const response = await fetch(form.action, { redirect: 'error' });
      if (!response.ok) return null;
      const page = new DOMParser().parseFromString(await response.text(), 'text/html');
      for (const part of ['[data-answers]', '[data-toc]']) document.querySelector(part).replaceChildren(...page.querySelector(part).childNodes);
      document.querySelector('[data-more]')?.remove();
      return read();
    } catch {
      return null; // the form still works
    } finally {
      loading = null;
    }
  };
  const shown = (name, on) => { for (const node of document.querySelectorAll(`[data-${name}]`)) node.hidden = !on; };
  const look = async () => {
    answers ??= await (loading ??= whole());
    if (!answers) return;
    const wanted = stems(field.value, form.dataset);
    const has = (said) => wanted.every((stem) => said.some((word) => (within.test(stem) ? word.includes(stem) : word.startsWith(stem))));
    const best = answers.filter((one) => has(one.asked));
    const good = answers.filter((one) => !best.includes(one) && has(one.all));
    const rest = answers.filter((one) => !best.includes(one) && !good.includes(one));
    const found = best.length + good.length;
    for (const one of answers) one.node.hidden = rest.includes(one);
    list.append(...[...best, ...good, ...rest].map((one) => one.node));
    document.querySelector('[data-count]').textContent = found;
    shown('all', wanted.length);
    shown('toc', !wanted.length);
    shown('counted', wanted.length && found);
    shown('none', !found);
  };
  form.addEventListener('input', look);
  // Before a link is followed, so that Back leads to what was found.
  form.addEventListener('change', () => {
    const search = field.value.trim();
    history.replaceState(history.state, '', search ? `?${new URLSearchParams({ q: search })}` : form.action);
  });
  if (answers || field.value !== field.defaultValue) look(); // a browser may have restored what was typed
}
