package demo

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/exeunt/exeunt/client"
)

// The process is killed at random moments under load, again and again. What was
// acknowledged stands: no sign-out is lost, no sign-in is lost, and what has
// once been seen ended never lives again.
func TestKillUnderLoad(t *testing.T) {
	restarts := 50
	if testing.Short() {
		restarts = 5
	}
	dir := privateDir(t)
	people := make([]*person, crowdSize)
	for i := range people {
		people[i] = &person{handle: crowdHandle(i), random: rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), uint64(i)))}
	}
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 99))
	for restart := range restarts + 1 {
		c := startChild(t, dir)
		for _, p := range people {
			p.arrive(t, c.at.Exeunt)
		}
		each(people, func(p *person) { p.compare(t, restart == restarts) })
		if t.Failed() || restart == restarts {
			c.kill(t)
			break
		}
		ctx, cancel := context.WithCancel(t.Context())
		var load sync.WaitGroup
		for _, p := range people {
			load.Go(func() { p.live(ctx, t) })
		}
		// Some work is acknowledged first; the kill comes at any moment of it.
		timer := time.NewTimer(time.Duration(20+random.IntN(250)) * time.Millisecond)
		<-timer.C
		c.kill(t)
		cancel()
		load.Wait()
	}
	var live, ended, unknown, starts int
	for _, p := range people {
		live, ended, unknown, starts = live+len(p.alive), ended+len(p.dead), unknown+p.unsure, starts+p.starts
	}
	t.Logf("%d restarts; %d sign-ins, %d sign-outs acknowledged and kept, %d live to the last, %d outcomes unknown at a kill", restarts, starts, ended, live, unknown)
	if ended < restarts || unknown == 0 {
		t.Errorf("the load was too light to show anything: %d sign-outs, %d in flight at a kill", ended, unknown)
	}
}

func each(people []*person, do func(*person)) {
	var wg sync.WaitGroup
	for _, p := range people {
		wg.Go(func() { do(p) })
	}
	wg.Wait()
}

// child is a process that serves a folder.
type child struct {
	cmd *exec.Cmd
	at  where
}

func startChild(t *testing.T, dir string) *child {
	t.Helper()
	c := &child{cmd: exec.Command(os.Args[0])}
	c.cmd.Env = append(os.Environ(), childFolder+"="+dir)
	c.cmd.Stderr = os.Stderr
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &c.at)
	}
	if err != nil {
		t.Fatalf("the program did not start again: %v", errors.Join(err, c.cmd.Process.Kill(), c.cmd.Wait()))
	}
	return c
}

func (c *child) kill(t *testing.T) {
	t.Helper()
	if err := c.cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = c.cmd.Wait() // it was killed
}

// person signs in and out without pause, and remembers what was acknowledged.
type person struct {
	handle string
	random *rand.Rand
	api    *client.Client

	alive  map[string]bool // tokens whose sign-in was acknowledged and whose end was not asked for
	dead   map[string]bool // tokens whose end was acknowledged, or seen
	fresh  []string        // of dead, those not looked at since a restart
	asked  []string        // tokens whose end was asked for, with no answer before the kill
	maybe  map[string]bool // tokens of such an end that ended several
	unsure int
	starts int
}

func (p *person) arrive(t *testing.T, address string) {
	t.Helper()
	if p.alive == nil {
		p.alive, p.dead, p.maybe = map[string]bool{}, map[string]bool{}, map[string]bool{}
	}
	var err error
	if p.api, err = client.New(address, client.Options{}); err != nil {
		t.Fatal(err)
	}
}

// usable asks the gate.
func (p *person) usable(t *testing.T, token string) (bool, error) {
	_, err := p.api.Check(t.Context(), client.NewSecret(token), true)
	if errors.Is(err, client.ErrSignedOut) {
		return false, nil
	}
	return err == nil, err
}

// sample is how many that ended before the last restart are looked at again.
const sample = 30

