package ui

import (
	"fmt"
	"html"
	"html/template"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/exeunt/exeunt"
)

// ActivityKinds are what the list of what happened can be narrowed to, in the order of its filter.
var ActivityKinds = []string{"sign_ins", "sign_outs", "changes", "notices", "apps"}

// activities says of each action which kind it is and which icon it has. Its text is "activity." and the action.
var activities = map[exeunt.AuditAction]struct{ kind, icon string }{
	exeunt.AuditSignIn:         {"sign_ins", "browser"},
	exeunt.AuditSignInFailed:   {"sign_ins", "odd"},
	exeunt.AuditRenewed:        {"sign_ins", "browser"},
	exeunt.AuditEnd:            {"sign_outs", "out"},
	exeunt.AuditSignUp:         {"changes", "set"},
	exeunt.AuditResetLink:      {"changes", "key"},
	exeunt.AuditResetAsked:     {"changes", "key"},
	exeunt.AuditAddressEntered: {"changes", "set"},
	exeunt.AuditFactorAdded:    {"changes", "key"},
	exeunt.AuditFactorRemoved:  {"changes", "key"},
	exeunt.AuditFactorRenamed:  {"changes", "key"},
	exeunt.AuditRecoveryCodes:  {"changes", "key"},
	exeunt.AuditRecoveryCode:   {"sign_ins", "key"},
	exeunt.AuditProfile:        {"changes", "set"},
	exeunt.AuditGroups:         {"changes", "set"},
	exeunt.AuditStatus:         {"changes", "set"},
	exeunt.AuditAppSignIn:      {"apps", "apps"},
	exeunt.AuditAllowed:        {"apps", "apps"},
	exeunt.AuditWithdrawn:      {"apps", "apps"},
	exeunt.AuditUnfamiliar:     {"notices", "odd"},
	exeunt.AuditRecognised:     {"notices", "check"},
	exeunt.AuditKept:           {"changes", "set"},
	exeunt.AuditExported:       {"changes", "set"},
}

// OfKind returns what wants only entries of a kind of ActivityKinds; nil, for any other kind, wants all.
func OfKind(kind string) func(exeunt.AuditEntry) bool {
	if !slices.Contains(ActivityKinds, kind) {
		return nil
	}
	return func(e exeunt.AuditEntry) bool { return kindOf(e) == kind }
}

// kindOf returns the kind of an entry; "" of an action from a newer program.
func kindOf(e exeunt.AuditEntry) string {
	switch _, reason := ending(e); {
	case reason == exeunt.ReasonPasswordChange, reason == exeunt.ReasonAddressUndone, reason == exeunt.ReasonDisabled,
		reason == exeunt.ReasonDeleted, reason == exeunt.ReasonSecured:
		return "changes"
	case reason == exeunt.ReasonNotMe:
		return "notices"
	case e.Action == exeunt.AuditEnd && e.Client != "":
		return "apps"
	}
	return activities[e.Action].kind
}

// ending returns the scope and the reason of an ending.
func ending(e exeunt.AuditEntry) (exeunt.Scope, exeunt.Reason) {
	if e.Action != exeunt.AuditEnd {
		return "", ""
	}
	scope, reason, _ := strings.Cut(e.Detail, " ")
	return exeunt.Scope(scope), exeunt.Reason(reason)
}

// activityLine is an entry in words.
type activityLine struct {
	At             time.Time
	Icon           string
	What, Why, Who template.HTML
	Where          string // the browser or app
	Address        netip.Addr
}

// activity puts an entry into words. Operators have no names here: whom they are is nobody's business but theirs.
func (w *words) activity(v *ActivityView, e exeunt.AuditEntry) (l activityLine, err error) {
	l = activityLine{At: e.At, Icon: activities[e.Action].icon, Where: e.By.Label}
	if l.Icon == "" {
		l.Icon = "dot"
	}
	if l.What, err = w.activityWhat(v.Clients, e); err != nil {
		return l, err
	}
	if l.Why, err = w.activityWhy(e); err != nil {
		return l, err
	}
	switch e.By.Kind {
	case exeunt.ActorPerson, exeunt.ActorLink:
		l.Address = e.By.Address
	default:
		l.Where = ""
	}
	if e.Label != "" && (l.Where == "" || e.Action == exeunt.AuditEnd) {
		l.Where = e.Label // the session that ended; what ended it is told beside
	}
	l.Who, err = w.activityWho(e)
	return l, err
}

func (w *words) activityWho(e exeunt.AuditEntry) (template.HTML, error) {
	switch {
	case e.Action == exeunt.AuditSignInFailed, e.Action == exeunt.AuditResetAsked:
		return w.t("activity.by.somebody")
	case e.By.Kind == exeunt.ActorPerson, e.By.Kind == exeunt.ActorOperator, e.By.Kind == exeunt.ActorLink:
		return w.t("activity.by." + string(e.By.Kind))
	}
	return w.t("activity.by.system")
}

