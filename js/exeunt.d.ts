/** What the state address answers, and the stream's `state` events carry. */
export type State =
  | { state: 'live'; session: string; warnIn: number; idleIn: number; shared?: true } // milliseconds; shared: on a shared computer
  | { state: 'ended'; reason?: string; at?: string } // at: RFC 3339
  | { state: 'unknown' };

export interface Options {
  /** GET, no-store: 200 live, 401 ended, anything else means "cannot tell". */
  state: string;
  /** Event stream (text/event-stream) with `state` and `changed` events. Optional. */
  stream?: string;
  /** POST `session`: a person used this page. */
  activity: string;
  /**
   * POST `session`, as a beacon: this page on a shared computer was closed. A minute after the last one was, the session
   * ends. Optional; without it, and where an app has pages without a guard, it ends by its idle timeout.
   */
  closing?: string;
  /** The session this page was rendered for. */
  session: string;
  /**
   * Milliseconds from the rendering of this page to the idle timeout. The page is hidden then, if no answer has said
   * otherwise; without it a page whose requests are all refused stays shown until it is left. Optional.
   */
  idleIn?: number;
  /** Where to go when it has ended. */
  ended: string;
  /** Where to sign out by an ordinary page, offered while the server cannot be asked. */
  signOut?: string;
  /** Forms that sign this browser out; this page and other tabs blank as one is submitted. Default `form[data-exeunt-leave]`. */
  leave?: string;
  /** The idle warning: show says how many milliseconds are left. */
  warn?: { show?(idleIn: number): void; hide?(): void };
  /** The account's list of sessions changed. */
  changed?(): void;
  /** What the veil and the strip say, in the page's language; `%s` in `left` is a number of minutes. Default English. */
  words?: Partial<Record<'checking' | 'leaving' | 'unknown' | 'ended' | 'reload' | 'signOut' | 'left' | 'soon', string>>;
}

export interface Handle {
  /** Asks the server now. */
  check(): Promise<void>;
  /** "Stay signed in". */
  stay(): Promise<void>;
  /** Stops guarding the page. */
  stop(): void;
}

/**
 * Guards this page. Load exeunt.css with it, send the page and the state
 * address with `Cache-Control: no-store`, and call it as early as possible.
 * Send the page itself with status 203 instead of 200: Chromium then does not keep it
 * for the Back button, also where no script runs. (Go: webapp and client.PrivatePage do.)
 *
 * On a shared computer elements with `data-exeunt-strip`, which may begin hidden, are shown, and their elements with
 * `data-exeunt-left` say how long is left until the session ends if it stays unused, as the server last said. It is asked
 * every 30 s, by hidden pages, too: so it knows that they are open. Put a link to sign out beside it.
 *
 * A page that has just loaded is shown even if the server cannot be asked (an
 * extension may block requests by scripts), because the server has rendered it for a
 * live session. It is hidden whenever it is left, and shown again only after a check.
 * So also where fetch, EventSource or BroadcastChannel are missing or throw.
 * guard throws nothing and stores nothing. On the BroadcastChannel `exeunt` it answers {kind: 'who', session} with
 * {kind: 'here', session, path}, so that a page can find out which pages of a sign-in are open in this browser.
 */
export function guard(options: Options): Handle;
