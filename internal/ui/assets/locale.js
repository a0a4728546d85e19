// How dates are written in the page's language. Pages in English have British dates, as the server writes them.
// Digits are the same in every language: they stand beside codes and addresses.

const { lang } = document.documentElement;

export const locale = lang === 'en' ? 'en-GB' : `${lang || 'en-GB'}-u-nu-latn`;
