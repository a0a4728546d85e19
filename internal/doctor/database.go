package doctor

import (
	"strings"
	"time"

	"github.com/exeunt/exeunt/internal/store"
)

// database looks at how a server keeps what is committed. A file's node sees to that itself, and refuses to start otherwise.
func (e *examination) database() {
	const check = "database"
	url := string(e.Config.Database)
	if !store.Shared(url) {
		return
	}
	ctx, cancel := e.soon()
	defer cancel()
	d, err := store.Examine(ctx, url, e.Log)
	if err != nil {
		e.fault(check, "See that the server runs, and that the URL, the user and the password are right.", "the database does not answer: %v", err)
		return
	}
	sound := true
	bad := func(report func(string, string, string, ...any), remedy, what string, args ...any) {
		sound = false
		report(check, remedy, what, args...)
	}
	if d.Fsync != "on" {
		bad(e.fault, "Set fsync = on in postgresql.conf and reload; nodes refuse to start without.",
			"fsync is %s: a crash of the machine loses sign-outs that were confirmed, and may damage everything", d.Fsync)
	}
	if d.FullPageWrites != "on" {
		bad(e.fault, "Set full_page_writes = on, unless the file system never tears a page.", "full_page_writes is %s: a crash may damage pages", d.FullPageWrites)
	}
	switch d.Commit {
	case "on", "remote_apply":
	default:
		bad(e.warn, "Remove the setting of the server, the database or the role. Nodes set it to on for what they write, other programs do not.",
			"synchronous_commit is %s for new sessions", d.Commit)
	}
	switch {
	case d.Named != "" && d.Confirming == 0:
		bad(e.fault, "Start the standby or see why it does not stream; or, knowing that a failover may then lose sign-outs, take it out of "+
			"synchronous_standby_names.", "commits wait for a standby (%s), and none is connected: nobody can sign in or out", d.Named)
	case d.Standbys > d.Confirming && d.Named == "":
		bad(e.warn, "Name a standby in synchronous_standby_names, or end everything by --end-sessions after a failover.",
			"%d standbys stream, and commits wait for none: a failover may lose sign-outs that were confirmed", d.Standbys)
	}
	if d.Ahead.Abs() > skew {
		bad(e.fault, "Have the clocks of both machines set by the network.", "the server's clock and this machine's differ by %v", d.Ahead.Abs().Round(time.Millisecond))
	}
	if sound {
		e.ok(check, "PostgreSQL %d keeps what is committed%s; it answers within %v", d.Version/10000,
			map[bool]string{true: ", also on " + strings.TrimSpace(d.Named)}[d.Named != ""], d.Took.Round(100*time.Microsecond))
	}
}