// compare compares what the program says after a restart with what it had
// acknowledged before: of all that ended long ago a sample, at last all.
func (p *person) compare(t *testing.T, all bool) {
	look := p.fresh
	for token := range p.dead { // in no order
		if !all && len(look) >= len(p.fresh)+sample {
			break
		}
		look = append(look, token)
	}
	p.fresh = nil
	for _, token := range look {
		if ok, err := p.usable(t, token); ok || err != nil {
			t.Errorf("@%s: a session that had ended is usable after a restart: %v, %v", p.handle, ok, err)
		}
	}
	for token := range p.alive {
		if ok, err := p.usable(t, token); !ok || err != nil {
			t.Errorf("@%s: a session that nobody ended is lost after a restart: %v, %v", p.handle, ok, err)
		}
	}
	// Of what was not acknowledged either may be true. Asking again is
	// harmless, and its acknowledgement counts.
	for token := range p.maybe {
		ok, err := p.usable(t, token)
		switch {
		case errors.Is(err, client.ErrUnavailable):
			// It was replaced by another token, which was not received: for a while that is not called signed out.
		case err != nil:
			t.Errorf("@%s: it cannot be told whether a session has ended: %v", p.handle, err)
		case ok:
			p.alive[token] = true
		default:
			p.dead[token] = true
		}
	}
	clear(p.maybe)
	for _, token := range p.asked {
		// Signing out with a token that has ended is answered 204 as well.
		if err := p.api.End(t.Context(), client.NewSecret(token)); err != nil {
			t.Errorf("@%s: signing out again after a restart: %v", p.handle, err)
		}
		p.dead[token] = true
		if ok, err := p.usable(t, token); ok || err != nil {
			t.Errorf("@%s: signed out again after a restart, and usable: %v, %v", p.handle, ok, err)
		}
	}
	p.asked = nil
}

// live signs in and out until the program is killed.
func (p *person) live(ctx context.Context, t *testing.T) {
	for ctx.Err() == nil {
		token, session, err := p.api.SignIn(ctx, client.SignIn{Identifier: p.handle, Password: client.Sent(crowdPassword), Label: "Load"})
		if err != nil {
			p.expected(t, err)
			return
		}
		p.starts++
		text := token.Reveal()
		p.alive[text] = true
		if _, err := p.api.Check(ctx, token, true); err != nil {
			p.expected(t, err)
			return
		}
		switch n := p.random.IntN(10); {
		case n < 2: // stays signed in
			err = nil
		case n < 6:
			delete(p.alive, text)
			err = p.ended(p.api.End(ctx, token), text)
		case n < 8:
			delete(p.alive, text)
			err = p.ended(p.api.EndSession(ctx, token, session.ID, fmt.Sprintf("key-%d", p.random.Uint64())), text)
		case n < 9:
			delete(p.alive, text) // kept: it asks
			var next client.Secret
			_, next, err = p.api.EndSessions(ctx, token, client.Others, "")
			switch err = p.many(err); {
			case !next.IsZero():
				p.alive[next.Reveal()] = true
			case err == nil:
				p.alive[text] = true // too often: nothing was changed
			default:
				p.maybe[text] = true // it may have another token, which was not received
			}
		default:
			_, _, err = p.api.EndSessions(ctx, token, client.Everywhere, "")
			err = p.many(err)
		}
		if err != nil {
			p.expected(t, err)
			return
		}
	}
}

func (p *person) ended(err error, token string) error {
	if err == nil {
		p.dead[token] = true
		p.fresh = append(p.fresh, token)
		return nil
	}
	p.unsure++
	p.asked = append(p.asked, token)
	return err
}

// many moves every live token to where an end of all of them leaves it. One that
// came too often has changed nothing, and is no error.
func (p *person) many(err error) error {
	var refused *client.Problem
	if errors.As(err, &refused) && refused.Code == "endings_throttled" {
		return nil
	}
	to := p.dead
	if err != nil {
		to = p.maybe
		p.unsure++
	}
	for token := range p.alive {
		to[token] = true
		if err == nil {
			p.fresh = append(p.fresh, token)
		}
	}
	clear(p.alive)
	return err
}

// expected lets pass what a killed program answers: nothing. A sign-out that is
// refused, or a session that is not known, is not that.
func (p *person) expected(t *testing.T, err error) {
	var problem *client.Problem
	if errors.As(err, &problem) && problem.Status != http.StatusServiceUnavailable || errors.Is(err, client.ErrSignedOut) {
		t.Errorf("@%s: under load: %v", p.handle, err)
	}
}
