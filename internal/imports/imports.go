// Package imports reads files in which other programs keep people: Authelia's users_database.yml, Apache's htpasswd, and
// CSV.
//
// It owns the forms of these files. It does not know which accounts there are, and judges neither handles nor hashes
// (account does): it says who stands in a file, and which rows cannot be read.
package imports

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/names"
)

// Format is the form of a file.
type Format string

// The formats.
const (
	Authelia Format = "authelia"
	HTPasswd Format = "htpasswd"
	CSV      Format = "csv"
)

// Bounds of a file. Memory holds a YAML file as a whole, and of the others a line at a time and every handle.
const (
	MaxYAML = 16 << 20 // bytes
	MaxLine = 64 << 10 // bytes
	MaxRows = 500_000
)

// Person is one row of a file.
type Person struct {
	Line     int
	Handle   string // as the file has it
	Name     string
	Email    string
	Groups   []string
	Disabled bool
	Hash     string // of the password, in the form of the other program
}

// String leaves the hash out.
func (p Person) String() string { return fmt.Sprintf("imports.Person(line %d)", p.Line) }

// GoString is String, for %#v.
func (p Person) GoString() string { return p.String() }

// Problem says why a row is not imported. The other rows are.
type Problem struct {
	Line        int
	Handle      string // "" if it cannot be read
	Why, Remedy string
}

// Sink takes the rows of a file.
type Sink struct {
	Person  func(Person) error
	Problem func(Problem) error
	// UniqueEmails: an address that stands in an earlier row is a problem, as a handle always is.
	UniqueEmails bool
}

// Read passes each row of a file to Person, or, if it cannot be read, to Problem, in their order. It returns the first
// error of these, or why the file as a whole cannot be read, which names the line.
func Read(r io.Reader, f Format, to Sink) error {
	d := &reader{Sink: to, handles: map[string]int{}, emails: map[string]int{}}
	switch f {
	case Authelia:
		return d.authelia(r)
	case HTPasswd:
		return d.lines(r, d.htpasswd)
	case CSV:
		return d.lines(r, d.csv())
	}
	return fmt.Errorf("there is no format %q", f)
}

type reader struct {
	Sink
	handles, emails map[string]int // as accounts have them -> line
}

func (d *reader) found(p Person) error {
	key, ok := exeunt.ParseHandle(names.Key(p.Handle))
	if !ok {
		key = p.Handle
	}
	if first, again := d.handles[key]; again {
		return d.Problem(Problem{Line: p.Line, Handle: p.Handle,
			Why:    fmt.Sprintf("The same handle is in line %d, which counts.", first),
			Remedy: "Take one of them out, or change its handle."})
	}
	email := names.Key(p.Email)
	if first, again := d.emails[email]; again {
		return d.Problem(Problem{Line: p.Line, Handle: p.Handle,
			Why:    fmt.Sprintf("The same e-mail address is in line %d, which counts.", first),
			Remedy: "Take the address out of one of them, or leave out --email-confirmed."})
	}
	if len(d.handles) >= MaxRows {
		return fmt.Errorf("line %d: a file may name %d people at most; split it", p.Line, MaxRows)
	}
	if d.handles[key] = p.Line; d.UniqueEmails && email != "" {
		d.emails[email] = p.Line
	}
	return d.Person(p)
}

// lines passes each line to each, with its number.
func (d *reader) lines(r io.Reader, each func(n int, line string) error) error {
	in := bufio.NewReaderSize(r, MaxLine)
	for n := 1; ; n++ {
		line, more, err := in.ReadLine()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return err
		}
		text := string(line) // before the next read changes it
		long := more
		for more && err == nil {
			_, more, err = in.ReadLine()
		}
		if n == 1 {
			if strings.HasPrefix(text, "\xff\xfe") || strings.HasPrefix(text, "\xfe\xff") {
				return errors.New("the file is UTF-16: save it as UTF-8")
			}
			text = strings.TrimPrefix(text, "\ufeff")
		}
		switch {
		case long:
			err = d.Problem(Problem{Line: n, Why: fmt.Sprintf("The line is longer than %d bytes.", MaxLine), Remedy: "Shorten it."})
		case strings.TrimSpace(text) == "":
			continue
		case !utf8.ValidString(text) || strings.ContainsRune(text, 0):
			err = d.Problem(Problem{Line: n, Why: "The line is not UTF-8.", Remedy: "Save the file as UTF-8."})
		default:
			err = each(n, text)
		}
		if err != nil {
			return err
		}
	}
}

