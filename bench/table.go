package main

// Names of rows are constants, so that a part cannot report under a name that the
// document does not have.
const (
	rowGate16       = "`/gate`, 16 connections"
	rowGate64       = "`/gate`, 64 connections"
	rowRelay16      = "our proxy of sites, 16 connections"
	rowRelay64      = "our proxy of sites, 64 connections"
	rowRelayOther16 = "our proxy beside oauth2-proxy, 16 connections"
	rowRelayOther64 = "our proxy beside oauth2-proxy, 64 connections"
	rowClosed99     = "closing 1,000 open connections, p99"
	rowCheck1M      = "check in process, 1 million sessions"
	rowCheck10M     = "check in process, 10 million sessions"
	rowVerifier     = "check by the Verifier in an app"
	rowBytes1M      = "heap per session, 1 million"
	rowBytes10M     = "heap per session, 10 million"
	rowEnd1         = "SQLite sign-outs, 1 caller"
	rowEnd256       = "SQLite sign-outs, 256 callers"
	rowEndPostgres  = "PostgreSQL sign-outs, 3 nodes × 512 callers"
	rowSpread50     = "commit to applied elsewhere, p50"
	rowSpread99     = "commit to applied elsewhere, p99"
	rowAccount      = "signing out an account with 1 million sessions"
	rowStartClean   = "start with 10 million sessions, after a stop in order"
	rowStartCrash   = "start with 10 million sessions, after kill -9"
	rowCheckUnder   = "check p99 during 10,000 sign-outs/s"
	rowGateSignIns  = "`/gate` p50 while 14 sign in at once"
	rowHostileIn    = "sign-in p50 beside a hostile account"
	rowHostileOut   = "sign-out p50 beside a hostile account"
	rowCodeRS256    = "token endpoint, codes, RS256"
	rowRefreshRS256 = "token endpoint, refresh tokens, RS256"
	rowCodeES256    = "token endpoint, codes, ES256"
	rowRefreshES256 = "token endpoint, refresh tokens, ES256"
	rowIntrospect   = "introspection"
	rowUserInfo     = "userinfo"
	rowDeliverRS256 = "deliveries to apps, RS256"
	rowDeliverES256 = "deliveries to apps, ES256"
	rowOursFile     = "Exeunt, SQLite"
	rowOursPostgres = "Exeunt, PostgreSQL"
	rowScsMemory    = "scs, memory"
	rowScsRedis     = "scs, Redis"
	rowScsPostgres  = "scs, PostgreSQL"
)

const (
	howGate = "Requests a second that `/gate` answers for random ones of 100,000 sessions, ÷ those of an empty handler behind the same " +
		"`http.Server`. Bearer tokens, calls that do not count as activity. The load comes from another process."
	howRelay = "Requests a second for a page of 1 kB that our proxy of sites passes on, in random ones of 1,000 sessions, ÷ those of " +
		"`httputil.ReverseProxy` alone with the same transport behind the same `http.Server`, which makes a new buffer for each answer " +
		"where ours uses one again. The app and the load are other processes."
	howRelayOther = "The same, ÷ those of oauth2-proxy, which signs in here as its preset says. Its log of requests is off. No request is " +
		"one for which it asks for a new token."
	howClosed = "Five people have 200 connections each to a site behind our proxy, half of them sockets and half event streams, and sign " +
		"out at once. Time from the call of a sign-out until its connections are closed at the other end, which is the same process."
	howCheck   = "Time of one `authority.Check` over random tokens ÷ time of the SHA-256 of the same tokens."
	howBytes   = "Heap that the table takes for a session, with three sessions to an account, after growth and deletions."
	howEnd     = "Sign-outs a second through `authority.End`, each durable before it is answered. In a file: ÷ raw fdatasync a second."
	howSpread  = "Time from the answer to a sign-out on one node until another refuses the token, at 100 sign-outs a second."
	howHostile = "Time of a sign-in and a sign-out of ten people, with five seconds between, beside an account that signs in, signs in to apps, ends " +
		"sessions, changes its settings and opens streams as often as it may, ÷ without that account."
	howTokens = "Requests a second to the token endpoint over 16 connections, each with another code or refresh token, " +
		"on SQLite: each is durable before it is answered, with an ID token. The load comes from another process. ÷ the " +
		"signatures alone of such ID tokens that all processors make in a second with go-jose."
	howIntrospection = "Requests a second about 10,000 access tokens in turn over 16 connections, ÷ those of an empty " +
		"handler behind the same `http.Server`. The load comes from another process."
	howDeliveries = "Back-channel notices a second when 64 sessions sign out at once, each of which has been used in 8 " +
		"apps that answer 204 at once, from the first sign-out until the last notice is recorded as confirmed. ÷ " +
		"signatures of such logout tokens, each with an empty POST to an app, 32 at once."
	howBeside = "10,000 sessions, 16 connections; sign-outs by 256 callers in process. Exeunt's `/gate` counts each request as activity; " +
		"scs runs as its documentation shows it, with an idle timeout of 30 minutes. They do not promise the same: Exeunt and scs on " +
		"PostgreSQL commit durably, memory and Redis as it comes do not. Last column: 200 sessions are signed out while 8 requests " +
		"of each are under way; counted is whether a request that begins afterwards is still signed in."
	howStart = "Time from opening the data folder until 10,000 random tokens have been answered from memory; after kill -9 there are " +
		"100,000 events to replay. Beside it, the time to read the snapshot file."
)

