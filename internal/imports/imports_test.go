package imports

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// rows are what Read passes on: people as they are, problems by line and handle.
func rows(t *testing.T, f Format, text string) (people []Person, problems []string, err error) {
	t.Helper()
	return rowsTo(t, f, text, Sink{})
}

func rowsTo(t *testing.T, f Format, text string, to Sink) (people []Person, problems []string, err error) {
	t.Helper()
	to.Person = func(p Person) error { people = append(people, p); return nil }
	to.Problem = func(p Problem) error {
		if p.Why == "" || p.Remedy == "" {
			t.Errorf("a problem without reason or remedy: %+v", p)
		}
		problems = append(problems, fmt.Sprintf("%d %s", p.Line, p.Handle))
		return nil
	}
	err = Read(strings.NewReader(text), f, to)
	return people, problems, err
}

// The example of Authelia's documentation, with what else stands in such files.
const autheliaFile = `---
###############################################################
#                         Users Database                      #
###############################################################
users:
  john:
    disabled: false
    displayname: 'John Doe'
    password: '$argon2id$v=19$m=65536,t=3,p=4$Hjc8e7WYcBFcJmEDUOsS9A$ozM7RyZR1EyDR8cuyVpDDfmLrGPGFgo5E2NNqRumui4'
    email: 'john.doe@authelia.com'
    groups:
      - 'admins'
      - 'dev'
    given_name: 'John'
  harry:
    disabled: true
    displayname: ""
    password: x
    groups: []
  James: &james
    displayname: James
    password: y
    email: null
    groups: [dev]
  bob: *james
  JOHN:
    password: z
  broken:
  odd:
    password: [a]
  groupless:
    password: z
    groups: admins
`

func TestAuthelia(t *testing.T) {
	people, problems, err := rows(t, Authelia, autheliaFile)
	want := []Person{
		{Line: 6, Handle: "john", Name: "John Doe", Email: "john.doe@authelia.com", Groups: []string{"admins", "dev"},
			Hash: "$argon2id$v=19$m=65536,t=3,p=4$Hjc8e7WYcBFcJmEDUOsS9A$ozM7RyZR1EyDR8cuyVpDDfmLrGPGFgo5E2NNqRumui4"},
		{Line: 15, Handle: "harry", Disabled: true, Hash: "x"},
		{Line: 20, Handle: "James", Name: "James", Groups: []string{"dev"}, Hash: "y"},
		{Line: 25, Handle: "bob", Name: "James", Groups: []string{"dev"}, Hash: "y"},
	}
	if err != nil || !reflect.DeepEqual(people, want) {
		t.Errorf("%v", err)
		for _, p := range people {
			t.Errorf("%+v", struct{ Person }{p}.Person.Line)
		}
	}
	if want := []string{"26 JOHN", "28 broken", "30 odd", "33 groupless"}; !reflect.DeepEqual(problems, want) {
		t.Errorf("%q", problems)
	}
	for _, bad := range []string{"", "users:", "users: []", "a: b", "users:\n  ada:\n\tx: y", "[", strings.Repeat("#", MaxYAML+1)} {
		if _, _, err := rows(t, Authelia, bad); err == nil {
			t.Errorf("%.20q is read", bad)
		}
	}
	if _, _, err := rows(t, Authelia, "users:\n  ada:\n    a: 'b\n"); err == nil || !strings.Contains(err.Error(), "line ") {
		t.Errorf("the error names no line: %v", err)
	}
}

func TestHTPasswd(t *testing.T) {
	people, problems, err := rows(t, HTPasswd, "# people\n\nada:$2y$05$x\r\nno colon\n:$2y$05$x\nGrace:{SHA}y:more\nada:$2y$05$z\nlast:")
	want := []Person{{Line: 3, Handle: "ada", Hash: "$2y$05$x"}, {Line: 6, Handle: "Grace", Hash: "{SHA}y"}, {Line: 8, Handle: "last"}}
	if err != nil || !reflect.DeepEqual(people, want) {
		t.Errorf("%d, %v", len(people), err)
	}
	if want := []string{"4 ", "5 ", "7 ada"}; !reflect.DeepEqual(problems, want) {
		t.Errorf("%q", problems)
	}
}

