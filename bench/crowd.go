package main

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/live"
)

// sampled is how many tokens of a crowd are kept to be asked for: more than any
// cache holds what is known of.
const sampled = 1 << 20

// crowd fills a memory with sessions, three to an account. With holes, every tenth
// ends again while it grows, which the log of no node knows. It returns tokens of those that live, in random
// order. Nothing of it is in a store: a check of what is known never asks that.
func crowd(index *live.Index, n int, holes bool) ([]exeunt.Token, error) {
	var tokens []exeunt.Token
	now := time.Now()
	s := live.Snapshot{Epoch: index.Epoch(), Snapshot: exeunt.Snapshot{Seq: index.Applied(), AccountGeneration: 1, Session: exeunt.Session{
		Kind: exeunt.KindKept, Started: now, Seen: now, Idle: 24 * time.Hour, ExpiresAt: now.Add(48 * time.Hour), Generation: 1,
	}}}
	for made, living := 0, 0; living < n; made++ {
		if made%3 == 0 {
			s.Session.Account = exeunt.NewAccountID()
		}
		token := exeunt.NewToken(exeunt.UseSession)
		s.Session.ID, s.Hash = exeunt.NewSessionID(), token.Hash()
		if !index.Insert(s) {
			return nil, errors.New("a session was not taken into memory")
		}
		if holes && made%10 == 9 {
			s.Seq++
			rev := exeunt.Revocation{Target: exeunt.Target{Account: s.Session.Account, Scope: exeunt.ScopeSession, Session: s.Session.ID}}
			if err := index.Apply([]exeunt.Event{{Seq: s.Seq, Kind: exeunt.EventEnded, Target: rev.Target}}); err != nil {
				return nil, err
			}
			if made%100_000 == 99_999 {
				index.Forget()
			}
			continue
		}
		if living++; len(tokens) < sampled {
			tokens = append(tokens, token)
		} else if i := rand.IntN(living); i < sampled {
			tokens[i] = token
		}
	}
	index.Forget()
	rand.Shuffle(len(tokens), func(i, k int) { tokens[i], tokens[k] = tokens[k], tokens[i] })
	return tokens, nil
}
