package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/config"
	"github.com/exeunt/exeunt/internal/demo"
)

// staleness is the nodes' default.
var staleness = config.Default().MaxStaleness

// cutOff is how long the standbys receive nothing before the primary is lost. What it
// acknowledges without them in that time is lost.
const cutOff = 300 * time.Millisecond

// survive loses the primary under load and reports the outcome.
func (c *cluster) survive(ctx context.Context, primary *member, person demo.Account) (held bool, err error) {
	fmt.Println("\nLosing the primary under load:")
	l := &load{person: person, bound: staleness}
	if l.balanced, err = c.front.balanced(); err != nil {
		return false, err
	}
	if l.nodes, err = c.front.direct(); err != nil {
		return false, err
	}
	if err := step(ctx, "Sign in", func() (string, error) { return fmt.Sprintf("%d sessions", stocked+lasting), l.fill(ctx) }); err != nil {
		return false, err
	}
	loading, endLoad := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { l.run(loading) })
	defer func() { endLoad(); wg.Wait() }()

	var lost time.Time
	var back func() error
	fault := "kill -9 to its server and its Patroni"
	if c.silent {
		fault = "it falls silent, its connections stay open"
	}
	half := time.Duration(c.seconds) * time.Second / 2
	if err := step(ctx, "Load, and then lose "+primary.name, func() (string, error) {
		pause(ctx, half)
		before := l.since(l.from)
		loseRest, err := c.servers.holdUp(ctx, primary)
		if err != nil {
			return "", err
		}
		pause(ctx, cutOff)
		back, err = c.servers.lose(primary, c.silent)
		lost = time.Now()
		loseRest()
		return fmt.Sprintf("%d sign-outs in %v, then the standbys receive nothing for %v, then %s",
			before, half, cutOff, fault), err
	}); err != nil {
		return false, err
	}
	if err := step(ctx, "Another takes over", func() (string, error) {
		return c.takenOver(ctx, l, primary, lost)
	}); err != nil {
		return false, err
	}
	pause(ctx, half)
	endLoad()
	wg.Wait()
	until := time.Now()
	c.report(l, until)
	v, err := c.verify(ctx, l)
	if err != nil {
		return false, err
	}
	if err := step(ctx, primary.name+" comes back", func() (string, error) { return c.comeBack(ctx, back) }); err != nil {
		return false, err
	}
	const shown = 5
	for _, wrong := range [][]string{v.wrong, l.tooLate, l.confused} {
		for _, line := range wrong[:min(shown, len(wrong))] {
			fmt.Println("  ✗", line)
		}
		if more := len(wrong) - shown; more > 0 {
			fmt.Printf("  ✗ and %d more like that\n", more)
		}
	}
	return v.held() && len(l.tooLate)+len(l.confused) == 0, nil
}

// takenOver waits until sign-outs are acknowledged again.
func (c *cluster) takenOver(ctx context.Context, l *load, old *member, lost time.Time) (string, error) {
	var next *member
	err := await(90*time.Second, func() (err error) {
		if ctx.Err() != nil {
			return final{ctx.Err()}
		}
		next, err = c.servers.primary(old)
		return err
	})
	if err != nil {
		return "", err
	}
	promoted := time.Now()
	err = await(60*time.Second, func() error {
		if ctx.Err() != nil {
			return final{ctx.Err()}
		}
		if l.since(promoted) == 0 {
			return errors.New("no sign-out is acknowledged")
		}
		return nil
	})
	return fmt.Sprintf("%s is the primary after %v, sign-outs are acknowledged after %v", next.name,
		promoted.Sub(lost).Round(100*time.Millisecond), time.Since(lost).Round(100*time.Millisecond)), err
}

