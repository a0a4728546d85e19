package main

import (
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

func TestJudge(t *testing.T) {
	const out = exeunt.ReasonSignedOut
	all := func(a answer) []answer { return []answer{a, a, a} }
	one := func(a answer) []answer { return []answer{refuses, a, refuses} }
	for name, c := range map[string]struct {
		outcome
		want  verdict // without wrong
		wrong string
	}{
		"done, refused, recorded":          {outcome{told: done, answers: all(refuses), recorded: out}, verdict{done: 1}, ""},
		"done, and a node accepts it":      {outcome{told: done, answers: one(accepts), recorded: out}, verdict{done: 1, lost: 1}, ""},
		"done, and not recorded":           {outcome{told: done, answers: all(refuses)}, verdict{done: 1, lost: 1}, ""},
		"done, and forgotten everywhere":   {outcome{told: done, answers: all(accepts)}, verdict{done: 1, lost: 1}, ""},
		"done, and a node cannot tell":     {outcome{told: done, answers: one(indeterminate), recorded: out}, verdict{done: 1}, "cannot tell"},
		"done, and no node was asked":      {outcome{told: done, recorded: out}, verdict{done: 1}, "cannot tell"},
		"done, by another reason":          {outcome{told: done, answers: all(refuses), recorded: exeunt.ReasonIdle}, verdict{done: 1}, "another reason"},
		"unknown, and took place":          {outcome{told: unknown, answers: all(refuses), recorded: out}, verdict{unknown: 1, tookPlace: 1}, ""},
		"unknown, and did not":             {outcome{told: unknown, answers: all(accepts)}, verdict{unknown: 1}, ""},
		"unknown, and nodes disagree":      {outcome{told: unknown, answers: one(accepts), recorded: out}, verdict{unknown: 1, tookPlace: 1}, "accepts it"},
		"unknown, refused, not recorded":   {outcome{told: unknown, answers: one(accepts)}, verdict{unknown: 1}, "refuses it"},
		"nobody asked, and it lives":       {outcome{told: notAsked, answers: all(accepts)}, verdict{notAsked: 1}, ""},
		"nobody asked, and it has ended":   {outcome{told: notAsked, answers: all(refuses), recorded: out}, verdict{notAsked: 1}, "nobody asked"},
		"nobody asked, and a node refuses": {outcome{told: notAsked, answers: one(accepts)}, verdict{notAsked: 1}, "refuses it"},
	} {
		got := judge([]outcome{c.outcome})
		if got.done != c.want.done || got.lost != c.want.lost || got.unknown != c.want.unknown || got.tookPlace != c.want.tookPlace || got.notAsked != c.want.notAsked {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
		if said := strings.Join(got.wrong, "; "); (said == "") != (c.wrong == "") || !strings.Contains(said, c.wrong) {
			t.Errorf("%s: says %q, want %q", name, said, c.wrong)
		}
		if want := c.want.done == 1 && c.want.lost == 0 && c.wrong == ""; got.held() != want {
			t.Errorf("%s: held is %v", name, got.held())
		}
	}
	if judge(nil).held() {
		t.Error("a run in which nobody signed out shows nothing, and is said to hold")
	}
}

func TestLongestWait(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	for name, c := range map[string]struct {
		moments []time.Time
		want    int
	}{
		"nothing ever": {nil, 10}, "in between": {[]time.Time{at(9), at(2)}, 7}, "at the end": {[]time.Time{at(1), at(3)}, 7}, "at the beginning": {[]time.Time{at(8), at(9)}, 8},
	} {
		if got := longestWait(at(0), c.moments, at(10)); got != time.Duration(c.want)*time.Second {
			t.Errorf("%s: %v", name, got)
		}
	}
}
