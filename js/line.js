// The line to the server: one event stream for all tabs of a session in a browser.
// Over HTTP/1.1 a browser opens at most six connections to a host; a stream per tab
// would soon block all other requests, including the sign-out.

const firstRetry = 1000;
const lastRetry = 30000;

export class Line {
  /**
   * @param env the browser
   * @param address of the event stream
   * @param session whose stream it is: tabs of the same one share it
   * @param heard {state(answer), changed(), lost()}
   */
  constructor(env, address, session, heard) {
    this.env = env;
    this.address = address;
    this.name = session ? `exeunt-stream ${session}` : 'exeunt-stream';
    this.heard = heard;
    this.wanted = false;
  }

  /** Requests the line: the tab that holds the lock has the stream for all. */
  open() {
    if (this.wanted || !this.address || !this.env.EventSource) return;
    this.wanted = true;
    this.retry = firstRetry;
    const { locks } = this.env;
    if (!locks) {
      // Without locks each visible tab has its own stream; there are few of those.
      this.#connect();
      return;
    }
    const abort = new AbortController();
    this.abort = abort;
    locks.request(this.name, { signal: abort.signal }, () => {
      if (abort.signal.aborted) return undefined;
      return new Promise((release) => {
        this.release = release;
        this.#connect();
      });
    }).catch(() => {}); // aborted while waiting for another tab
  }

  /** Releases the line, so that a visible tab can have it. */
  close() {
    this.wanted = false;
    this.env.clearTimeout(this.timer);
    this.abort?.abort();
    this.source?.close();
    this.source = null;
    this.release?.();
    this.abort = this.release = null;
  }

  #connect() {
    if (!this.wanted) return;
    let source;
    try {
      this.source = source = new this.env.EventSource(this.address);
    } catch {
      return; // the browser refuses; checks still tell
    }
    source.addEventListener('state', (event) => {
      this.retry = firstRetry;
      const answer = parse(event.data);
      if (answer && source === this.source) this.heard.state(answer);
    });
    source.addEventListener('changed', () => {
      if (source === this.source) this.heard.changed();
    });
    source.addEventListener('error', () => {
      if (source !== this.source) return;
      this.heard.lost();
      // The browser does not open a refused stream (401, 503) again; a dropped one
      // it does.
      if (source.readyState !== 2 || !this.wanted) return;
      this.source = null;
      this.timer = this.env.setTimeout(() => this.#connect(), this.retry);
      this.retry = Math.min(this.retry * 2, lastRetry);
    });
  }
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
