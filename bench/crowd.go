package main

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/live"
)

// sampled is how many tokens of a crowd are checked: more than fit into any cache.
const sampled = 1 << 20

// crowd fills a memory with sessions, three to an account. With holes, every tenth ends
// while it grows, without an event in a log. It returns tokens of live sessions, in random
// order. They are not in a store, which a check of a token in memory never reads.
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
			return nil, errors.New("memory did not take a session")
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
