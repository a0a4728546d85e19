package main

// Names of rows that more than one place speaks of are constants, so that a
// part cannot report under a name that the document does not have.
const (
	rowGate16       = "`/gate`, 16 connections"
	rowGate64       = "`/gate`, 64 connections"
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
	rowOursFile     = "Exeunt, SQLite"
	rowOursPostgres = "Exeunt, PostgreSQL"
	rowScsMemory    = "scs, memory"
	rowScsRedis     = "scs, Redis"
	rowScsPostgres  = "scs, PostgreSQL"
)

const (
	howGate   = "Requests a second answered by `/gate`, for 100,000 sessions whose tokens are drawn at random, ÷ those answered by an empty handler behind the same `http.Server`; the requests are the same bytes, a switch in the server tells which of the two answers. They carry a bearer token and `Sec-Fetch-Mode: cors`, as the calls of a page's script do: these do not count as activity, so writing activity to the store is not in it. Pairs of rounds of 0.4 s, each time the other one first, with at least 20 pairs; every token has been seen before. The load comes from another process on the same machine, one thread around epoll that waits for each answer before it sends the next request; its share of the CPU is told, and the lighter it is, the more of a difference it shows."
	howCheck  = "Time of one `authority.Check` over random tokens ÷ time of the SHA-256 of the same tokens."
	howBytes  = "Heap that the index takes, per session, with three sessions to an account, after growth and deletions; bytes."
	howEnd    = "Sign-outs a second through `authority.End`, each durable before it is answered, ÷ raw fdatasync a second on the same disk: overwrites of 4 KiB in a preallocated file, in turn with the measured rounds. Each session signs itself out as its page does; of the idempotency key that comes with it nothing need be kept (decision 21). Every row that the design writes is in the measured transaction."
	howSpread = "Time from the answer to a sign-out on one node until another refuses the token, at 100 sign-outs a second on PostgreSQL."
	howBeside = "10,000 sessions and 16 connections. Exeunt's `/gate` checks each request against memory and counts it as activity, which is written in batches; scs runs as its documentation shows it, `LoadAndSave` around a handler that reads a name and an account from the session, with an idle timeout of 30 minutes, so that it writes each request to its store. Sign-outs: 256 callers in process, `authority.End`, or `Load` and `Destroy`. They do not promise the same: Exeunt and scs on PostgreSQL have committed durably, Redis (as it comes, nothing saved) and memory have not; Exeunt also records event, audit and outcome. Undone by traffic: 200 sessions are signed out, one after the other, while 8 requests of the session at a time go through the handler, which takes 1 ms; counted is whether a request that begins after all of them have ended is still signed in. With scs, a request that has loaded the session before it is destroyed saves it again afterwards."
	howStart  = "Time from opening the data folder until 10,000 random tokens have been answered from memory ÷ time to read the snapshot file; after kill -9 there are 100,000 events to replay."
)

// rows are the lines of the document, in its order.
var rows = []row{
	{rowGate16, howGate, "", 0.90, 0.95, false},
	{rowGate64, howGate, "", 0.90, 0.95, false},
	{rowCheck1M, howCheck, "", 5, 3.5, true},
	{rowCheck10M, howCheck, "", 7, 5, true},
	{rowVerifier, "Time of one check by `verify.Verifier`, answered from its memory, over 100,000 random app sessions ÷ time of the SHA-256 of the same tokens. It follows a node over loopback; that no check of a round asked the node is made sure of.", "", 6, 4, true},
	{rowBytes1M, howBytes, "bytes", 96, 65, true},
	{rowBytes10M, howBytes, "bytes", 96, 65, true},
	{rowEnd1, howEnd, "", 0.4, 0.7, false},
	{rowEnd256, howEnd, "", 5, 8, false},
	{rowEndPostgres, howEnd, "", 5, 8, false},
	{rowSpread50, howSpread, "ms", 1, 0.5, true},
	{rowSpread99, howSpread, "ms", 5, 3, true},
	{rowAccount, "Time of one durable sign-out of scope account through `authority.End`, on SQLite, with 1 million sessions, all of them in the store and in memory ÷ the median of 15 accounts with 1 session in the same round; the big one comes after seven of them. From then on every session is refused; that the end is also written into each session's own row afterwards, 256 at a time in the background, is not in the time.", "", 2, 1.2, true},
	{rowStartClean, howStart, "", 10, 3, true},
	{rowStartCrash, howStart, "", 10, 3, true},
	{rowCheckUnder, "99th percentile of a check's time in process, over random ones of 1 million sessions, while 256 callers sign out through `authority.End`, paced at 10,000 a second, the rate reached being told ÷ without them; rounds of a second in turn. A check lasts from one reading of the clock to the next, so the clock is in it on both sides.", "", 3, 1.5, true},
	{rowOursFile, howBeside, "", 0, 0, false},
	{rowOursPostgres, howBeside, "", 0, 0, false},
	{rowScsMemory, howBeside, "", 0, 0, false},
	{rowScsRedis, howBeside, "", 0, 0, false},
	{rowScsPostgres, howBeside, "", 0, 0, false},
}

// documentBeside introduces the rows that are there to compare.
const documentBeside = `
## Beside a session library

[scs](https://github.com/alexedwards/scs) is a good library for sessions within one Go program. It gets the same load from the
same generator, behind the same server. What the two do for a request and promise of a sign-out is not the same; see below.

| | requests a second | sign-outs a second | still usable after sign-out under traffic |
|---|---|---|---|
`
