package ui

import (
	"bytes"
	"html"
	"html/template"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/exeunt/exeunt"
)

// HelpView is "/help", also for people who are not signed in.
type HelpView struct {
	Frame
	Policy  exeunt.Policy
	Mails   bool   // a link for a new password can be sent
	Browser string // the reader's, one of HelpBrowsers; "" is another one
	Search  string // what the reader looks for, as typed; "" shows everything

	topics  []helpTopic  // with every question
	answers []helpAnswer // all; or what was found, best first
	more    []helpAnswer // what was found besides, only to be linked to
	limited bool         // something is looked for
}

// HelpBrowsers are the browsers whose menus help knows, in the order in which it lists them.
var HelpBrowsers = []string{"chrome_computer", "chrome_android", "chrome_ios", "edge_computer", "edge_phone",
	"firefox_computer", "firefox_android", "firefox_ios", "safari_mac", "safari_ios", "samsung"}

// helpWay is a page on which an answer can be followed.
type helpWay struct {
	to    string
	key   string // of its text
	alone bool   // it can be used without being signed in
}

// Ways that several answers have.
var (
	waySignOut  = helpWay{"/signout", "scope.session", false}
	waySessions = helpWay{"/sessions", "nav.sessions", false}
	waySecurity = helpWay{"/security", "nav.security", false}
	waySignIn   = helpWay{"/signin", "sign_in.title", true}
	wayCheck    = helpWay{"/check", "help.check", true}
)

// helpEntry is a question with its answer. Its ID is the fragment that leads to it; with "_" it is its key in the
// catalogue, and with "answer_" before it the template of its answer.
type helpEntry struct {
	id   string
	in   []helpWay // for whoever is signed in
	out  []helpWay // for others; nil is the same, after signing in
	mail bool      // it is about something that only sites with a mail server have
}

func (e helpEntry) key() string { return "help." + strings.ReplaceAll(e.id, "-", "_") }

var helpEntries = []struct {
	topic   string
	entries []helpEntry
}{
	{"leaving", []helpEntry{
		{id: "sign-out", in: []helpWay{waySignOut}, out: []helpWay{wayCheck}},
		{id: "sign-out-elsewhere", in: []helpWay{waySessions}},
		{id: "app-or-browser", in: []helpWay{{"/apps", "nav.apps", false}}},
		{id: "closing-a-tab", in: []helpWay{waySignOut}, out: []helpWay{wayCheck}},
		{id: "clearing-data", in: []helpWay{waySignOut, waySessions}, out: []helpWay{waySessions}},
		{id: "private-windows", in: []helpWay{waySignOut, waySessions}, out: []helpWay{waySessions}},
		{id: "proof", in: []helpWay{waySignOut, wayCheck}, out: []helpWay{wayCheck}},
	}},
	{"places", []helpEntry{
		{id: "shared-computer", in: []helpWay{waySignOut}, out: []helpWay{{"/signin?shared=1", "help.sign_in_shared", true}}},
		{id: "several-people", in: []helpWay{waySignOut}, out: []helpWay{waySignIn}},
		{id: "forgot-somewhere", in: []helpWay{waySessions}},
		{id: "lost-phone", in: []helpWay{waySessions, waySecurity}, out: []helpWay{waySessions}},
		{id: "where-signed-in", in: []helpWay{waySessions, {"/review", "review.link", false}}, out: []helpWay{waySessions}},
	}},
	{"failing", []helpEntry{
		{id: "still-signed-in", in: []helpWay{wayCheck, waySignOut}, out: []helpWay{wayCheck}},
		{id: "signing-out-fails", in: []helpWay{waySignOut, waySessions}, out: []helpWay{wayCheck, waySessions}},
		{id: "locked", in: []helpWay{wayCheck}},
		{id: "why-signed-out", in: []helpWay{{"/sessions/ended", "ended_list.title", false}}},
		{id: "cookies", in: []helpWay{waySessions}, out: []helpWay{waySignIn}},
		{id: "too-many-attempts", in: []helpWay{waySessions}, out: []helpWay{waySignIn}},
		{id: "javascript-off", in: []helpWay{waySignOut}, out: []helpWay{wayCheck}},
	}},
	{"entering", []helpEntry{
		{id: "forgot-password", in: []helpWay{waySecurity}, out: []helpWay{waySignIn}},
		{id: "saved-passwords", in: []helpWay{{"/security", "security.change", false}}},
		{id: "second-step", in: []helpWay{waySecurity}, out: []helpWay{waySignIn}},
		{id: "passkey", in: []helpWay{waySecurity}},
	}},
	{"strangers", []helpEntry{
		{id: "was-this-you", in: []helpWay{{"/activity", "nav.activity", false}}},
		{id: "somebody-else", in: []helpWay{{"/secure", "secure.title", false}}},
		{id: "mails", in: []helpWay{{"/settings", "nav.settings", false}}, mail: true},
	}},
}

