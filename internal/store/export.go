package store

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/exeunt/exeunt"
)

// Record is a row of what is stored about a person, by names of columns. Values are texts, numbers, booleans, times and
// IDs; what is empty, or has not happened, is left out.
type Record = map[string]any

// field is a column as people get it, called as the column unless it has another name.
type field struct {
	column string
	as     func(raw) any // nil for what is left out
	name   string
}

// raw is a value as either engine gives it.
type raw struct{ v any }

func asText(r raw) any {
	switch v := r.v.(type) {
	case string:
		if v != "" {
			return v
		}
	case []byte:
		if len(v) > 0 {
			return plainText(string(v))
		}
	}
	return nil
}

func asNumber(r raw) any {
	if n, ok := r.v.(int64); ok {
		return n
	}
	return nil
}

func asBool(r raw) any { return r.v == int64(1) }

func asTime(r raw) any {
	if n, ok := r.v.(int64); ok && n > 0 {
		return at(n).UTC()
	}
	return nil
}

func asID[I interface {
	IsZero() bool
	String() string
}, P interface {
	*I
	Scan(any) error
}](r raw) any {
	var id I
	if err := P(&id).Scan(r.v); err != nil || id.IsZero() {
		return nil
	}
	return id.String()
}

var (
	asAccount    = asID[exeunt.AccountID]
	asSession    = asID[exeunt.SessionID]
	asAppSession = asID[exeunt.AppSessionID]
	asFactor     = asID[exeunt.FactorID]
	asMail       = asID[exeunt.MailID]
	asNotice     = asID[exeunt.NoticeID]
)

func asList(r raw) any {
	if s, ok := r.v.(string); ok && s != "" {
		return strings.Fields(s)
	}
	return nil
}

// key is a column by which the rows of an account are sorted.
type key struct {
	column string
	text   bool // otherwise bytes
}

// section is what there is of an account in one table.
type section struct {
	name, table string
	of          string // the column with the account
	keys        []key
	fields      []field
}

