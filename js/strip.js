// The strip of a page on a shared computer: how long until the session ends by itself. The server says it with each
// answer; between two answers it is counted down by a clock that nobody can set.

const minute = 60000;

export class Strip {
  /**
   * @param env the browser
   * @param words {left, soon}
   */
  constructor(env, words) {
    this.env = env;
    this.words = words;
    this.shown = false;
  }

  /** Shows the time of an answer that says "live". */
  show({ shared, idleIn }) {
    if (!shared || !Number.isFinite(idleIn)) return;
    this.until = this.env.now() + idleIn;
    this.#write();
  }

  stop() {
    this.env.clearTimeout(this.timer);
    this.shown = false;
  }

  #write() {
    this.env.clearTimeout(this.timer);
    const strips = [...this.env.document.querySelectorAll('[data-exeunt-strip]')];
    this.shown = strips.length > 0;
    const left = Math.max(this.until - this.env.now(), 0);
    const minutes = Math.floor(left / minute);
    const text = minutes ? this.words.left.replace('%s', minutes) : this.words.soon;
    for (const strip of strips) {
      strip.hidden = false;
      for (const place of strip.querySelectorAll('[data-exeunt-left]')) {
        if (place.textContent !== text) place.textContent = text;
      }
    }
    if (this.shown && left) this.timer = this.env.setTimeout(() => this.#write(), left % minute + 50);
  }
}
