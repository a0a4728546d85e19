// Chirp as a person uses it.

// enterChirp signs a browser that is signed in at the authority in to Chirp, which is
// first-party: it takes a click only after somebody signed out of Chirp alone.
export async function enterChirp(page, node) {
  await page.goto(`${node.chirp}/exeunt/sign-in`);
  if (new URL(page.url()).pathname !== '/authorize') return page.waitForURL(`${node.chirp}/`);
  return Promise.all([page.waitForURL(`${node.chirp}/`), page.click('form[action="/authorize/decide"] button.primary')]);
}

// What Chirp holds for Ada alone, and for members only.
export const secrets = {
  draft: 'learn the exits first',
  message: 'The stage door code is the year you were born, backwards',
  post: 'The kale will be the better for it',
};