var moreBefore = regexp.MustCompile(`, and (\d{1,6}) more before$`)

func (w *words) activityWhat(clients Clients, e exeunt.AuditEntry) (template.HTML, error) {
	app, detail, _ := strings.Cut(e.Detail, " ")
	key := "activity." + string(e.Action)
	switch e.Action {
	case exeunt.AuditAppSignIn, exeunt.AuditAllowed, exeunt.AuditWithdrawn:
		return w.t(key, "App", clients.name(exeunt.ClientID(app)))
	case exeunt.AuditSignInFailed:
		if m := moreBefore.FindStringSubmatch(e.Detail); m != nil {
			var n int
			_, _ = fmt.Sscan(m[1], &n)
			return w.tn(key+".more", n)
		}
	case exeunt.AuditProfile, exeunt.AuditGroups:
		if detail == "" && app != "" && w.has(key+"."+app) {
			key += "." + app
		}
	case exeunt.AuditEnd:
		return w.activityEnd(clients, e)
	}
	if activities[e.Action].kind == "" {
		key = "activity.other"
	}
	return w.t(key)
}

func (w *words) activityEnd(clients Clients, e exeunt.AuditEntry) (template.HTML, error) {
	scope, reason := ending(e)
	switch {
	case reason == exeunt.ReasonPasswordChange:
		return w.t("activity.password_change")
	case reason == exeunt.ReasonAddressUndone:
		return w.t("activity.address_undone")
	case reason == exeunt.ReasonDisabled:
		return w.t("activity.disabled")
	case reason == exeunt.ReasonNotMe:
		return w.t("activity.not_me")
	case reason == exeunt.ReasonSecured:
		return w.t("activity.secured")
	case reason == exeunt.ReasonDeleted:
		return w.t("activity.deletion")
	case e.Client != "":
		return w.t("activity.end.app", "App", clients.name(e.Client))
	case scope == exeunt.ScopeSession, scope == exeunt.ScopeOthers, scope == exeunt.ScopeAccount:
		return w.t("activity.end." + string(scope))
	}
	return w.t("activity.end.other")
}

// activityWhy says why sessions ended, unless what happened says it.
func (w *words) activityWhy(e exeunt.AuditEntry) (template.HTML, error) {
	switch _, reason := ending(e); reason {
	case "", exeunt.ReasonPasswordChange, exeunt.ReasonAddressUndone, exeunt.ReasonDisabled, exeunt.ReasonNotMe, exeunt.ReasonDeleted,
		exeunt.ReasonSecured:
		return "", nil
	case exeunt.ReasonIdle, exeunt.ReasonAbsolute:
		return w.t("activity.why." + string(reason))
	case exeunt.ReasonSignedOut:
		if e.By.Kind == exeunt.ActorOperator {
			return w.t("why.administrator")
		}
		if e.By.Label != "" && e.By.Session != e.Session {
			return w.t("why.signed_out_from", "Label", w.label(e.By.Label))
		}
		return w.t("why.signed_out")
	default:
		if key := reasonKey(reason); key != "other" {
			return w.t("why." + key)
		}
		return "", nil
	}
}

// name is the app's name, or its ID when it is not registered any more.
func (c Clients) name(id exeunt.ClientID) template.HTML {
	if known, ok := c[id]; ok {
		return bdi(known.Name)
	}
	return bdi(string(id))
}

// ActivityRecord is an entry of a download. Its texts are plain.
type ActivityRecord struct {
	Time    string `json:"time"` // RFC 3339, UTC
	Kind    string `json:"kind"` // of ActivityKinds; "other" for what this program does not know
	What    string `json:"what"`
	Why     string `json:"why,omitempty"`
	Who     string `json:"who"`
	Where   string `json:"where,omitempty"`
	Address string `json:"address,omitempty"`
}

// ActivityRecords returns the entries of a download, in the language that the view wants.
func (u *UI) ActivityRecords(v *ActivityView) ([]ActivityRecord, error) {
	w := u.language(v.Lang).words
	list := make([]ActivityRecord, 0, len(v.Entries))
	for _, e := range v.Entries {
		l, err := w.activity(v, e)
		if err != nil {
			return nil, err
		}
		r := ActivityRecord{Time: l.At.UTC().Format(time.RFC3339), Kind: kindOf(e), What: plain(l.What),
			Why: plain(l.Why), Who: plain(l.Who), Where: w.called(l.Where)}
		if r.Kind == "" {
			r.Kind = "other"
		}
		if l.Address.IsValid() {
			r.Address = l.Address.String()
		}
		list = append(list, r)
	}
	return list, nil
}

var element = regexp.MustCompile(`</?bdi[^>]*>`)

func plain(text template.HTML) string {
	return html.UnescapeString(element.ReplaceAllString(string(text), ""))
}