func (d *reader) htpasswd(n int, line string) error {
	if strings.HasPrefix(line, "#") {
		return nil
	}
	handle, hash, ok := strings.Cut(line, ":")
	if !ok || handle == "" {
		return d.Problem(Problem{Line: n, Why: "The line is not like name:hash.", Remedy: "Correct it, or take it out."})
	}
	hash, _, _ = strings.Cut(strings.TrimRight(hash, " \t\r"), ":")
	return d.found(Person{Line: n, Handle: handle, Hash: hash})
}

// columns of a CSV file.
var columns = []string{"handle", "name", "email", "groups"}

// csv reads a line at a time, so that a quote that is never closed spoils one row only.
func (d *reader) csv() func(n int, line string) error {
	var header []string
	var comma rune
	return func(n int, line string) error {
		if header == nil {
			comma = separator(line)
		}
		in := csv.NewReader(strings.NewReader(line))
		in.Comma, in.FieldsPerRecord, in.TrimLeadingSpace = comma, -1, true
		fields, err := in.Read()
		if err == nil && header == nil {
			header, err = headerOf(fields)
			return err
		}
		var bad *csv.ParseError
		switch {
		case errors.As(err, &bad) && header != nil:
			return d.Problem(Problem{Line: n, Why: "A quote is missing, or too many: " + bad.Err.Error() + ".",
				Remedy: `Begin and end such a field with ", and write "" for a " in it; a row is one line.`})
		case err != nil:
			return fmt.Errorf("line %d: the header cannot be read: %w", n, err)
		case len(fields) != len(header):
			why := fmt.Sprintf("The row has %d fields, and the header %d.", len(fields), len(header))
			return d.Problem(Problem{Line: n, Why: why, Remedy: `Put a field with the separator in it into "…".`})
		}
		p := Person{Line: n}
		for i, name := range header {
			value := strings.TrimSpace(fields[i])
			switch name {
			case "handle":
				p.Handle = value
			case "name":
				p.Name = value
			case "email":
				p.Email = value
			case "groups":
				p.Groups = strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(" ,;|", r) })
			}
		}
		return d.found(p)
	}
}

func headerOf(fields []string) (header []string, err error) {
	for _, f := range fields {
		name := strings.ToLower(strings.TrimSpace(f))
		switch {
		case !slices.Contains(columns, name):
			return nil, fmt.Errorf("line 1: there is no column %q: use %s, of which only handle is needed", f,
				strings.Join(columns, ", "))
		case slices.Contains(header, name):
			return nil, fmt.Errorf("line 1: the column %s is there twice", name)
		}
		header = append(header, name)
	}
	if !slices.Contains(header, "handle") {
		return nil, fmt.Errorf("line 1: the column handle is missing: the first line names the columns, of %s",
			strings.Join(columns, ", "))
	}
	return header, nil
}

// separator is what stands between the columns: spreadsheets write a semicolon where the comma is in numbers.
func separator(header string) rune {
	for _, r := range ";\t" {
		if strings.ContainsRune(header, r) && !strings.Contains(header, ",") {
			return r
		}
	}
	return ','
}

var (
	usersKey     = regexp.MustCompile(`(?m)^users:[ \t]*(?:#.*)?\r?$`)
	htpasswdLine = regexp.MustCompile(`^[^:\s#][^:]*:(?:\$[0-9a-z]+\$|\{SHA\}|[./0-9A-Za-z]{13}(?::|$))`)
)

// Guess returns the format of a file by its beginning, and false if that is not certain.
func Guess(head []byte) (Format, bool) {
	text := strings.TrimPrefix(string(head), "\ufeff")
	var is []Format
	if usersKey.MatchString(text) {
		is = append(is, Authelia)
	}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if htpasswdLine.MatchString(line) {
			is = append(is, HTPasswd)
		}
		if _, err := headerOf(strings.Split(line, string(separator(line)))); err == nil {
			is = append(is, CSV)
		}
		break
	}
	if len(is) != 1 {
		return "", false
	}
	return is[0], true
}

// readAll reads a file that memory holds as a whole.
func readAll(r io.Reader, limit int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("the file is larger than %d MiB: split it", limit>>20)
	}
	return bytes.TrimPrefix(text, []byte("\ufeff")), err
}
