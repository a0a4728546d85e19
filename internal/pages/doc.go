// Package pages answers a person's browser: signing in and out, the list of
// sessions, settings, and the small addresses by which an open page learns
// whether its session is still there. A file for each page.
//
// It owns the way between pages: who is sent where, with which status, and
// what happens to the browser's cookies on the way. It does not own how pages
// look (ui), who a visitor is (web), how somebody proves who they are (signin), what
// an account may be like (account), or whether and how a session ends (authority).
// Every page works without script.
package pages
