package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"

	"github.com/exeunt/exeunt/internal/control"
)

// exportVersion is that of the shape of an export. A reader of this version may meet sections and fields that it does not
// know; one that means something else gets another number.
const exportVersion = 1

type exportCommand struct {
	Data   string `help:"The data folder of the running node." required:"" env:"EXEUNT_DATA"`
	Handle string `arg:""`
	Out    string `placeholder:"FILE" help:"Write to a new file that only its owner may read, instead of standard output."`
}

// Help has an example.
func (c *exportCommand) Help() string {
	return `The JSON has the account with its addresses and groups; sessions, apps, consents and devices; passkeys and
authenticator apps by name; what was done to the account; and whom the system has told of it. It has no passwords, keys or
tokens. Make sure that whoever asks for it is the account's owner; the audit names you.

  exeunt accounts export ada --out ada.json`
}

// Run exports what is stored about a person, page by page.
func (c *exportCommand) Run(ctx context.Context) (err error) {
	node := control.Dial(c.Data)
	at := "/accounts/" + url.PathEscape(c.Handle)
	var begin control.Export
	out := os.Stdout
	if c.Out != "" {
		if out, err = os.OpenFile(c.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
			if errors.Is(err, fs.ErrExist) {
				err = fmt.Errorf("%s is there already, and was not changed: name another file", c.Out)
			}
			return err
		}
		defer func() {
			if closed := out.Close(); err == nil {
				err = closed
			}
			if err != nil {
				os.Remove(c.Out) // half of it is of no use
			}
		}()
	}
	if err := node.Post(ctx, at+"/export", nil, &begin); err != nil {
		return err
	}
	w := &exportWriter{out: bufio.NewWriter(out)}
	w.raw("{\n  \"exeunt_export\": %d", exportVersion)
	w.value("issuer", begin.Issuer)
	w.value("made", begin.Made)
	for _, section := range begin.Sections {
		if section == "account" {
			var p control.Page[json.RawMessage]
			if err := node.Get(ctx, at+"/export/account", nil, &p); err != nil {
				return err
			}
			if len(p.Items) != 1 {
				return fmt.Errorf("@%s has been deleted meanwhile", begin.Handle)
			}
			w.value("account", p.Items[0])
			continue
		}
		if err := w.section(ctx, node, section, at+"/export/"+section); err != nil {
			return err
		}
	}
	of := url.Values{"account": {begin.Handle}}
	ended := url.Values{"account": {begin.Handle}, "state": {"ended"}}
	if err := w.section(ctx, node, "sessions", "/sessions", of, ended); err != nil {
		return err
	}
	if err := w.section(ctx, node, "log", at+"/audit"); err != nil {
		return err
	}
	w.raw("\n}\n")
	if w.err == nil {
		w.err = w.out.Flush()
	}
	return w.err
}

// exportWriter writes a JSON object field by field. It keeps the first error.
type exportWriter struct {
	out *bufio.Writer
	err error
}

func (w *exportWriter) raw(format string, args ...any) {
	if w.err == nil {
		_, w.err = fmt.Fprintf(w.out, format, args...)
	}
}

func (w *exportWriter) value(name string, v any) {
	text, err := json.MarshalIndent(v, "  ", "  ")
	if w.err == nil {
		w.err = err
	}
	w.raw(",\n  %q: %s", name, text)
}

// section writes one list of what paths answer, as their pages come.
func (w *exportWriter) section(
	ctx context.Context, node *control.Client, name, path string, queries ...url.Values,
) error {
	if len(queries) == 0 {
		queries = []url.Values{{}}
	}
	w.raw(",\n  %q: [", name)
	between := ""
	for _, q := range queries {
		for first, after := true, ""; first || after != ""; first = false {
			q.Set("after", after)
			var p control.Page[json.RawMessage]
			if err := node.Get(ctx, path, q, &p); err != nil {
				return err
			}
			for _, item := range p.Items {
				text, err := json.MarshalIndent(item, "    ", "  ")
				if err != nil {
					return err
				}
				w.raw("%s\n    %s", between, text)
				between = ","
			}
			after = p.Next
		}
	}
	if between != "" {
		w.raw("\n  ")
	}
	w.raw("]")
	return w.err
}
