// A browser for tests: a document, a clock, a server, and channels and locks
// that several pages share.

class Target {
  constructor() { this.listeners = new Map(); }
  addEventListener(name, fn) { this.listeners.set(name, [...(this.listeners.get(name) ?? []), fn]); }
  removeEventListener(name, fn) { this.listeners.set(name, (this.listeners.get(name) ?? []).filter((f) => f !== fn)); }
  emit(name, event = {}) { for (const fn of this.listeners.get(name) ?? []) fn({ type: name, ...event }); }
}

class Element extends Target {
  constructor(name) {
    super();
    this.name = name; this.children = []; this.attributes = new Map(); this.inert = false; this.text = '';
  }
  setAttribute(k, v) { this.attributes.set(k, v); }
  removeAttribute(k) { this.attributes.delete(k); }
  hasAttribute(k) { return this.attributes.has(k); }
  append(...kids) { for (const kid of kids) { kid.parent = this; this.children.push(kid); } }
  replaceChildren(...kids) {
    for (const kid of this.children) kid.parent = null;
    this.children = [];
    this.append(...kids);
  }
  remove() {
    if (this.parent) this.parent.children = this.parent.children.filter((c) => c !== this);
    this.parent = null;
  }
  get isConnected() { return this.parent != null; }
  get textContent() { return this.text + this.children.map((c) => c.textContent).join(''); }
  set textContent(t) { this.text = t; }
  focus() { this.focusedTimes = (this.focusedTimes ?? 0) + 1; }
  close() { this.closed = true; }
}

/** What all tabs of a browser share, and the server behind it. */
export class World {
  constructor() {
    this.time = 0;
    this.timers = new Map();
    this.next = 1;
    this.channels = new Set();
    this.queue = [];
    this.holder = null;
    this.streams = [];
    this.requests = [];
    this.answer = live('ses_a');
    this.hold = null; // a promise that answers wait for
  }

  /** Moves the clock, running timers in order and letting promises settle. */
  async pass(ms) {
    const until = this.time + ms;
    await settle();
    for (;;) {
      const due = [...this.timers.entries()].filter(([, t]) => t.at <= until).sort((a, b) => a[1].at - b[1].at)[0];
      if (!due) break;
      this.timers.delete(due[0]);
      this.time = Math.max(this.time, due[1].at);
      due[1].fn();
      await settle();
    }
    this.time = until;
  }

  count(path) { return this.requests.filter((r) => r.path === path).length; }

  page({ locks = true } = {}) {
    const world = this;
    const document = new Target();
    Object.assign(document, { documentElement: new Element('html'), body: new Element('body'),
      visibilityState: 'visible', title: 'Private', activeElement: null, dialogs: [] });
    document.createElement = (name) => new Element(name);
    document.strips = [];
    document.querySelectorAll = (selector) => (selector === '[data-exeunt-strip]' ? document.strips : document.dialogs);
    const main = new Element('main');
    main.textContent = 'a private message';
    document.body.append(main);
    document.body.parent = document.documentElement;
    const window = new Target();
    const location = { href: 'http://x/sessions', pathname: '/sessions', host: 'x', replaced: [], reloads: 0,
      replace(a) { this.replaced.push(a); }, reload() { this.reloads++; } };
    class Channel extends Target {
      constructor(name) { super(); this.name = name; world.channels.add(this); }
      postMessage(data) {
        for (const c of world.channels) {
          if (c === this || c.name !== this.name) continue;
          queueMicrotask(() => c.emit('message', { data: structuredClone(data) }));
        }
      }
      close() { world.channels.delete(this); }
    }
    class Source extends Target {
      constructor(address) { super(); this.address = address; this.readyState = 0; world.streams.push(this); }
      close() { this.readyState = 2; world.streams = world.streams.filter((s) => s !== this); }
      say(name, data) { this.emit(name, { data: JSON.stringify(data) }); }
      fail() { this.readyState = 2; world.streams = world.streams.filter((s) => s !== this); this.emit('error'); }
    }
    const env = {
      window, document, location,
      EventSource: Source, BroadcastChannel: Channel,
      locks: locks ? { request: (name, options, fn) => world.#lock(options, fn) } : undefined,
      setTimeout: (fn, ms = 0) => {
        const id = world.next++;
        world.timers.set(id, { at: world.time + ms, fn });
        world.lastDelay = ms;
        return id;
      },
      clearTimeout: (id) => world.timers.delete(id),
      now: () => world.time,
      beacon: (path, body) => { world.requests.push({ path, body: String(body) }); return true; },
      fetch: (path, init = {}) => world.#serve(path, init),
    };
    return {
      env, main, location, document, window,
      get veiled() { return document.documentElement.hasAttribute('data-exeunt-veil'); },
      get message() { return document.body.children.find((c) => c.className === 'exeunt-veil')?.textContent ?? ''; },
      /** Gives the page a strip, which begins hidden as in an app that does not render it. */
      strip() {
        const [strip, left] = [new Element('aside'), new Element('span')];
        Object.assign(strip, { hidden: true, querySelectorAll: () => [left] });
        document.strips.push(strip);
        return { get hidden() { return strip.hidden; }, get left() { return left.textContent; } };
      },
      hide() { document.visibilityState = 'hidden'; document.emit('visibilitychange'); },
      show() { document.visibilityState = 'visible'; document.emit('visibilitychange'); },
    };
  }

  async #serve(path, init) {
    this.requests.push({ path, ...init });
    const answer = this.answer; // as the server knows it when the request arrives
    if (this.hold) await this.hold;
    if (answer === 'offline') throw new TypeError('network');
    if (answer === 'mute') {
      return new Promise((_, no) => init.signal.addEventListener('abort', () => no(new Error('aborted'))));
    }
    const status = { live: init.method === 'POST' ? 204 : 200, ended: 401, unknown: 503 }[answer.state];
    return { status, ok: status < 300, json: async () => answer };
  }

  #lock({ signal }, fn) {
    return new Promise((resolve, reject) => {
      const entry = { run: async () => {
        this.holder = entry;
        await fn();
        this.holder = null;
        this.#grant();
        resolve();
      } };
      signal.addEventListener('abort', () => {
        if (!this.queue.includes(entry)) return;
        this.queue = this.queue.filter((e) => e !== entry);
        reject(new Error('aborted'));
      });
      this.queue.push(entry);
      queueMicrotask(() => this.#grant());
    });
  }

  #grant() { if (!this.holder && this.queue.length) this.queue.shift().run(); }
}

export const live = (session, warnIn = 780000, idleIn = 900000) => ({ state: 'live', session, warnIn, idleIn });
export const ended = { state: 'ended', reason: 'signed_out', at: '2026-11-22T14:32:07Z' };
export const unknown = { state: 'unknown' };

/** Lets every promise that can settle do so. */
export async function settle() { for (let i = 0; i < 30; i++) await null; }
