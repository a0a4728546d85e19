package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/exeunt/exeunt/internal/config"
)

var update = flag.Bool("update", false, "write the pages of the reference anew")

// The pages of the reference say what the program's commands and settings are now.
func TestTheReferenceIsCurrent(t *testing.T) {
	for file, text := range map[string]string{
		"commands.md": commandsPage(parser(t.Context()).Model.Node),
		"settings.md": "# Every setting\n\nWith its default, as `exeunt settings` prints it. [Running Exeunt](../running.md#settings) says more of them.\n\n```toml\n" +
			config.Reference() + "```\n",
	} {
		path := "../../docs/reference/" + file
		if *update {
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		was, err := os.ReadFile(path)
		if err != nil || string(was) != text {
			t.Errorf("%s is not current, %v: look at it, then write it with -update", path, err)
		}
	}
}

// commandsPage lists every command, as its help does.
func commandsPage(root *kong.Node) string {
	var out strings.Builder
	out.WriteString("# Every command\n\n`exeunt COMMAND --help` prints the same. The exit status is 0 if all went well, 2 if the command line is wrong, " +
		"otherwise 1; commands that have others say so.\n")
	for _, child := range root.Children {
		if child.Hidden {
			continue
		}
		fmt.Fprintf(&out, "\n## exeunt %s\n\n%s\n", child.Name, child.Help)
		for _, leaf := range leavesOf(child) {
			if leaf != child {
				fmt.Fprintf(&out, "\n### exeunt %s\n\n%s\n", commandName(leaf), leaf.Help)
			}
			aboutCommand(&out, leaf)
		}
	}
	return out.String()
}

func aboutCommand(out *strings.Builder, node *kong.Node) {
	detail, example, _ := strings.Cut(node.Detail, "Example:\n\n")
	if detail = strings.TrimSpace(detail); detail != "" {
		fmt.Fprintf(out, "\n%s\n", strings.ReplaceAll(detail, "<", `\<`))
	}
	if example = strings.TrimSpace(example); example != "" {
		fmt.Fprintf(out, "\n```\n%s\n```\n", example)
	}
	row := func(name, help string) {
		fmt.Fprintf(out, "| `%s` | %s |\n", strings.ReplaceAll(name, "|", `\|`), strings.NewReplacer("|", `\|`, "<", `\<`, "\n", " ").Replace(help))
	}
	out.WriteString("\n| takes | |\n|---|---|\n")
	for _, arg := range node.Positional {
		row(arg.Summary(), arg.Help)
	}
	for _, group := range node.AllFlags(true) {
		for _, f := range group {
			name := "--" + f.Name
			if !f.IsBool() {
				name += "=" + f.FormatPlaceHolder()
			}
			help := f.Help
			if len(f.Envs) > 0 {
				help += " The variable " + f.Envs[0] + " gives it, too."
			}
			row(name, help)
		}
	}
}
