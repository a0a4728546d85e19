package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/exeunt/exeunt"
)

// told is what the client of a session was told about its sign-out.
type told uint8

const (
	notAsked told = iota // nobody signed it out
	done                 // 204: it has ended
	unknown              // anything else: it may have ended
)

// answer is what a node answers to a token in the end.
type answer uint8

const (
	indeterminate answer = iota
	accepts
	refuses
)

// outcome is the end result of a session.
type outcome struct {
	session  exeunt.SessionID
	told     told
	answers  []answer      // of each node, to the session's token
	recorded exeunt.Reason // why it ended, in the database; "" if it has not
}

// verdict counts what became of the sessions.
type verdict struct {
	done, lost         int // acknowledged sign-outs, and those of them that are none
	unknown, tookPlace int // sign-outs of unknown outcome, and those of them that are one
	notAsked           int
	wrong              []string // whatever else must not be
}

// judge compares what clients were told with the nodes and the database. A sign-out is
// lost if it was acknowledged, and a node or the database does not have it. If its outcome
// is unknown, all must agree on one. Nobody who did not ask may be signed out.
func judge(outcomes []outcome) (v verdict) {
	for _, o := range outcomes {
		ended := o.recorded != ""
		wrong := func(format string, args ...any) {
			v.wrong = append(v.wrong, fmt.Sprintf("%v %s", o.session, fmt.Sprintf(format, args...)))
		}
		if slices.Contains(o.answers, indeterminate) || len(o.answers) == 0 {
			wrong("is one that a node cannot tell of")
		}
		switch o.told {
		case done:
			v.done++
			if !ended || slices.Contains(o.answers, accepts) {
				v.lost++
			}
		case unknown:
			v.unknown++
			if ended {
				v.tookPlace++
			}
		case notAsked:
			v.notAsked++
			if ended {
				wrong("was ended (%s), and nobody asked for it", o.recorded)
			}
		}
		if ended && o.recorded != exeunt.ReasonSignedOut && o.told != notAsked {
			wrong("ended by another reason: %s", o.recorded)
		}
		if o.told == done {
			continue // whoever disagrees about it has lost it
		}
		if ended && slices.Contains(o.answers, accepts) {
			wrong("has ended, and a node accepts it")
		}
		if !ended && slices.Contains(o.answers, refuses) {
			wrong("has not ended, and a node refuses it")
		}
	}
	return v
}

// held reports whether there were sign-outs and none was lost.
func (v verdict) held() bool { return v.done > 0 && v.lost == 0 && len(v.wrong) == 0 }

// longestWait is the longest time between two of the moments, from and to
// included.
func longestWait(from time.Time, moments []time.Time, to time.Time) (longest time.Duration) {
	last := from
	for _, m := range append(slices.SortedFunc(slices.Values(moments), time.Time.Compare), to) {
		longest = max(longest, m.Sub(last))
		last = m
	}
	return longest
}
