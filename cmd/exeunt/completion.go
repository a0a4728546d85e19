package main

import (
	"fmt"
	"os"
	"sort"
	"strings"

	"github.com/alecthomas/kong"
)

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Run prints a script by which a shell completes commands and flags.
func (c *completionCommand) Run(k *kong.Kong) error {
	text := map[string]func(*kong.Node) string{"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}[c.Shell](k.Model.Node)
	_, err := os.Stdout.WriteString(text)
	return err
}

// A word is what can be completed: a command or a flag.
type word struct {
	text, help string
	value      bool
}

// places are all commands, by their names with a space between, the program itself as "".
func places(root *kong.Node) []*kong.Node {
	out := []*kong.Node{root}
	for _, child := range root.Children {
		if !child.Hidden {
			out = append(out, places(child)...)
		}
	}
	return out
}

// wordsAt are the words that can follow a command.
func wordsAt(node *kong.Node) (commands, flags []word) {
	for _, child := range node.Children {
		if !child.Hidden {
			commands = append(commands, word{text: child.Name, help: firstSentence(child.Help)})
		}
	}
	for _, group := range node.AllFlags(true) {
		for _, f := range group {
			flags = append(flags, word{text: "--" + f.Name, help: firstSentence(f.Help), value: !f.IsBool()})
		}
	}
	sort.Slice(flags, func(i, j int) bool { return flags[i].text < flags[j].text })
	return commands, flags
}

func firstSentence(help string) string {
	help, _, _ = strings.Cut(help, ". ")
	return strings.TrimSuffix(help, ".")
}

// shellQuoted is a text in single quotes.
func shellQuoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

func texts(words []word) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = w.text
	}
	return strings.Join(out, " ")
}

// withValue are the flags of all commands that take a value: what follows one is no command.
func withValue(root *kong.Node) []string {
	seen := map[string]bool{}
	for _, node := range places(root) {
		_, flags := wordsAt(node)
		for _, f := range flags {
			if f.value {
				seen[f.text] = true
			}
		}
	}
	out := make([]string, 0, len(seen))
	for text := range seen {
		out = append(out, text)
	}
	sort.Strings(out)
	return out
}

const madeBy = "# Made by `exeunt completion`; changes are lost.\n"

// findsCommand is shell code, of bash and zsh alike, that finds which command is typed: the longest that begins the words
// in the array typed, without flags and their values. It sets at, and skip if the value of a flag is typed.
func findsCommand(root *kong.Node) string {
	var known []string
	for _, node := range places(root)[1:] {
		known = append(known, shellQuoted(commandName(node)))
	}
	return `    local at= word longer skip=
    for word in "${typed[@]}"; do
        if [[ -n $skip ]]; then skip=; continue; fi
        case $word in
            ` + strings.Join(withValue(root), "|") + `) skip=1; continue ;;
            -*) continue ;;
        esac
        longer="${at:+$at }$word"
        case $longer in
            ` + strings.Join(known, "|") + `) at=$longer ;;
            *) break ;;
        esac
    done
`
}

func bashCompletion(root *kong.Node) string {
	var out strings.Builder
	out.WriteString(madeBy + "_exeunt() {\n    local cur=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n" +
		"    local typed=(\"${COMP_WORDS[@]:1:COMP_CWORD-1}\") commands= flags=\n    COMPREPLY=()\n")
	out.WriteString(findsCommand(root))
	out.WriteString("    case $at in\n")
	for _, node := range places(root) {
		commands, flags := wordsAt(node)
		fmt.Fprintf(&out, "        %s) commands=%s flags=%s ;;\n", shellQuoted(commandName(node)), shellQuoted(texts(commands)),
			shellQuoted(texts(flags)))
	}
	out.WriteString("    esac\n    case $before in\n        " + strings.Join(withValue(root), "|") +
		") COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n    esac\n")
	out.WriteString(`    if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W "$flags" -- "$cur"))
    elif [[ -n $commands ]]; then
        COMPREPLY=($(compgen -W "$commands" -- "$cur"))
    else
        COMPREPLY=($(compgen -f -- "$cur"))
    fi
}
complete -o filenames -F _exeunt exeunt
`)
	return out.String()
}

func zshCompletion(root *kong.Node) string {
	var out strings.Builder
	out.WriteString("#compdef exeunt\n" + madeBy + "_exeunt() {\n" +
		"    local -a typed commands flags\n    typed=(\"${(@)words[2,CURRENT-1]}\")\n")
	out.WriteString(findsCommand(root))
	described := func(list []word) string {
		var items []string
		for _, w := range list {
			items = append(items, shellQuoted(strings.ReplaceAll(w.text, ":", `\:`)+":"+w.help))
		}
		return strings.Join(items, " ")
	}
	out.WriteString("    case $at in\n")
	for _, node := range places(root) {
		commands, flags := wordsAt(node)
		fmt.Fprintf(&out, "        %s) commands=(%s) flags=(%s) ;;\n", shellQuoted(commandName(node)), described(commands), described(flags))
	}
	out.WriteString(`    esac
    if [[ $PREFIX == -* ]]; then
        _describe -o flag flags
    elif (( $#commands )) && [[ -z $skip ]]; then
        _describe command commands
    else
        _files
    fi
}
if [[ $funcstack[1] == _exeunt ]]; then _exeunt "$@"; else compdef _exeunt exeunt; fi
`)
	return out.String()
}

func fishCompletion(root *kong.Node) string {
	var out strings.Builder
	out.WriteString(madeBy + `function __exeunt_command
    set -l path
    set -l skip
    for word in (commandline -opc)[2..-1]
        if test -n "$skip"
            set skip
            continue
        end
        switch $word
            case ` + strings.Join(withValue(root), " ") + `
                set skip yes
                continue
            case '-*'
                continue
        end
        set -l longer (string join ' ' $path $word)
        if contains -- $longer `)
	for _, node := range places(root)[1:] {
		out.WriteString(shellQuoted(commandName(node)) + " ")
	}
	out.WriteString(`
            set path $longer
        else
            break
        end
    end
    echo "$path"
end
complete -c exeunt -e
`)
	for _, node := range places(root) {
		commands, flags := wordsAt(node)
		at := `'test "$(__exeunt_command)" = "` + commandName(node) + `"'`
		for _, w := range commands {
			fmt.Fprintf(&out, "complete -c exeunt -n %s -f -a %s -d %s\n", at, w.text, shellQuoted(w.help))
		}
		for _, w := range flags {
			value := ""
			if w.value {
				value = " -r"
			}
			fmt.Fprintf(&out, "complete -c exeunt -n %s -l %s%s -d %s\n", at, strings.TrimPrefix(w.text, "--"), value, shellQuoted(w.help))
		}
	}
	return out.String()
}
