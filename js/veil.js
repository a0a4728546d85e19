// The veil covers a page until its session is known to be live.

/** The attribute on <html> by which exeunt.css hides the page. */
const attribute = 'data-exeunt-veil';

/** The veil is empty for this long, because a check usually takes a few milliseconds. */
const quiet = 600;

export class Veil {
  constructor(env, words, links) {
    this.env = env;
    this.words = words;
    this.links = links;
    this.box = null;
  }

  get down() { return this.box !== null; }

  /** Hides the page at once. */
  drop() {
    if (this.down) return;
    const { document } = this.env;
    this.said = '';
    this.focused = document.activeElement;
    this.box = document.createElement('div');
    this.box.className = 'exeunt-veil';
    this.box.setAttribute('role', 'status');
    document.documentElement.setAttribute(attribute, '');
    this.inert = [...document.body.children].filter((child) => !child.inert);
    for (const child of this.inert) child.inert = true;
    document.body.append(this.box);
    this.timer = this.env.setTimeout(() => this.say('checking'), quiet);
  }

  /** Shows the page again, with the focus where it was. */
  lift() {
    if (!this.down) return;
    const { document } = this.env;
    this.env.clearTimeout(this.timer);
    document.documentElement.removeAttribute(attribute);
    for (const child of this.inert) child.inert = false;
    this.box.remove();
    this.box = null;
    if (this.focused && this.focused !== document.body && this.focused.isConnected) {
      this.focused.focus({ preventScroll: true });
    }
    this.focused = null;
  }

  /** Shows a message on the veil, with links unless an answer is on its way. */
  say(which) {
    if (!this.down || this.said === which) return;
    const { document } = this.env;
    this.env.clearTimeout(this.timer);
    const text = document.createElement('p');
    text.textContent = this.words[which];
    const parts = [text];
    if (which !== 'checking' && which !== 'leaving') {
      // Nobody could reach the links behind an open modal dialog.
      for (const dialog of document.querySelectorAll('dialog[open]')) dialog.close();
      parts.push(this.#links(which));
    }
    this.box.replaceChildren(...parts);
    this.said = which;
  }

  /** Removes the page's content for good. */
  clear(which) {
    this.drop();
    const { document } = this.env;
    document.title = this.env.location.host;
    this.inert = [];
    this.focused = null;
    document.body.replaceChildren(this.box);
    if (which) this.say(which);
  }

  #links(which) {
    const { document, location } = this.env;
    const targets = which === 'ended'
      ? [[this.links.ended, 'reload']]
      : [[location.href, 'reload'], [this.links.signOut, 'signOut']];
    const line = document.createElement('p');
    for (const [address, word] of targets) {
      if (!address) continue;
      const a = document.createElement('a');
      a.href = address;
      a.textContent = this.words[word];
      line.append(a);
    }
    return line;
  }
}
