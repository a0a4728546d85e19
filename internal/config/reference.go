package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// meanings are what the settings mean, in one line each, in the order of the reference.
var meanings = []struct{ setting, meaning string }{
	{"url", "The address that browsers use: scheme and host. Passkeys belong to its host, so choose it once."},
	{"addr", "Where to listen, host:port."},
	{"data", "The folder of the database file, the master key and the operators' socket. Its owner's alone, mode 0700."},
	{"trusted_proxies", "Addresses or prefixes of the proxy that terminates TLS, if one does."},
	{"sign_up", "open lets strangers create accounts."},
	{"reserved_handles", "Handles that strangers cannot take, besides the names in the host's."},
	{"database", "URL of a PostgreSQL server for several nodes, postgres://USER:PASSWORD@HOST/NAME?sslmode=verify-full."},
	{"master_key", "32 bytes in base64 that seal the other keys; without it they are in a file of the data folder."},
	{"max_staleness", "With PostgreSQL: how long a node answers from memory without a confirmed heartbeat, 200ms to 1m."},
	{"max_tokens", "How many tokens a node keeps in memory; 0 is no limit."},
	{"max_sessions", "How many live sessions an account may have; the oldest ends. 0 is no limit."},
	{"max_connections", "How many connections there may be at the same time."},
	{"offline_sign_out", "Whether browsers can be signed out while the server cannot be reached, and deliver it later."},
	{"gate_any_client", "Whether the gate takes any app's token where no client is named. Better not."},
	{"tls.cert", "File of the certificate chain, in PEM, if this node terminates TLS."},
	{"tls.key", "File of its key."},
	{"tls.acme", "true gets certificates from Let's Encrypt; or the https address of another CA's directory."},
	{"tls.acme_email", "Whom the CA may tell of problems."},
	{"tls.acme_ca", "File of the certificates by which a directory of your own proves who it is."},
	{"tls.http_listen", "Where to listen without TLS as well, like :80: sends browsers to https."},
	{"policy.preset", "aal1, aal2 or aal3: as strict as that level of NIST SP 800-63B-4."},
	{"policy.factor", "What a sign-in needs: optional, required (a second step or a passkey) or passkey."},
	{"policy.fresh", "How long a proof of who somebody is counts before sensitive changes."},
	{"policy.confirm_endings", "Whether ending other sessions, too, needs such a proof."},
	{"policy.accounts_per_browser", "How many accounts can be signed in in one browser, 1 to 5."},
	{"policy.confirm_switch", "Whether switching between them needs a fresh proof."},
	{"policy.review", "After how long people are reminded to look through their sessions; 0 is never."},
	{"policy.kept.idle", "Timeout of \"keep me signed in\" without use."},
	{"policy.kept.absolute", "The same at the latest."},
	{"policy.kept.warning", "How long before the idle timeout pages warn; 0 is 2 minutes, at most a fifth of idle."},
	{"policy.shared.idle", "Timeout on a shared computer without use."},
	{"policy.shared.absolute", "The same at the latest."},
	{"policy.shared.warning", "How long before the idle timeout pages warn; 0 as above."},
	{"policy.app.idle", "Timeout of apps with a bearer token without use."},
	{"policy.app.absolute", "The same at the latest."},
	{"policy.app.warning", "How long before the idle timeout apps are warned; 0 as above."},
	{"kiosk.addresses", "Computers that are always shared, such as those of a library: addresses or prefixes."},
	{"kiosk.idle", "Timeout there without use."},
	{"kiosk.absolute", "The same at the latest."},
	{"retention.ended", "How long ended sessions are kept."},
	{"retention.audit", "How long audit entries are kept, no shorter than that."},
	{"smtp.host", "The server that takes mails; without it nothing that needs mail is offered."},
	{"smtp.port", "Its port; 0 is 587, or 465 with tls."},
	{"smtp.tls", "starttls, tls (from the first byte), or none for a server on this machine."},
	{"smtp.user", "With which to sign in there."},
	{"smtp.password", "The password for it."},
	{"smtp.from", "Whom mails come from, a plain address."},
	{"smtp.from_name", "The name beside it; without it the host of url."},
	{"places.file", "A file of MaxMind's format (.mmdb) that says about where network addresses are."},
	{"log.level", "debug, info, warn or error."},
	{"log.format", "text or json."},
}

// Secrets lists the settings that are secret: no flag takes them.
func Secrets() []string { return []string{"database", "master_key", "smtp.password"} }

// Meaning returns what a setting means, in one line; "" if there is no such setting.
func Meaning(setting string) string {
	for _, m := range meanings {
		if m.setting == setting {
			return m.meaning
		}
	}
	return ""
}

// Reference returns a configuration file in which every setting stands with its default, in a comment.
func Reference() string {
	var out strings.Builder
	out.WriteString("# Every setting of Exeunt that is not a table of its own, with its default. `exeunt init` writes a file to begin with.\n" +
		"# Each can be a variable as well: that of policy.shared.idle is EXEUNT_POLICY_SHARED_IDLE, and\n" +
		"# EXEUNT_MASTER_KEY_FILE names a file with master_key.\n" +
		"# [[clients]], [[sites]], [[connectors]], [[webhooks]] and [[policy.groups]] are described in the documentation.\n")
	c := Default()
	table := ""
	for _, m := range meanings {
		in, name := "", m.setting
		if i := strings.LastIndex(name, "."); i >= 0 {
			in, name = name[:i], name[i+1:]
		}
		if in != table {
			fmt.Fprintf(&out, "\n[%s]\n", in)
			table = in
		} else {
			out.WriteByte('\n')
		}
		meaning := m.meaning
		if slices.Contains(Secrets(), m.setting) {
			meaning += " Best in the file that " + EnvName(m.setting) + "_FILE names."
		}
		fmt.Fprintf(&out, "# %s\n# %s = %s\n", meaning, name, asTOML(fieldOf(reflect.ValueOf(c), m.setting)))
	}
	return out.String()
}

// fieldOf returns a setting's value.
func fieldOf(v reflect.Value, setting string) reflect.Value {
	first, rest, deeper := strings.Cut(setting, ".")
	for f, field := range v.Fields() {
		if f.Tag.Get("koanf") != first {
			continue
		}
		if deeper {
			return fieldOf(field, rest)
		}
		return field
	}
	return reflect.Value{}
}

func asTOML(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case time.Duration:
		return strconv.Quote(shortDuration(x))
	case []string:
		quoted := make([]string, len(x))
		for i, text := range x {
			quoted[i] = strconv.Quote(text)
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	}
	switch v.Kind() {
	case reflect.String:
		return strconv.Quote(v.String())
	case reflect.Bool:
		return strconv.FormatBool(v.Bool())
	}
	return strconv.FormatInt(v.Int(), 10)
}

// shortDuration is a time as people write it: 30d, 4h, 15m, 2s.
func shortDuration(d time.Duration) string {
	for _, u := range []struct {
		of     time.Duration
		letter string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}} {
		if d != 0 && d%u.of == 0 {
			return strconv.FormatInt(int64(d/u.of), 10) + u.letter
		}
	}
	return d.String()
}