// rows are the rows of the document, in order.
var rows = []row{
	{name: rowGate16, how: howGate, floor: 0.70},
	{name: rowGate64, how: howGate, floor: 0.70},
	{name: rowRelay16, how: howRelay, floor: 0.70},
	{name: rowRelay64, how: howRelay, floor: 0.70},
	{name: rowRelayOther16, how: howRelayOther, floor: 2},
	{name: rowRelayOther64, how: howRelayOther, floor: 2},
	{name: rowClosed99, how: howClosed, unit: "ms", floor: 100, fewer: true},
	{name: rowCheck1M, how: howCheck, floor: 5, fewer: true},
	{name: rowCheck10M, how: howCheck, floor: 5, fewer: true},
	{name: rowVerifier, how: "Time of one check by `verify.Verifier`, answered from its memory, ÷ time of the SHA-256 of the same tokens."},
	{name: rowBytes1M, how: howBytes, unit: "bytes"},
	{name: rowBytes10M, how: howBytes, unit: "bytes"},
	{name: rowEnd1, how: howEnd, floor: 0.20},
	{name: rowEnd256, how: howEnd, floor: 2.5},
	{name: rowEndPostgres, how: howEnd, unit: "/s", floor: 10_000},
	{name: rowSpread50, how: howSpread, unit: "ms"},
	{name: rowSpread99, how: howSpread, unit: "ms"},
	{name: rowAccount, how: "Time of one durable sign-out of scope account with 1 million sessions in store and memory, on SQLite, ÷ the same with 1 session."},
	{name: rowStartClean, how: howStart, unit: "s", floor: 1.5, fewer: true},
	{name: rowStartCrash, how: howStart, unit: "s", floor: 1.5, fewer: true},
	{name: rowCheckUnder, how: "99th percentile of a check's time among 1 million sessions while 10,000 sign out each second, ÷ without them."},
	{name: rowGateSignIns, how: "Time of one request to `/gate` while 14 people sign in again and again, ÷ without them. Hashes cost what they cost in use; " +
		"client and node are one process."},
	{name: rowHostileIn, how: howHostile, floor: 2, fewer: true},
	{name: rowHostileOut, how: howHostile, floor: 2, fewer: true},
	{name: rowCodeRS256, how: howTokens},
	{name: rowRefreshRS256, how: howTokens},
	{name: rowCodeES256, how: howTokens},
	{name: rowRefreshES256, how: howTokens},
	{name: rowIntrospect, how: howIntrospection},
	{name: rowUserInfo, how: howIntrospection},
	{name: rowDeliverRS256, how: howDeliveries},
	{name: rowDeliverES256, how: howDeliveries},
	{name: rowOursFile, how: howBeside, beside: true},
	{name: rowOursPostgres, how: howBeside, beside: true},
	{name: rowScsMemory, how: howBeside, beside: true},
	{name: rowScsRedis, how: howBeside, beside: true},
	{name: rowScsPostgres, how: howBeside, beside: true},
}

// documentBeside introduces the rows that are there to compare.
const documentBeside = `
## Beside a session library

[scs](https://github.com/alexedwards/scs) is a good library for sessions within one Go program. It gets the same load
from the same generator, behind the same server. The gate must answer 1.5 times as many requests as the best of its rows.

| | requests a second | sign-outs a second | still usable after sign-out under traffic |
|---|---|---|---|
`