// helpTopic is a group of questions, as the list at the top has it.
type helpTopic struct {
	Title     template.HTML
	Questions []helpAnswer
}

// helpAnswer is a question with its answer, as the page has it.
type helpAnswer struct {
	ID       string
	Question template.HTML
	Words    string        // others by which people may look for it
	Body     template.HTML // without the ways
	Ways     []helpButton
}

type helpButton struct {
	To   string
	Text template.HTML
	Out  bool // it opens the question before a sign-out
}

// Topics, Answers, More, Found and Limited are for the template.
func (v *HelpView) Topics() []helpTopic { return v.topics }

func (v *HelpView) Answers() []helpAnswer { return v.answers }

func (v *HelpView) More() []helpAnswer { return v.more }

func (v *HelpView) Found() int { return len(v.answers) + len(v.more) }

func (v *HelpView) Limited() bool { return v.limited }

// compose renders every answer, because what people look for is looked for in what they would read.
func (v *HelpView) compose(w *words, page *template.Template) error {
	v.Search = boundedSearch(v.Search)
	v.topics, v.answers = nil, nil
	for _, topic := range helpEntries {
		title, err := w.t("help.topic_" + topic.topic)
		if err != nil {
			return err
		}
		first := len(v.answers)
		for _, e := range topic.entries {
			if e.mail && !v.Mails {
				continue
			}
			a, err := v.answer(w, page, e)
			if err != nil {
				return err
			}
			v.answers = append(v.answers, a)
		}
		v.topics = append(v.topics, helpTopic{title, slices.Clone(v.answers[first:])})
	}
	return v.look(w)
}

func (v *HelpView) answer(w *words, page *template.Template, e helpEntry) (a helpAnswer, err error) {
	a.ID = e.id
	if a.Question, err = w.t(e.key()); err != nil {
		return a, err
	}
	others, err := w.t(e.key() + "_words")
	if err != nil {
		return a, err
	}
	a.Words = string(others)
	var body bytes.Buffer
	if err := page.ExecuteTemplate(&body, "answer_"+strings.ReplaceAll(e.id, "-", "_"), v); err != nil {
		return a, err
	}
	a.Body = template.HTML(body.String())
	for _, way := range v.ways(e) {
		b, err := v.button(w, way)
		if err != nil {
			return a, err
		}
		a.Ways = append(a.Ways, b)
	}
	return a, nil
}

func (v *HelpView) ways(e helpEntry) []helpWay {
	switch {
	case v.SignedIn() || e.out == nil:
		return e.in
	case e.id == "forgot-password" && v.Mails:
		return []helpWay{{"/forgot", "forgot.do", true}}
	}
	return e.out
}

func (v *HelpView) button(w *words, way helpWay) (b helpButton, err error) {
	b.Out = way == waySignOut
	b.To = way.to
	if b.Text, err = w.t(way.key); err != nil || way.alone || v.SignedIn() {
		return b, err
	}
	b.To = "/signin?return=" + way.to
	b.Text, err = w.t("help.sign_in_first", "Page", b.Text)
	return b, err
}

// look keeps the answers that have what the reader looks for. The script of the page finds the same while somebody types
// (assets/help.js). What is found is sent without compression (web.Compress), so a page of it has only some in full.
func (v *HelpView) look(w *words) error {
	v.more = nil
	skip, err := w.t("help.search_skip")
	if err != nil {
		return err
	}
	endings, err := w.t("help.search_endings")
	if err != nil {
		return err
	}
	stems := searchStems(v.Search, string(skip), strings.Fields(string(endings)))
	if v.limited = len(stems) > 0; !v.limited {
		return nil
	}
	var best, good []helpAnswer
	for _, a := range v.answers {
		title := searchWords(readableText(a.Question) + " " + a.Words)
		switch {
		case hasStems(title, stems):
			best = append(best, a)
		case hasStems(append(title, searchWords(readableText(a.Body))...), stems):
			good = append(good, a)
		}
	}
	found := slices.Concat(best, good)
	full := min(len(found), maxFull)
	v.answers, v.more = found[:full], found[full:]
	return nil
}

