// The authority's cookies, as the tests plant them in browsers and copy them out.
// The two of a sign-in are named after its session; on a shared computer, where names are written to the disk, after nothing.
export const tokenOf = (session) => `__Host-exeunt-${session}`;
export const hereOf = (session) => `${tokenOf(session)}-here`;
export const isToken = (name) => /^__Host-exeunt-(ses_[a-z2-7]{26}|shared)$/.test(name);
export const isHere = (name) => name.endsWith('-here') && isToken(name.slice(0, -5));
// Of a session that nobody has ever heard of.
export const TOKEN = tokenOf(`ses_${'b'.repeat(25)}a`);

// planted is a cookie for context.addCookies. Browsers keep Secure cookies of
// *.localhost apart from the port and the scheme; what is set over https is
// sent over http there.
export const planted = (name, value, host = 'exeunt.localhost') => ({
  name, value, url: `https://${host}/`, httpOnly: !isHere(name), sameSite: 'Lax',
});

// What somebody called the device: kept or shared. It names nobody and stays.
export const DEVICE = '__Host-exeunt-device';

// What the browser's passkeys are asked. It names nobody, and goes when the browser closes.
export const ASKED = '__Host-exeunt-passkey';

// ours are the names of the authority's cookies in a browser that have to do with a sign-in.
export const ours = async (context) => (await context.cookies())
  .filter((c) => c.name.startsWith('__Host-exeunt') && c.name !== DEVICE && c.name !== ASKED).map((c) => c.name);

// copied is everything a thief would take: the cookies as they stand now.
export const copied = async (context) => (await context.cookies())
  .filter((c) => c.name.startsWith('__Host-'))
  .map((c) => planted(c.name, c.value, c.domain));
