// Package pages answers a person's browser: signing in and out, the list of
// sessions, settings, and the small addresses by which an open page learns whether its
// session is still live. Each page has its own file.
//
// It owns redirects, statuses, and what happens to the browser's cookies. It does not own how pages
// look (ui), who a visitor is (web), how somebody proves who they are (signin), what
// an account may be like (account), or whether and how a session ends (authority).
// Every page works without script.
package pages