// The bounds of a search. The field takes no more either.
const (
	maxSearch      = 100 // characters
	maxSearchWords = 8
	minStem        = 3
	maxFull        = 8 // answers in full
)

func boundedSearch(s string) string {
	s = strings.TrimSpace(strings.ToValidUTF8(s, ""))
	if r := []rune(s); len(r) > maxSearch {
		s = string(r[:maxSearch])
	}
	return s
}

// searchWords are the words of a text as they are compared: in small letters, without accents and apostrophes.
func searchWords(text string) []string {
	text = strings.Map(func(r rune) rune {
		if unicode.Is(unicode.M, r) || r == '\'' || r == '’' {
			return -1
		}
		return r
	}, norm.NFKD.String(text))
	return strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) })
}

// searchStems are the beginnings of words that an answer must have: those of the words of a search that say something,
// or of all if none does, without their endings. So "closing tabs" finds "close a tab".
func searchStems(search, skip string, endings []string) (stems []string) {
	typed, skipped := searchWords(search), searchWords(skip)
	said := slices.DeleteFunc(slices.Clone(typed), func(word string) bool { return slices.Contains(skipped, word) })
	if len(said) == 0 {
		said = typed
	}
	for _, word := range said[:min(len(said), maxSearchWords)] {
		for _, ending := range endings {
			if stem, ok := strings.CutSuffix(word, ending); ok && len([]rune(stem)) >= minStem {
				word = stem
				break
			}
		}
		stems = append(stems, word)
	}
	return stems
}

func hasStems(words, stems []string) bool {
	for _, stem := range stems {
		is := strings.HasPrefix
		if within(stem) {
			is = strings.Contains
		}
		if !slices.ContainsFunc(words, func(word string) bool { return is(word, stem) }) {
			return false
		}
	}
	return true
}

// within reports whether what somebody looks for may be inside a word: Japanese has no spaces, and Arabic joins articles and
// prepositions to the word.
func within(stem string) bool {
	return strings.ContainsFunc(stem, func(r rune) bool {
		return unicode.IsLetter(r) && !unicode.Is(unicode.Latin, r)
	})
}

// readableText is what people read of our own markup.
func readableText(markup template.HTML) string {
	var out strings.Builder
	for rest := string(markup); rest != ""; {
		text, tag, _ := strings.Cut(rest, "<")
		out.WriteString(text)
		_, rest, _ = strings.Cut(tag, ">")
		out.WriteByte(' ')
	}
	return html.UnescapeString(out.String())
}

// helpSteps is where something is in the menus of browsers.
type helpSteps struct {
	Own    *helpStep // in the reader's browser; nil if it is not known
	Others []helpStep
}

type helpStep struct{ Browser, Text template.HTML }

// steps takes the reader's browser, and the key before the browser's, such as "help.passwords".
func (w *words) steps(own, key string) (s helpSteps, err error) {
	for _, browser := range HelpBrowsers {
		var one helpStep
		if one.Browser, err = w.t("help.browser." + browser); err != nil {
			return s, err
		}
		if one.Text, err = w.t(key + "." + browser); err != nil {
			return s, err
		}
		if browser == own {
			s.Own = &one
		} else {
			s.Others = append(s.Others, one)
		}
	}
	return s, nil
}

// examples are searches to offer to somebody who has found nothing.
func (w *words) examples() ([]string, error) {
	list, err := w.t("help.search_examples")
	return strings.Split(string(list), ", "), err
}

// counted is a number that the script keeps right.
func counted(n int) template.HTML { return template.HTML("<b data-count>" + strconv.Itoa(n) + "</b>") }

// helpFor is the part of help that is about an error page's matter: "" or a fragment.
func helpFor(v *ErrorView) string {
	switch code := exeunt.CodeOf(v.Err); {
	case code == "headers_too_large":
		return "#cookies"
	case v.Status == 401:
		return "#why-signed-out"
	case v.Status == 429:
		return "#too-many-attempts"
	case v.Status >= 500:
		return "#signing-out-fails"
	}
	return ""
}
