package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"
)

const documentHead = `# Benchmarks

Written by ` + "`make bench`" + `, which measures everything here in one run and puts each figure beside its limit from that
same run: a ratio says more than a rate, since machines differ and are noisy. Ratios are medians over interleaved rounds; in
brackets is where the median lies with 95 % confidence. A floor is what must hold; an aim is what we work towards. What is
missed is reported.
`

// document renders what was measured. It names the machine, but nothing of
// where on it anything lies.
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
	fmt.Fprintf(&b, "\n## Against limits\n\n| figure | measured | limit in the same run | ratio or figure | floor | aim | |\n|---|---|---|---|---|---|---|\n")
	for _, w := range rows {
		if w.floor != 0 {
			f := r.figure(w)
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", w.name, f.value, f.limit, f.judgement(w), w.number(w.floor), w.number(w.aim), f.verdict(w))
		}
	}
	b.WriteString(documentBeside)
	for _, w := range rows {
		if w.floor == 0 {
			f := r.figure(w)
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", w.name, f.value, f.limit, f.note)
		}
	}
	b.WriteString("\n## How it is measured\n\n")
	for _, how := range hows() {
		fmt.Fprintf(&b, "- **%s.** %s\n", strings.Join(how.names, "; "), how.text)
		for _, note := range r.notes(how.names) {
			fmt.Fprintf(&b, "  %s.\n", note)
		}
	}
	return b.Bytes()
}

// figure is what was measured for a row.
func (r *report) figure(w row) figure {
	i := slices.IndexFunc(r.figures, func(f figure) bool { return f.row == w.name })
	if i < 0 {
		return figure{value: "not measured", noLimit: "–"}
	}
	return r.figures[i]
}

// notes are what the figures that are judged have to add.
func (r *report) notes(names []string) (notes []string) {
	for _, w := range rows {
		if f := r.figure(w); slices.Contains(names, w.name) && f.note != "" && w.floor != 0 {
			notes = append(notes, w.name+": "+f.note)
		}
	}
	return notes
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
