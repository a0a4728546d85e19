// Chirp as a person uses it.

// enterChirp signs a browser that is signed in at the authority in to Chirp: by
// a click, which is asked for.
export async function enterChirp(page, node) {
  await page.goto(`${node.chirp}/exeunt/sign-in`);
  await Promise.all([page.waitForURL(`${node.chirp}/`), page.click('form[action="/authorize"] button.primary')]);
}

// What Chirp holds for Ada alone, and for members only.
export const secrets = {
  draft: 'learn the exits first',
  message: 'The stage door code is the year you were born, backwards',
  post: 'The kale will be the better for it',
};
