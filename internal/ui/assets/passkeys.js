// Passkeys (Web Authentication Level 3). Without script or WebAuthn, pages offer other ways.

const able = Boolean(window.PublicKeyCredential);

/** Everything on a page that has to do with passkeys. */
export function passkeys() {
  const said = document.querySelectorAll('[data-passkey-said=unable]');
  if (!able) {
    for (const note of said) note.hidden = false;
    return;
  }
  signals();
  for (const offer of document.querySelectorAll('[data-passkey-offer]')) offer.hidden = false;
  const form = document.querySelector('form[data-passkey-signin]');
  if (form) signIn(form);
  for (const one of document.querySelectorAll('form[data-passkey-form]')) secondStep(one);
  // The confirmation goes first: a form that also makes a passkey asks for that afterwards.
  for (const part of document.querySelectorAll('[data-passkey-proof]')) confirm(part);
  const make = document.querySelector('form[data-passkey-make]');
  if (make) create(make);
}

/** Asks for a passkey where somebody types who they are, so that nobody has to look for a button. */
function signIn(form) {
  const { passkey, identifier, password } = form.elements;
  const button = form.querySelector('[data-passkey-ask]');
  let waiting;
  const ask = async (mediation) => {
    waiting?.abort();
    const mine = waiting = new AbortController();
    try {
      passkey.value = await answer(await question('/passkey'), { mediation, signal: mine.signal });
    } catch (err) {
      if (mediation || mine !== waiting) return;
      say(form, 'declined');
      offer();
      return;
    }
    for (const field of [identifier, password]) field.disabled = true;
    say(form, form.elements.kind.value ? '' : 'ready');
    form.requestSubmit();
  };
  const offer = async () => {
    if (identifier.autocomplete.includes('webauthn') && await PublicKeyCredential.isConditionalMediationAvailable?.()) ask('conditional');
  };
  button.hidden = false;
  button.addEventListener('click', () => {
    const unchosen = [...form.elements.kind].find((field) => !field.validity.valid);
    if (unchosen) unchosen.reportValidity();
    else ask();
  });
  // A question is good for a few minutes.
  setInterval(() => {
    if (!document.hidden && !passkey.value && document.activeElement !== identifier) offer();
  }, 240_000);
  offer();
}

/** The second step of a sign-in: its question is in the page. */
function secondStep(form) {
  const { passkey } = form.elements;
  form.querySelector('[data-passkey-ask]').hidden = false;
  before(form, () => !passkey.value, async () => {
    passkey.value = await answer(JSON.parse(form.dataset.passkeyForm));
  });
}

/** A passkey instead of the fields that ask somebody to prove who they are, in the same form. */
function confirm(part) {
  const { form } = part.querySelector('[name=passkey]');
  const { passkey } = form.elements;
  const typed = part.querySelector('[data-passkey-typed]');
  const here = part.querySelector('[data-passkey-here]');
  const type = (on) => {
    if (!typed) return;
    typed.hidden = !on;
    for (const field of typed.querySelectorAll('input')) field.disabled = !on;
  };
  here.hidden = false;
  const optional = part.dataset.passkeyProof === 'optional'; // what else the form does needs no proof
  type(Boolean(typed?.querySelector('[aria-invalid]')));
  part.querySelector('[data-passkey-type]')?.addEventListener('click', () => {
    type(true);
    here.hidden = true;
    typed.querySelector('input:not([hidden])').focus();
  });
  let asked = false; // by its button, also where typing would do
  part.querySelector('[data-passkey-ask]').addEventListener('click', () => {
    type(false);
    asked = true;
    form.requestSubmit(form.querySelector('button:not([type=button])'));
    asked = false;
  });
  before(form, () => !passkey.value && (asked || !optional && (!typed || typed.hidden)), async () => {
    passkey.value = await answer(await question('/passkey?confirm'));
  });
}

/** Makes a passkey when the form is sent. */
function create(form) {
  const { made } = form.elements;
  before(form, () => !made.value, async () => {
    const o = JSON.parse(form.dataset.passkeyMake);
    made.value = encode(await navigator.credentials.create({ publicKey: {
      ...o, challenge: bytes(o.challenge), user: { ...o.user, id: bytes(o.user.id) }, excludeCredentials: named(o.excludeCredentials),
    } }));
  });
}

/** Has a form do something before it is sent, if that is needed. */
function before(form, needed, what) {
  let busy = false;
  form.addEventListener('submit', async (event) => {
    if (event.defaultPrevented || !needed()) return;
    event.preventDefault();
    if (busy) return;
    busy = true;
    say(form, '');
    try {
      await what();
      form.requestSubmit(event.submitter);
    } catch (err) {
      say(form, err.name === 'InvalidStateError' ? 'known' : 'declined');
    } finally {
      busy = false;
    }
  });
}

function say(form, what) {
  for (const note of form.querySelectorAll('[data-passkey-said]')) note.hidden = note.dataset.passkeySaid !== what;
}

async function question(address) {
  const response = await fetch(address, { headers: { 'Exeunt-Activity': 'no' }, redirect: 'error' });
  if (!response.ok) throw new Error('refused');
  return response.json();
}

async function answer(o, more) {
  return encode(await navigator.credentials.get({ ...more,
    publicKey: { ...o, challenge: bytes(o.challenge), allowCredentials: named(o.allowCredentials) } }));
}

const named = (list) => (list ?? []).map((one) => ({ ...one, id: bytes(one.id) }));

const bytes = (text) => Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0));

const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)))
  .replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');

/** A credential as JSON (section 5.1): not every browser, and no password manager's extension, has toJSON. */
function encode(credential) {
  const { response } = credential;
  const out = { clientDataJSON: text(response.clientDataJSON) };
  for (const part of ['attestationObject', 'authenticatorData', 'signature', 'userHandle']) {
    if (response[part]) out[part] = text(response[part]);
  }
  if (response.attestationObject) {
    delete out.authenticatorData; // it is in the object
    out.transports = response.getTransports?.() ?? [];
  }
  return JSON.stringify({ id: credential.id, rawId: text(credential.rawId), type: credential.type,
    authenticatorAttachment: credential.authenticatorAttachment ?? undefined, clientExtensionResults: {}, response: out });
}

/** Tells the browser's password manager which passkeys there are (section 5.1.10), where it listens. */
function signals() {
  const calls = { unknown: 'signalUnknownCredential', accepted: 'signalAllAcceptedCredentials', details: 'signalCurrentUserDetails' };
  for (const { dataset } of document.querySelectorAll('[data-passkey-signals]')) {
    for (const [what, o] of Object.entries(JSON.parse(dataset.passkeySignals))) {
      PublicKeyCredential[calls[what]]?.(o).catch(() => {});
    }
  }
}
