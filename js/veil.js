// The veil: what stands in place of a page whose session is not known to live.

/** The attribute on <html> that exeunt.css answers to. */
const attribute = 'data-exeunt-veil';

/** Before this long nobody needs words: a check takes a few milliseconds. */
const quiet = 600;

export class Veil {
  constructor(env, words, links) {
    this.env = env;
    this.words = words;
    this.links = links;
    this.box = null;
  }

  get down() { return this.box !== null; }

  /** Hides the page at once. Doing it again changes nothing. */
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

  /** Puts a message on the veil; with links once waiting may not help. */
  say(which) {
    if (!this.down || this.said === which) return;
    const { document } = this.env;
    this.env.clearTimeout(this.timer);
    const text = document.createElement('p');
    text.textContent = this.words[which];
    const parts = [text];
    if (which !== 'checking') {
      // An open modal dialog would keep the links out of reach.
      for (const dialog of document.querySelectorAll('dialog[open]')) dialog.close();
      parts.push(this.#links(which));
    }
    this.box.replaceChildren(...parts);
    this.said = which;
  }

  /** Takes the page's content away for good: there is nothing left to restore. */
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
