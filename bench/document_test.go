package main

import (
	"bytes"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden file anew")

// The rendering of one figure of each kind, and of rows without one.
func TestDocument(t *testing.T) {
	r := &report{
		machine: machine{cpu: "a processor, 2 processors, amd64", kernel: "Linux 6", goVersion: "go1.26", postgres: "15.1", disk: "7,600 fdatasync/s"},
		rounds:  21, began: time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC),
		figures: []figure{
			{row: rowGate16, value: "50,000/s", limit: "60,000/s", judged: 0.8333, low: 0.81, high: 0.8666, note: "p99 1.00 ms"},
			{row: rowGate64, value: "58,000/s", limit: "60,000/s", judged: 0.96, low: 0.95, high: 0.97},
			{row: rowBytes1M, value: "70 bytes", judged: 70.25},
			{row: rowSpread50, value: "0.4 ms", judged: 0.4},
			{row: rowEnd1, value: "90,000/s", noLimit: "the disk is not durable"},
			{row: rowScsMemory, value: "1/s", limit: "2/s", note: "3 of 4"},
		},
	}
	got := r.document()
	const golden = "testdata/document.md"
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the document is not as in %s; look at it, and run this with -update:\n%s", golden, got)
	}
}

// The committed document has the rows that the bench makes, in their order, and
// what is explained today. Its values are of the day it was made.
func TestCommittedDocument(t *testing.T) {
	text, err := os.ReadFile("../docs/benchmarks.md")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(text)) {
		if name, _, ok := strings.Cut(strings.TrimPrefix(line, "| "), " | "); ok && strings.HasPrefix(line, "| ") {
			names = append(names, name)
		}
	}
	var want []string
	for _, w := range rows {
		want = append(want, w.name)
	}
	names = slices.DeleteFunc(names, func(n string) bool { return !slices.Contains(want, n) })
	if !slices.Equal(names, want) {
		t.Errorf("docs/benchmarks.md has the rows\n%q, the bench makes\n%q: run make bench", names, want)
	}
	flat := strings.Join(strings.Fields(string(text)), " ")
	for _, how := range hows() {
		if !strings.Contains(flat, how.text) {
			t.Errorf("docs/benchmarks.md does not say: %s", how.text)
		}
	}
}

func TestVerdict(t *testing.T) {
	more, less := row{floor: 0.9}, row{floor: 5, fewer: true}
	for _, c := range []struct {
		row    row
		judged float64
		want   string
	}{
		{more, 0.95, "met"}, {more, 0.9, "met"}, {more, 0.899, "**missed**"},
		{less, 3, "met"}, {less, 5, "met"}, {less, 5.01, "**missed**"}, {row{}, 1, ""},
	} {
		if got := (figure{judged: c.judged}).verdict(c.row); got != c.want {
			t.Errorf("%v with floor %v: %s, want %s", c.judged, c.row.floor, got, c.want)
		}
	}
}

// The ranks are those of published tables for 95 %: with 6 figures the
// extremes and with fewer none, with 20 the 6th and the 15th, with 21 the 6th and the 16th.
func TestInterval(t *testing.T) {
	for n, want := range map[int][2]float64{5: {0, 0}, 6: {1, 6}, 8: {1, 8}, 9: {2, 8}, 20: {6, 15}, 21: {6, 16}, 50: {18, 33}} {
		v := make([]float64, n)
		for i := range v {
			v[i] = float64(i + 1)
		}
		slices.Reverse(v)
		if low, high := interval(v); low != want[0] || high != want[1] {
			t.Errorf("%d figures: %v to %v, want %v", n, low, high, want)
		}
	}
}

func TestThousands(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 999: "999", 1000: "1,000", 1234567.6: "1,234,568", -1000: "-1,000", -100: "-100"} {
		if got := thousands(v); got != want {
			t.Errorf("%v is %s, want %s", v, got, want)
		}
	}
}