func TestCSV(t *testing.T) {
	people, problems, err := rows(t, CSV, "\ufeffHandle, name,groups,email\r\nada,\"Quill, Ada\",\"staff,wiki\",ada@example.com\r\n"+
		"grace,\"Grace\n lin,,,\nhedy,Hedy,a b;c\n\n@ADA,,,\nbad\xff,,,\n"+strings.Repeat("x", MaxLine+1)+"\ngerda, Gerda ,ops,")
	want := []Person{
		{Line: 2, Handle: "ada", Name: "Quill, Ada", Email: "ada@example.com", Groups: []string{"staff", "wiki"}},
		{Line: 4, Handle: "lin", Groups: []string{}},
		{Line: 9 + 1, Handle: "gerda", Name: "Gerda", Groups: []string{"ops"}},
	}
	if err != nil || !reflect.DeepEqual(people, want) {
		t.Errorf("%v", err)
		for _, p := range people {
			t.Error(p.Line, p.Handle, p.Name, p.Email, p.Groups)
		}
	}
	if want := []string{"3 ", "5 ", "7 @ADA", "8 ", "9 "}; !reflect.DeepEqual(problems, want) {
		t.Errorf("%q", problems)
	}
	if people, _, err := rows(t, CSV, "handle;groups\nada;staff,wiki\n"); err != nil || len(people) != 1 || len(people[0].Groups) != 2 {
		t.Errorf("%v", err)
	}
	for _, bad := range []string{"name,email\nAda,", "handle,phone\n", "handle,handle\n", "\"handle\n", "\xff\xfeh\x00"} {
		if _, _, err := rows(t, CSV, bad); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
}

// Of two people who are said to own one address, the first counts; an address that nobody has confirmed may be there twice.
func TestUniqueEmails(t *testing.T) {
	const text = "handle,email\nada,ada@example.com\neve,ADA@example.com\nlin,\nhedy,\n"
	people, problems, err := rows(t, CSV, text)
	if err != nil || len(people) != 4 || problems != nil {
		t.Errorf("%d, %q, %v", len(people), problems, err)
	}
	people, problems, err = rowsTo(t, CSV, text, Sink{UniqueEmails: true})
	if err != nil || len(people) != 3 || !reflect.DeepEqual(problems, []string{"3 eve"}) {
		t.Errorf("%d, %q, %v", len(people), problems, err)
	}
}

// What is printed of a row has no hash in it.
func TestAPersonIsPrintedWithoutTheHash(t *testing.T) {
	p := Person{Line: 3, Hash: "SECRET"}
	if text := fmt.Sprintf("%v %+v %#v %s", p, p, p, p); strings.Contains(text, "SECRET") {
		t.Error(text)
	}
}

func TestGuess(t *testing.T) {
	for text, want := range map[string]Format{
		autheliaFile:                  Authelia,
		"# x\n\nada:$apr1$a$b\n":      HTPasswd,
		"ada:{SHA}abc=\n":             HTPasswd,
		"ada:v6VnbVLIwuU12\n":         HTPasswd,
		"handle,name\nada,Ada\n":      CSV,
		"Handle;Email\r\n":            CSV,
		"handle\nada\n":               CSV,
		"name,email\n":                "",
		"":                            "",
		"ada:secret\n":                "",
		"handle\nusers:\n":            "",
		"authelia:\n  users: []\n":    "",
		"\ufeffhandle,groups\nada,\n": CSV,
	} {
		if got, certain := Guess([]byte(text)); got != want || certain != (want != "") {
			t.Errorf("%.30q: %q, %v", text, got, certain)
		}
	}
}

// No file makes reading panic or go on without end, and each row comes once.
func FuzzRead(f *testing.F) {
	f.Add([]byte(autheliaFile), byte(0))
	f.Add([]byte("ada:$2y$05$x\n#\n:\n"), byte(1))
	f.Add([]byte("handle,name\nada,\"x\n\"\n"), byte(2))
	f.Add([]byte("users: &a\n  x: *a\n"), byte(0))
	f.Fuzz(func(t *testing.T, text []byte, which byte) {
		Guess(text)
		format := []Format{Authelia, HTPasswd, CSV}[which%3]
		lines, n := bytes.Count(text, []byte("\n"))+2, 0
		count := func() error {
			n++
			return nil
		}
		_ = Read(bytes.NewReader(text), format, Sink{Person: func(Person) error { return count() },
			Problem: func(Problem) error { return count() }, UniqueEmails: which > 100})
		if format != Authelia && n > lines {
			t.Errorf("%d rows in %d lines", n, lines)
		}
	})
}