// report prints the outcome of the load.
func (c *cluster) report(l *load, until time.Time) {
	round := func(d time.Duration) time.Duration { return d.Round(10 * time.Millisecond) }
	fmt.Printf("    nobody could sign out for %v, nor sign in for %v, at the longest\n",
		round(longestWait(l.from, l.signOuts, until)), round(longestWait(l.from, l.signIns, until)))
	for k := range l.nodes {
		fmt.Printf("    node %d accepted nobody for %v at the longest (%d of its %d checks answered 503: indeterminate)\n",
			k+1, round(longestWait(l.from, l.usable[k], until)), l.indeterminate[k], l.indeterminate[k]+len(l.usable[k]))
	}
	late := "no node accepted a session after its sign-out was acknowledged"
	if l.late > 0 {
		late = fmt.Sprintf("some node accepted a session %v after its sign-out was acknowledged, at the longest", l.late.Round(100*time.Microsecond))
	}
	fmt.Printf("    %s; the bound is %v\n", late, l.bound)
}

// verify asks every node and the database about every session.
func (c *cluster) verify(ctx context.Context, l *load) (v verdict, err error) {
	recorded, err := c.recorded(ctx)
	if err != nil {
		return v, err
	}
	var outcomes []outcome
	for _, t := range l.trials {
		o := outcome{session: t.session, told: t.told, recorded: recorded[t.session]}
		for _, node := range l.nodes {
			o.answers = append(o.answers, resolved(ctx, node, t.token))
		}
		outcomes = append(outcomes, o)
	}
	v = judge(outcomes)
	mark := "✓"
	if !v.held() {
		mark = "✗"
	}
	fmt.Printf("  %s Replay every token on every node, and read every row: %d sign-outs acknowledged, %d lost; %d never acknowledged, of which %d took place; %d sessions that nobody ended\n",
		mark, v.done, v.lost, v.unknown, v.tookPlace, v.notAsked)
	return v, ctx.Err()
}

// resolved returns a node's answer to a token, as soon as it is not indeterminate.
func resolved(ctx context.Context, node *client.Client, token client.Secret) (a answer) {
	_ = await(10*time.Second, func() error {
		_, err := node.Check(ctx, token, false)
		switch {
		case err == nil:
			a = accepts
		case errors.Is(err, client.ErrSignedOut):
			a = refuses
		default:
			return err
		}
		return nil
	})
	return a
}

// recorded returns the endings in the primary's database, with their reasons.
func (c *cluster) recorded(ctx context.Context) (map[exeunt.SessionID]exeunt.Reason, error) {
	primary, err := c.servers.primary()
	if err != nil {
		return nil, err
	}
	return c.ends(ctx, primary)
}

func (c *cluster) ends(ctx context.Context, m *member) (map[exeunt.SessionID]exeunt.Reason, error) {
	conn, err := c.servers.connectTo(ctx, m, "exeunt")
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `SELECT id, ended_reason FROM sessions WHERE ended_at IS NOT NULL`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[exeunt.SessionID]exeunt.Reason{}
	for rows.Next() {
		var raw []byte
		var reason string
		if err := rows.Scan(&raw, &reason); err != nil {
			return nil, err
		}
		var id exeunt.SessionID
		if err := id.Scan(raw); err != nil {
			return nil, err
		}
		out[id] = exeunt.Reason(reason)
	}
	return out, rows.Err()
}

// comeBack restarts the lost machine and waits until all servers have the same data.
func (c *cluster) comeBack(ctx context.Context, back func() error) (string, error) {
	if err := back(); err != nil {
		return "", err
	}
	primary, err := c.servers.whole(ctx, time.Minute)
	if err != nil {
		return "", err
	}
	ends, err := c.ends(ctx, primary)
	if err != nil {
		return "", err
	}
	for _, m := range c.servers.members {
		err := await(10*time.Second, func() error {
			there, err := c.ends(ctx, m)
			if err == nil && len(there) != len(ends) {
				err = fmt.Errorf("%s has %d ends, %s %d", m.name, len(there), primary.name, len(ends))
			}
			return err
		})
		if err != nil {
			return "", err
		}
	}
	var names []string
	for _, m := range c.servers.members {
		if m != primary {
			names = append(names, m.name)
		}
	}
	return fmt.Sprintf("%s follow %s, and all three have the same %d ends", strings.Join(names, " and "), primary.name, len(ends)), nil
}
