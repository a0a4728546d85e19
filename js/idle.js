// Activity and the idle warning. The server decides when a session is idle;
// this tells it of real input and warns before the time.

const minute = 60000;

/** setTimeout fires at once beyond 2^31 ms (24.8 days); idle times may be longer. */
const longest = 24 * 60 * minute;

/** Real input only. Not "scroll": browsers fire it when they restore a page. */
const inputs = ['pointerdown', 'pointermove', 'keydown', 'touchstart', 'wheel'];

export class Idle {
  /**
   * @param env the browser
   * @param calls {note(), ask(), expire(), show(ms), hide(), may()}: tell the
   *   server of input; ask for the state; the time is up as far as is known
   *   here; show or hide the warning; may input count now
   */
  constructor(env, calls) {
    this.env = env;
    this.calls = calls;
    this.notedAt = -Infinity;
    this.pending = false;
    this.warning = false;
    this.full = 0;
    this.onInput = (event) => { if (event.isTrusted !== false) this.#input(); };
    for (const name of inputs) env.document.addEventListener(name, this.onInput, { passive: true, capture: true });
  }

  /** Takes what the server just said: how long until the warning and the end. */
  arm(warnIn, idleIn) {
    if (!Number.isFinite(warnIn) || !Number.isFinite(idleIn)) return;
    this.full = Math.max(this.full, idleIn);
    this.#disarm();
    if (warnIn > 0) {
      this.#hide();
      this.warnTimer = this.env.setTimeout(() => this.#due(), Math.min(Math.max(warnIn, 250), longest));
    } else {
      this.#show(idleIn);
    }
    this.endTimer = this.env.setTimeout(
      () => (idleIn < longest ? this.calls.expire() : this.calls.ask()),
      Math.min(idleIn + 250, longest),
    );
  }

  /** Input was noted, here or in another tab. */
  noted() {
    this.notedAt = this.env.now();
    this.pending = false;
  }

  stop() {
    this.#disarm();
    this.#hide();
    for (const name of inputs) this.env.document.removeEventListener(name, this.onInput, { capture: true });
  }

  /** At most one a minute; oftener only where a session may idle for less than four. */
  get interval() { return this.full ? Math.min(minute, Math.max(this.full / 4, 1000)) : minute; }

  #input() {
    // While the warning is up only its button counts: it is there to be answered.
    if (this.warning || !this.calls.may()) return;
    if (this.env.now() - this.notedAt < this.interval) {
      this.pending = true;
      return;
    }
    this.noted();
    this.calls.note();
  }

  /** The time to warn: input not told of yet counts first, then the server is asked. */
  async #due() {
    if (this.pending) {
      this.noted();
      await this.calls.note();
    }
    this.calls.ask();
  }

  #show(idleIn) {
    this.warning = true;
    this.calls.show(idleIn);
  }

  #hide() {
    if (!this.warning) return;
    this.warning = false;
    this.calls.hide();
  }

  #disarm() {
    this.env.clearTimeout(this.warnTimer);
    this.env.clearTimeout(this.endTimer);
  }
}
