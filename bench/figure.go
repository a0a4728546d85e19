package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
)

// row is a line of the document: what is measured, how, and what is asked of it.
type row struct {
	name   string
	how    string  // rows that share it are explained together
	unit   string  // of what is judged: "" for a ratio
	floor  float64 // 0 when nothing is asked
	fewer  bool    // is better
	beside bool    // is there to compare
}

// figure is what one run measured for a row.
type figure struct {
	row          string // its name
	value, limit string // what was measured and beside what, with their units
	judged       float64
	low, high    float64 // where the median lies with 95 % confidence; both 0 if not told
	note         string
	// noLimit says why there is nothing to compare with: then only value counts.
	noLimit string
}

// report gathers the figures of a run.
type report struct {
	machine machine
	rounds  int
	began   time.Time
	figures []figure
}

// add prints a figure and adds it to the document.
func (r *report) add(f figure) {
	i := slices.IndexFunc(rows, func(w row) bool { return w.name == f.row })
	if i < 0 {
		panic("bench: no row is called " + f.row)
	}
	r.figures = append(r.figures, f)
	w := rows[i]
	fmt.Printf("%-58s %s", w.name, f.value)
	if f.limit != "" {
		fmt.Printf(", beside %s", f.limit)
	}
	fmt.Printf(": %s", f.judgement(w))
	if verdict := f.verdict(w); verdict != "" {
		fmt.Printf(" (floor %s: %s)", w.number(w.floor), verdict)
	}
	if f.note != "" {
		fmt.Printf("; %s", f.note)
	}
	fmt.Println()
}

// missing are the rows for which nothing was measured.
func (r *report) missing() error {
	var errs []error
	for _, w := range rows {
		if !slices.ContainsFunc(r.figures, func(f figure) bool { return f.row == w.name }) {
			errs = append(errs, fmt.Errorf("no figure for %q", w.name))
		}
	}
	return errors.Join(errs...)
}

// number writes out what is judged.
func (w row) number(v float64) string {
	text := strconv.FormatFloat(v, 'g', 3, 64)
	switch {
	case v == math.Trunc(v) && v < 1e6:
		text = strconv.FormatFloat(v, 'f', 0, 64)
	case v < 1000:
		text = strconv.FormatFloat(v, 'f', 2, 64)
	}
	switch {
	case w.unit == "/s":
		return thousands(v) + w.unit
	case w.unit != "":
		return text + " " + w.unit
	}
	return text
}

// judgement writes out the figure with its confidence interval.
func (f figure) judgement(w row) string {
	switch {
	case f.noLimit != "":
		return f.noLimit
	case w.beside:
		return "–"
	case f.low == 0 && f.high == 0:
		return w.number(f.judged)
	}
	return fmt.Sprintf("%s [%s, %s]", w.number(f.judged), row{}.number(f.low), row{}.number(f.high))
}

func (f figure) verdict(w row) string {
	switch {
	case w.floor == 0 || f.noLimit != "":
		return ""
	case f.judged == w.floor, f.judged < w.floor == w.fewer:
		return "met"
	}
	return "**missed**"
}

// interval returns where the median of the population lies with at least 95 %
// confidence: between two order statistics, whatever the distribution (the
// number below the median is binomial). With fewer than 6 figures there is no
// such pair: it returns 0 and 0, which are not printed.
func interval(v []float64) (low, high float64) {
	v = slices.Clone(v)
	slices.Sort(v)
	n := len(v)
	if n < 6 {
		return 0, 0
	}
	outside, p := 0.0, math.Pow(0.5, float64(n)) // the chance of k below the median, k = 0
	k := 0
	for ; k < n/2; k++ {
		if outside+p > 0.025 {
			break
		}
		outside += p
		p = p * float64(n-k) / float64(k+1)
	}
	k = max(k-1, 0)
	return v[k], v[n-1-k]
}

// thousands writes a whole number with commas.
func thousands(v float64) string {
	s := strconv.FormatFloat(math.Round(v), 'f', 0, 64)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
