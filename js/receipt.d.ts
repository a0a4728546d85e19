/** What a receipt says, as known at `iat`. It names no person, device or place. docs/receipts.md has each field. */
export interface Statement {
  v: 1;
  /** The installation's address. */
  iss: string;
  jti: string;
  /** When it was signed: seconds since 1970. */
  iat: number;
  /** Number of the entry in the log of that name. */
  event: number;
  log: string;
  /** When the end was recorded: RFC 3339, UTC. */
  ended_at: string;
  scope: 'session' | 'others' | 'account' | 'app';
  reason: string;
  by: 'here' | 'elsewhere' | 'link' | 'administrator' | 'system';
  sessions: number;
  /** How many sign-ins of apps ended with the sessions; absent when that is not known any more. */
  app_sessions?: number;
  apps: App[];
  /** False: there may be other apps. */
  apps_complete: boolean;
}

export interface App {
  client: string;
  name: string;
  tier: string;
  state: 'closed' | 'told' | 'pending' | 'refused' | 'gave_up' | 'expires' | 'whole' | 'untold' | 'unknown';
  attempts?: number;
  told_at?: string;
  expires_by?: string;
}

/** Why a text is no receipt. */
export class ReceiptError extends Error {
  code: 'malformed' | 'version' | 'unknown_key' | 'signature' | 'issuer';
}

/**
 * Returns what a receipt says, if the holder of one of the keys (the installation's `/oauth/receipt-keys`) has signed
 * exactly that; otherwise it throws a ReceiptError. With an issuer, it must be that installation's.
 */
export function verifyReceipt(text: string, keySet: { keys: object[] }, options?: { issuer?: string }): Promise<Statement>;
