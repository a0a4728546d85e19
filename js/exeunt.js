// Guards a signed-in page. The page is blanked ("veiled") at once when its session
// ends anywhere, when it is left or hidden, and when the browser restores it. It is
// shown again only after the server has said that the same session is live. While the
// server cannot be asked, a veiled page stays veiled.
//
// Nothing is stored: no cookie, no web storage, no database.

import { Veil } from './veil.js';
import { Line } from './line.js';
import { Idle } from './idle.js';
import { Strip } from './strip.js';

const english = {
  checking: 'Checking that you are still signed in…',
  unknown: 'We cannot reach the server to check that you are still signed in, so this page stays hidden. '
    + 'We keep trying.',
  leaving: 'Signing out…',
  ended: 'You are no longer signed in here.',
  reload: 'Load the page again',
  signOut: 'Sign out',
  left: '%s min left',
  soon: 'Less than 1 min left',
};

/** A server that does not answer in time counts as unreachable. */
const answerTimeout = 4000;
const firstRetry = 1000;
const lastRetry = 15000;
/** How often an open page on a shared computer, visible or not, lets the server know that it is open. */
const openEvery = 30000;
/** How long a sign-out begun in another tab is waited for. */
const leavingFor = 4000;

/** Guards this page. See exeunt.d.ts for the options. */
export function guard(options, env = browser()) {
  const g = new Guard(options, env);
  g.start();
  return { check: () => g.check(), stay: () => g.note(true), stop: () => g.stop() };
}

class Guard {
  constructor(options, env) {
    this.o = { leave: 'form[data-exeunt-leave]', warn: {}, changed() {}, ...options };
    this.env = env;
    this.veil = new Veil(env, { ...english, ...options.words }, { signOut: options.signOut, ended: options.ended });
    this.line = new Line(env, options.stream, options.session, {
      state: (answer) => { this.tell({ kind: 'state', answer }); this.apply(answer); },
      changed: () => { this.tell({ kind: 'changed' }); this.o.changed(); },
      lost: () => this.check(),
    });
    this.idle = new Idle(env, {
      note: () => this.note(false),
      ask: () => this.check(),
      // Nobody has used the page for a while: hide it while the server is asked.
      expire: () => { this.drop(); this.check(); },
      show: (ms) => this.o.warn.show?.(ms),
      hide: () => this.o.warn.hide?.(),
      may: () => !this.over && !this.veil.down && this.visible,
    });
    this.strip = new Strip(env, { ...english, ...options.words });
    this.retry = firstRetry;
    this.leavingUntil = -Infinity;
    this.answerDue = -Infinity;
    this.undo = [];
  }

  get visible() { return this.env.document.visibilityState !== 'hidden'; }

  start() {
    const { window, document, BroadcastChannel } = this.env;
    this.channel = attempt(() => new BroadcastChannel('exeunt'));
    if (this.channel) this.on(this.channel, 'message', (event) => this.hear(event.data));
    this.on(document, 'visibilitychange', () => (this.visible ? this.back() : this.away()));
    this.on(window, 'pagehide', () => { this.closed(); this.away(); });
    this.on(window, 'pageshow', (event) => { if (event.persisted) { this.veil.drop(); this.back(); } });
    this.on(window, 'focus', () => this.check());
    this.on(window, 'online', () => this.check());
    this.on(document, 'submit', (event) => {
      if (event.defaultPrevented || !event.target.matches?.(this.o.leave)) return;
      this.tell({ kind: 'leaving', all: event.target.dataset?.exeuntLeave === 'all' });
      this.answerDue = this.env.now() + leavingFor;
      this.depart();
    });
    // Until the server has answered once, the idle time that the page was rendered with counts: a browser
    // may refuse every request by script.
    this.idle.arm(this.o.idleIn, this.o.idleIn);
    // This request also keeps Chromium from putting the page into its
    // back-forward cache, from which it would come back after a remote end.
    this.check();
    if (this.visible) this.line.open();
  }

  stop() {
    this.over = true;
    this.line.close();
    this.idle.stop();
    this.strip.stop();
    this.env.clearTimeout(this.timer);
    this.env.clearTimeout(this.again);
    this.channel?.close();
    for (const undo of this.undo) undo();
  }

  on(target, name, listener) {
    target.addEventListener(name, listener);
    this.undo.push(() => target.removeEventListener(name, listener));
  }

  /** The page is left or hidden: check before it is shown again. */
  away() {
    if (this.over) return;
    this.drop();
    this.line.close();
  }

  /**
   * On a shared computer the server ends the session a minute after its last page was closed. A page is closed, too, when
   * somebody goes on to another one, which then lifts that.
   */
  closed() {
    if (this.over || !this.shared || !this.o.closing || this.env.now() < this.answerDue) return;
    attempt(() => this.env.beacon(this.o.closing, new URLSearchParams({ session: this.o.session ?? '' })));
  }

  /** The page is signing out: it is blank before the network is tried. If nothing comes of that, a check says what is. */
  depart() {
    this.leavingUntil = this.answerDue;
    this.drop();
    // The form may be on the veil itself, and a form that is taken away is not sent.
    this.env.setTimeout(() => this.veil.say('leaving'), 0);
    this.env.clearTimeout(this.timer);
    this.timer = this.env.setTimeout(() => this.check(), leavingFor);
  }

  back() {
    if (this.over) {
      this.leave();
      return;
    }
    this.check();
    this.line.open();
  }

  drop() {
    this.veil.drop();
    // An answer that was requested before the page was veiled must not lift the veil.
    this.stale = this.asking;
  }

