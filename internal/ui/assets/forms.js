// What scripts add to forms.

/**
 * On a shared computer the form asks the browser to save nothing. Without script, the
 * form's address for shared computers does that.
 */
export function deviceChoice() {
  const form = document.querySelector('form[data-device]');
  if (!form) return;
  const fields = [...form.querySelectorAll('input[autocomplete]')].map((field) => [field, field.autocomplete]);
  const own = fields.every(([, value]) => value === 'off') ? null : fields;
  const apply = () => {
    const shared = form.elements.kind.value === 'shared';
    form.autocomplete = shared ? 'off' : 'on';
    for (const [field, value] of own ?? []) field.autocomplete = shared ? 'off' : value;
  };
  form.addEventListener('change', apply);
  apply(); // a browser may have restored the choice
}

/** A button beside each password shows what is typed. It is hidden again when the form is sent. */
export function passwordButtons() {
  for (const button of document.querySelectorAll('button[data-show]')) {
    const field = document.getElementById(button.dataset.show);
    const show = (shown) => {
      field.type = shown ? 'text' : 'password';
      button.setAttribute('aria-pressed', shown);
    };
    button.addEventListener('click', () => show(field.type === 'password'));
    // Otherwise the browser may offer what was typed as a text later, or keep it in the page for Back.
    field.form.addEventListener('submit', () => show(false));
    window.addEventListener('pagehide', () => show(false));
    button.hidden = false;
  }
}

/** The display changes when it is chosen, and is saved without leaving the page. */
export function displaySwitch() {
  const form = document.querySelector('form[data-display]');
  form?.addEventListener('change', async () => {
    const data = new URLSearchParams(new FormData(form));
    const html = document.documentElement;
    const before = html.dataset.theme;
    const chosen = data.get('display');
    if (chosen === 'system') delete html.dataset.theme;
    else html.dataset.theme = chosen;
    try {
      const response = await fetch(form.action, { method: 'POST', body: data, headers: { 'Exeunt-Activity': 'yes' } });
      if (!response.ok) throw new Error('refused');
    } catch {
      if (before) html.dataset.theme = before;
      else delete html.dataset.theme;
      form.submit(); // the page that answers says what is wrong
    }
  });
}

/** K keeps and E ends what a review shows, unless the key is meant for something else. */
export function reviewKeys() {
  const form = document.querySelector('form[data-review]');
  if (!form) return;
  for (const note of document.querySelectorAll('.by-key')) note.hidden = false;
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || document.querySelector('dialog[open]')) return;
    if (event.target.closest('input, textarea, select, [contenteditable]')) return;
    form.querySelector(`[data-key="${CSS.escape(event.key.toLowerCase())}"]`)?.click();
  });
}

/** A sign-out that the server could not confirm is sent again as it was, until it is. */
export function sendAgain() {
  const form = document.querySelector('form[data-again]');
  if (!form) return;
  form.querySelector('p[hidden]').hidden = false;
  const timer = setTimeout(() => form.submit(), 1000 * form.dataset.again);
  form.addEventListener('submit', () => clearTimeout(timer));
  window.addEventListener('pagehide', () => clearTimeout(timer));
}

/**
 * A fragment that is not of this page is of the page that somebody was on the way to: an app's address, for example. It
 * goes on with the form, and redirects keep it; servers never see it.
 */
export function keepFragment() {
  const { hash } = window.location;
  if (!hash || document.getElementById(hash.slice(1))) return;
  for (const form of document.querySelectorAll('main form[method=post]')) {
    if (!form.action.includes('#')) form.action += hash;
  }
}
