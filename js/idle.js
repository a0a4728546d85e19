// Activity and the idle warning. The server decides when a session is idle; this
// reports input to it and shows the warning.

const minute = 60000;

/** setTimeout fires at once beyond 2^31 ms (24.8 days); idle times may be longer. */
const longest = 24 * 60 * minute;

/** Input of a person. Not "scroll", which browsers fire when they restore a page. */
const inputs = ['pointerdown', 'pointermove', 'keydown', 'touchstart', 'wheel'];

export class Idle {
  /**
   * @param env the browser
   * @param calls {note(), ask(), expire(), show(ms), hide(), may()}: report input to
   *   the server; ask for the state; the idle time has passed by this page's clock;
   *   show or hide the warning; whether input counts now
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

  /** Sets the timers: how long until the warning and the end, as the server says. */
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

  /** Time between two reports: a minute, or a quarter of an idle timeout below four minutes. */
  get interval() { return this.full ? Math.min(minute, Math.max(this.full / 4, 1000)) : minute; }

  #input() {
    // While the warning is shown only its button counts.
    if (this.warning || !this.calls.may()) return;
    if (this.env.now() - this.notedAt < this.interval) {
      this.pending = true;
      return;
    }
    this.noted();
    this.calls.note();
  }

  /** The time to warn: report unreported input first, then ask the server. */
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