  /** Asks the server; one question at a time. */
  async check() {
    if (this.over || this.asking) return;
    this.env.clearTimeout(this.timer);
    this.asking = true;
    this.stale = false;
    const answer = await this.ask();
    this.asking = false;
    const stale = this.stale;
    this.apply(answer);
    if (stale) this.check();
  }

  async ask() {
    const abort = new AbortController();
    const timer = this.env.setTimeout(() => abort.abort(), answerTimeout);
    try {
      const response = await this.env.fetch(this.o.state, {
        cache: 'no-store', credentials: 'same-origin', redirect: 'error', signal: abort.signal,
        headers: { Accept: 'application/json', 'Exeunt-Activity': 'no' },
      });
      const answer = await response.json();
      if (response.status === 200 && answer.state === 'live') return answer;
      if (response.status === 401 && answer.state === 'ended') return answer;
    } catch {
      // No network, no answer in time, or an answer that is not ours.
    } finally {
      this.env.clearTimeout(timer);
    }
    return { state: 'unknown' };
  }

  /** Acts on an answer. */
  apply(answer) {
    if (this.over) return;
    if (answer.state === 'ended') {
      this.end();
    } else if (answer.state !== 'live') {
      this.wait();
    } else if (this.o.session && answer.session !== this.o.session) {
      this.other();
    } else {
      this.live(answer);
    }
  }

  live(answer) {
    this.retry = firstRetry;
    this.idle.arm(answer.warnIn, answer.idleIn);
    this.strip.show(answer);
    this.shared = Boolean(answer.shared);
    this.env.clearTimeout(this.again);
    if (this.shared) this.again = this.env.setTimeout(() => this.check(), openEvery);
    if (!this.veil.down || !this.visible || this.stale) return;
    if (this.env.now() < this.leavingUntil) {
      // Another tab is signing out, and the server may not have done so yet.
      this.timer = this.env.setTimeout(() => this.check(), 300);
      return;
    }
    this.veil.lift();
  }

  wait() {
    this.veil.say('unknown');
    this.env.clearTimeout(this.timer);
    this.timer = this.env.setTimeout(() => this.check(), this.retry);
    this.retry = Math.min(this.retry * 2, lastRetry);
  }

  end() {
    this.finish('ended', () => this.env.location.replace(this.o.ended));
  }

  /** Another session is signed in here now, which must not see this page. */
  other() {
    this.finish('', () => this.env.location.reload());
  }

  finish(words, leave) {
    // If this page is signing out itself, the answer to its form says what was done.
    // Navigating now would cancel it.
    const due = this.answerDue - this.env.now();
    this.leave = leave;
    this.veil.clear(due > 0 ? '' : words);
    this.over = true;
    this.line.close();
    this.idle.stop();
    this.strip.stop();
    this.env.clearTimeout(this.timer);
    this.env.clearTimeout(this.again);
    if (due > 0) this.timer = this.env.setTimeout(leave, due);
    else leave();
  }

  tell(message) {
    this.channel?.postMessage({ ...message, session: this.o.session });
  }

  hear(message) {
    if (this.over || !message) return;
    const mine = message.session === this.o.session;
    switch (message.kind) {
      case 'state':
        // The state of another session says nothing about this one: check.
        // A relayed "live" may be older than this page's veil and must not lift it.
        if (mine && message.answer.state !== 'live') this.apply(message.answer);
        else if (mine && !this.veil.down) {
          this.idle.arm(message.answer.warnIn, message.answer.idleIn);
          this.strip.show(message.answer);
        } else this.check();
        break;
      case 'changed':
        if (mine) this.o.changed();
        break;
      case 'active':
        if (!mine) break;
        this.idle.noted();
        if (this.idle.warning || this.strip.shown && this.visible) this.check();
        break;
      case 'who': // which pages of a sign-in this browser shows; one of another sign-in than the asker's may have ended
        this.tell({ kind: 'here', path: this.env.location.pathname });
        if (!mine) this.check();
        break;
      case 'leaving':
        if (!mine && !message.all) break; // another account of this browser
        this.drop();
        this.leavingUntil = this.env.now() + leavingFor;
        // Not at once: browsers have six connections for a server, and the sign-out needs one.
        this.env.clearTimeout(this.timer);
        this.timer = this.env.setTimeout(() => this.check(), 300);
        break;
    }
  }

  /** Reports input to the server; with `asked`, a person chose to stay signed in. */
  async note(asked) {
    if (this.over) return;
    this.idle.noted();
    try {
      const response = await this.env.fetch(this.o.activity, {
        method: 'POST', cache: 'no-store', credentials: 'same-origin', redirect: 'error',
        headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams({ session: this.o.session ?? '' }).toString(),
      });
      if (response.ok) this.tell({ kind: 'active' });
      else asked = true;
      if (this.strip.shown) asked = true; // it shows the time that there is now
    } catch {
      // A check will tell what has become of the session.
    }
    if (asked) await this.check();
  }
}

/** The browser's own objects; tests pass others. Privacy extensions make some throw when they are read. */
function browser() {
  return {
    window, document, location,
    fetch: (...args) => fetch(...args), // a failed request, whatever it throws
    beacon: (...args) => navigator.sendBeacon(...args),
    EventSource: attempt(() => EventSource),
    BroadcastChannel: attempt(() => BroadcastChannel),
    locks: attempt(() => navigator.locks),
    setTimeout: (...args) => setTimeout(...args),
    clearTimeout: (id) => clearTimeout(id),
    now: () => performance.now(),
  };
}

/** The value, or undefined if the browser refuses. */
function attempt(value) {
  try {
    return value();
  } catch {
    return undefined;
  }
}