// personal says of each table with rows of an account what its owner gets of them. Sessions, and what is logged, come from
// their lists, which know more. Of each column that is missing here a test knows why.
var personal = []section{
	{"account", "accounts", "id", []key{{"id", false}}, []field{
		{"id", asAccount, ""}, {"handle", asText, ""}, {"name", asText, ""}, {"email", asText, ""},
		{"email_confirmed", asBool, ""}, {"confirmed_at", asTime, "email_confirmed_at"},
		{"email_pending", asText, ""}, {"display", asText, ""}, {"status", asText, ""}, {"created", asTime, ""},
		{"password_set", asTime, ""}, {"live_sessions", asNumber, ""}, {"ended_sessions", asNumber, ""},
		{"signed_in", asBool, "has_signed_in"}, {"passkey_declined", asBool, ""}, {"delete_after", asTime, ""},
		{"reviewed", asTime, ""}, {"review_later", asTime, ""}, {"review_mail", asBool, ""},
		{"review_mail_due", asTime, ""}, {"language", asText, ""}, {"language_chosen", asBool, ""},
	}},
	{"groups", "account_groups", "account_id", []key{{"name", true}}, []field{
		{"name", asText, ""}, {"added", asTime, ""},
	}},
	{"pictures", "pictures", "account_id", []key{{"name", true}}, []field{
		{"changed", asTime, ""}, {"length(large)", asNumber, "bytes"},
	}},
	{"factors", "factors", "account_id", []key{{"id", false}}, []field{
		{"id", asFactor, ""}, {"kind", asText, ""}, {"name", asText, ""}, {"created", asTime, ""},
		{"used", asTime, ""}, {"used_label", asText, ""}, {"used_address", asText, ""},
	}},
	{"recovery_codes", "recovery_codes", "account_id", []key{{"CAST(number AS TEXT)", true}}, []field{
		{"number", asNumber, ""}, {"made", asTime, ""}, {"spent_at", asTime, ""},
	}},
	{"app_sessions", "app_sessions", "account_id", []key{{"id", false}}, []field{
		{"id", asAppSession, ""}, {"session_id", asSession, "session"}, {"client_id", asText, "client"},
		{"scopes", asList, ""}, {"started", asTime, ""}, {"seen", asTime, ""}, {"refreshed", asTime, ""},
		{"token_expires", asTime, ""}, {"ended_at", asTime, ""}, {"ended_reason", asText, ""},
		{"ended_by", asText, ""}, {"ended_by_session", asSession, ""}, {"ended_by_label", asText, ""},
	}},
	{"consents", "consents", "account_id", []key{{"client_id", true}}, []field{
		{"client_id", asText, "client"}, {"scopes", asList, ""}, {"at", asTime, ""},
	}},
	{"devices", "devices", "account_id", []key{{"hash", false}}, []field{
		{"agent", asText, ""}, {"network", asText, ""}, {"first_seen", asTime, ""}, {"last_seen", asTime, ""},
		{"familiar", asTime, "familiar_from"},
	}},
	{"notices", "notices", "account_id", []key{{"id", false}}, []field{
		{"id", asNotice, ""}, {"kind", asText, ""}, {"session_id", asSession, "session"}, {"at", asTime, ""},
		{"label", asText, ""}, {"address", asText, ""}, {"place", asText, ""}, {"state", asText, ""},
		{"answered", asTime, ""},
	}},
	{"reviews", "reviews", "account_id", []key{{"account_id", false}}, []field{
		{"started", asTime, ""}, {"kept", asNumber, ""}, {"ended", asNumber, ""}, {"finished", asTime, ""},
	}},
	{"securings", "securings", "account_id", []key{{"account_id", false}}, []field{
		{"started", asTime, ""}, {"by_kind", asText, "by"}, {"ended", asNumber, ""}, {"looked", asText, ""},
		{"finished", asTime, ""},
	}},
	{"deliveries", "deliveries", "account_id", []key{{"session_id", false}, {"client_id", true}}, []field{
		{"session_id", asSession, "session"}, {"client_id", asText, "client"}, {"at", asTime, ""},
		{"state", asText, ""}, {"attempts", asNumber, ""}, {"error", asText, ""}, {"finished", asTime, ""},
	}},
	{"webhook_messages", "messages", "account_id", []key{{"webhook", true}, {"id", true}}, []field{
		{"webhook", asText, ""}, {"id", asText, ""}, {"body", asText, ""}, {"attempts", asNumber, ""},
		{"error", asText, ""}, {"finished", asTime, "gave_up"},
	}},
	{"mails", "mails", "account_id", []key{{"id", false}}, []field{
		{"id", asMail, ""}, {"template", asText, ""}, {"state", asText, ""}, {"created", asTime, ""},
		{"attempts", asNumber, ""}, {"error", asText, ""}, {"finished", asTime, ""},
	}},
	{"links", "links", "account_id", []key{{"hash", false}}, []field{
		{"purpose", asText, ""}, {"data", asText, "about"}, {"expires", asTime, ""}, {"spent_at", asTime, ""},
	}},
	{"password_links", "invites", "account_id", []key{{"hash", false}}, []field{
		{"expires", asTime, ""}, {"spent_at", asTime, ""},
	}},
	{"codes", "codes", "account_id", []key{{"hash", false}}, []field{
		{"session_id", asSession, "session"}, {"client_id", asText, "client"}, {"scopes", asList, ""},
		{"expires", asTime, ""}, {"spent_at", asTime, ""}, {"app_session_id", asAppSession, "app_session"},
	}},
	{"device_codes", "device_codes", "account_id", []key{{"user_code", true}}, []field{
		{"client_id", asText, "client"}, {"scopes", asList, ""}, {"user_agent", asText, ""}, {"address", asText, ""},
		{"expires", asTime, ""}, {"state", asText, ""},
	}},
	{"challenges", "challenges", "account_id", []key{{"hash", false}}, []field{
		{"purpose", asText, ""}, {"methods", asList, ""}, {"proved_at", asTime, ""}, {"failures", asNumber, ""},
		{"expires", asTime, ""},
	}},
	{"renewals", "renewals", "account_id", []key{{"hash", false}}, []field{
		{"session_id", asSession, "session"}, {"at", asTime, ""},
	}},
}

