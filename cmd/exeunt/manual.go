package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/alecthomas/kong"
)

type manualCommand struct {
	Folder string `arg:"" help:"Where to write the pages; it is made if it is not there."`
}

// Run writes the manual pages: exeunt(1), and one for each command with those below it.
func (c *manualCommand) Run(k *kong.Kong) error {
	if err := os.MkdirAll(c.Folder, 0o755); err != nil {
		return err
	}
	for name, text := range manual(k.Model.Node) {
		if err := os.WriteFile(filepath.Join(c.Folder, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// manual returns the manual pages by the names of their files.
func manual(root *kong.Node) map[string]string {
	out := map[string]string{}
	var page strings.Builder
	beginPage(&page, "exeunt", root.Help)
	page.WriteString(".SH SYNOPSIS\n.B exeunt\n.I command\n[flags]\n.SH COMMANDS\n")
	for _, child := range root.Children {
		if child.Hidden {
			continue
		}
		fmt.Fprintf(&page, ".TP\n.BR exeunt\\-%s (1)\n%s\n", roff(child.Name), roff(child.Help))
		var own strings.Builder
		beginPage(&own, "exeunt-"+child.Name, child.Help)
		own.WriteString(".SH SYNOPSIS\n")
		for i, leaf := range leavesOf(child) {
			if i > 0 {
				own.WriteString(".br\n")
			}
			fmt.Fprintf(&own, ".B exeunt %s\n", roff(leaf.Summary()))
		}
		for _, leaf := range leavesOf(child) {
			describe(&own, leaf, leaf != child)
		}
		own.WriteString(".SH SEE ALSO\n.BR exeunt (1)\n")
		out["exeunt-"+child.Name+".1"] = own.String()
	}
	page.WriteString(".SH FILES\n.TP\n.I /etc/exeunt/exeunt.toml\nThe configuration; `exeunt settings` prints every setting.\n" +
		".TP\n.I /var/lib/exeunt\nThe data folder of the packages.\n")
	page.WriteString(".SH EXIT STATUS\n0 if all went well, 2 if the command line is wrong, 1 otherwise.\n")
	out["exeunt.1"] = page.String()
	return out
}

func leavesOf(node *kong.Node) []*kong.Node {
	if node.Leaf() {
		return []*kong.Node{node}
	}
	return node.Leaves(true)
}

// beginPage writes a page's head. It has no date, so that the same program makes the same pages.
func beginPage(out *strings.Builder, name, help string) {
	fmt.Fprintf(out, ".TH %s 1 \"\" Exeunt \"Exeunt's manual\"\n.SH NAME\n%s \\- %s\n", strings.ToUpper(roff(name)), roff(name),
		roff(firstSentence(help)))
}

// describe writes what a command does, takes, and an example of it.
func describe(out *strings.Builder, node *kong.Node, titled bool) {
	if titled {
		fmt.Fprintf(out, ".SH %s\n", strings.ToUpper(roff(node.Name)))
	} else {
		out.WriteString(".SH DESCRIPTION\n")
	}
	fmt.Fprintln(out, roff(node.Help))
	detail, example, _ := strings.Cut(node.Detail, "Example:\n\n")
	if detail = strings.TrimSpace(detail); detail != "" {
		fmt.Fprintf(out, ".PP\n%s\n", roff(detail))
	}
	for _, arg := range node.Positional {
		fmt.Fprintf(out, ".TP\n.I %s\n%s\n", roff(arg.Summary()), roff(arg.Help))
	}
	for _, group := range node.AllFlags(true) {
		for _, f := range group {
			if f.Name == "help" {
				continue
			}
			value := ""
			if !f.IsBool() {
				value = "=" + f.FormatPlaceHolder()
			}
			fmt.Fprintf(out, ".TP\n.B \\-\\-%s\n%s", roff(f.Name+value), roff(f.Help))
			if len(f.Envs) > 0 {
				fmt.Fprintf(out, " The variable %s gives it, too.", roff(f.Envs[0]))
			}
			fmt.Fprintln(out)
		}
	}
	if example = strings.TrimSpace(example); example != "" {
		fmt.Fprintf(out, ".PP\nExample:\n.PP\n.RS\n.nf\n%s\n.fi\n.RE\n", roff(example))
	}
}

// roff is a text that troff shows as it is, in a line.
func roff(text string) string {
	text = strings.NewReplacer("\\", "\\e", "-", "\\-", "\n", " ", "…", "...", "–", "\\-", "’", "'").Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		return "\\&" + text
	}
	return text
}
