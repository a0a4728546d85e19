package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"
)

const documentHead = `# Benchmarks

Written by ` + "`make bench`" + `, which measures everything here in one run, in interleaved rounds, on a machine with
nothing else to do. Where a figure has a limit from the same run, the ratio says more than the rate, since machines
differ. Figures are medians; in brackets is where the median lies with 95 % confidence. A floor is what must hold.
`

// document renders the figures. It describes the machine, but names no paths of it.
func (r *report) document() []byte {
	var b bytes.Buffer
	b.WriteString(documentHead)
	fmt.Fprintf(&b, "\n## The machine\n\n| | |\n|---|---|\n")
	for _, line := range [][2]string{
		{"date", r.began.UTC().Format(time.DateOnly)}, {"processor", r.machine.cpu}, {"kernel", r.machine.kernel}, {"Go", r.machine.goVersion},
		{"PostgreSQL", r.machine.postgres}, {"Redis", r.machine.redis}, {"disk", r.machine.disk}, {"rounds", fmt.Sprint(r.rounds)},
	} {
		if line[1] != "" {
			fmt.Fprintf(&b, "| %s | %s |\n", line[0], line[1])
		}
	}
	fmt.Fprintf(&b, "\n## Figures\n\n| figure | measured | beside | judged | floor | |\n|---|---|---|---|---|---|\n")
	for _, w := range rows {
		if w.beside {
			continue
		}
		f, floor := r.figure(w), ""
		if w.floor != 0 {
			floor = w.number(w.floor)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", w.name, f.value, f.limit, f.judgement(w), floor, f.verdict(w))
	}
	b.WriteString(documentBeside)
	for _, w := range rows {
		if w.beside {
			f := r.figure(w)
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", w.name, f.value, f.limit, f.note)
		}
	}
	b.WriteString("\n## How it is measured\n\n")
	for _, how := range hows() {
		for i, line := range wrapped("**"+strings.Join(how.names, "; ")+".** "+how.text, 116) {
			fmt.Fprintf(&b, "%s%s\n", [2]string{"- ", "  "}[min(i, 1)], line)
		}
	}
	return b.Bytes()
}

// wrapped breaks a text into lines of at most so many characters.
func wrapped(text string, width int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len([]rune(line))+1+len([]rune(word)) > width {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return append(lines, line)
}

// figure is what was measured for a row.
func (r *report) figure(w row) figure {
	i := slices.IndexFunc(r.figures, func(f figure) bool { return f.row == w.name })
	if i < 0 {
		return figure{value: "not measured", noLimit: "–"}
	}
	return r.figures[i]
}

type how struct {
	names []string
	text  string
}

// hows are the explanations, each with the rows that share it.
func hows() (list []how) {
	for _, w := range rows {
		if i := slices.IndexFunc(list, func(h how) bool { return h.text == w.how }); i >= 0 {
			list[i].names = append(list[i].names, w.name)
			continue
		}
		list = append(list, how{[]string{w.name}, w.how})
	}
	return list
}