// PersonalSections are the names of what PersonalRecords returns, in their order.
func PersonalSections() []string {
	out := make([]string, len(personal))
	for i := range personal {
		out[i] = personal[i].name
	}
	return out
}

// PersonalRecords returns a page of what one section has of an account, in an order of no meaning. It has no secret: no
// hash, no token, and of factors what they are called. It returns ErrNotFound if there is no such section, and
// ErrBadRequest for a cursor that it did not make.
func (s *Store) PersonalRecords(
	ctx context.Context, id exeunt.AccountID, name string, after exeunt.Cursor, limit int,
) (p exeunt.Page[Record], err error) {
	i := slices.IndexFunc(personal, func(of section) bool { return of.name == name })
	if i < 0 {
		return p, fmt.Errorf("section %q: %w", name, exeunt.ErrNotFound)
	}
	of := &personal[i]
	args := []any{id.Bytes()}
	if after != "" {
		place, err := placeAfter(after, of.keys)
		if err != nil {
			return p, err
		}
		args = append(args, place...)
	}
	limit = exeunt.PageSize(limit)
	rows, err := s.read.QueryContext(ctx, of.query(after != "", limit), args...)
	var last []any
	p.Items, err = collect(rows, err, of.name, func(r rowScanner) (rec Record, err error) {
		rec, last, err = scanRecord(r, of.fields, len(of.keys))
		return rec, err
	})
	if err == nil && len(p.Items) == limit {
		p.Next = cursorAt(last)
	}
	return p, err
}

// query selects the fields and the keys of account $1, on later pages after the keys from $2 on.
func (of *section) query(later bool, limit int) string {
	var columns, keys, places []string
	for _, f := range of.fields {
		columns = append(columns, f.column)
	}
	for i, k := range of.keys {
		keys, places = append(keys, k.column), append(places, fmt.Sprintf("$%d", i+2))
	}
	by := strings.Join(keys, ", ")
	q := `SELECT ` + strings.Join(append(columns, keys...), ", ") + ` FROM ` + of.table + ` WHERE ` + of.of + ` = $1`
	if later {
		q += ` AND (` + by + `) > (` + strings.Join(places, ", ") + `)`
	}
	return q + ` ORDER BY ` + by + fmt.Sprintf(` LIMIT %d`, limit)
}

func scanRecord(row rowScanner, fields []field, keys int) (rec Record, place []any, err error) {
	values := make([]any, len(fields)+keys)
	dest := make([]any, len(values))
	for i := range values {
		dest[i] = &values[i]
	}
	if err := row.Scan(dest...); err != nil {
		return nil, nil, err
	}
	rec = Record{}
	for i, f := range fields {
		name := f.name
		if name == "" {
			name = f.column
		}
		if v := f.as(raw{values[i]}); v != nil {
			rec[name] = v
		}
	}
	return rec, values[len(fields):], nil
}

// cursorAt names a place by the values of its keys.
func cursorAt(place []any) exeunt.Cursor {
	parts := make([]string, len(place))
	for i, v := range place {
		switch v := v.(type) {
		case []byte:
			parts[i] = hex.EncodeToString(v)
		default:
			parts[i] = hex.EncodeToString([]byte(fmt.Sprint(v)))
		}
	}
	return exeunt.Cursor(strings.Join(parts, "."))
}

func placeAfter(after exeunt.Cursor, keys []key) ([]any, error) {
	out := make([]any, len(keys))
	parts := strings.Split(string(after), ".")
	if len(parts) != len(keys) {
		return nil, badCursor(after)
	}
	for i, k := range keys {
		b, err := hex.DecodeString(parts[i])
		if err != nil {
			return nil, badCursor(after)
		}
		if out[i] = b; k.text {
			out[i] = string(b)
		}
	}
	return out, nil
}
