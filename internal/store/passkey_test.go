package store

import (
	"sync"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

// A passkey is found by its ID, belongs to one account, and answers a question once, whatever else is dropped; its count
// only rises. An account is offered one until it has one or says no.
func TestPasskeys(t *testing.T) { onEachEngine(t, passkeys) }

func passkeys(t *testing.T, s *testStore) {
	ctx, a, b := t.Context(), s.account(), s.account()
	add := func(of exeunt.AccountID, credential string) error {
		proof := s.proof(of)
		n := newSession(proof, epoch)
		if _, err := s.StartSession(ctx, n); err != nil {
			t.Fatal(err)
		}
		by := exeunt.Actor{Kind: exeunt.ActorPerson, Account: of, Session: n.Session.ID}
		return s.ChangeFactors(ctx, by, n.Hash, proof.CredentialVersion, FactorChange{Add: &NewFactor{Data: []byte("key"),
			Factor: exeunt.Factor{ID: exeunt.NewFactorID(), Kind: exeunt.FactorPasskey, Name: "Key", Credential: []byte(credential)}}}, epoch)
	}
	offer := func(of exeunt.AccountID, want bool) {
		t.Helper()
		if got, err := s.OfferPasskey(ctx, of); err != nil || got != want {
			t.Errorf("it is offered a passkey: %v, %v", got, err)
		}
	}
	offer(a.ID, true)
	wantErr(t, add(a.ID, "credential "+a.Handle), nil)
	wantErr(t, add(b.ID, "credential "+a.Handle), exeunt.ErrPasskeyTaken)
	offer(a.ID, false)
	for range 2 {
		wantErr(t, s.DeclinePasskey(ctx, b.ID), nil)
	}
	offer(b.ID, false)
	f, data, err := s.Passkey(ctx, []byte("credential "+a.Handle))
	if err != nil || f.Account != a.ID || string(data) != "key" {
		t.Fatalf("%+v %q %v", f, data, err)
	}
	_, _, err = s.Passkey(ctx, []byte("another"))
	wantErr(t, err, exeunt.ErrNotFound)

	question := func() Use {
		return Use{Answer: []byte("answer"), Challenge: Challenge{Hash: exeunt.NewToken(exeunt.UseChallenge).Hash(),
			Purpose: ChallengePasskey, Proof: s.proof(a.ID), Expires: epoch.Add(exeunt.ChallengeLife)}}
	}
	use := func(counter int64, u Use) error { return s.UseFactor(ctx, f, counter, []byte("next"), u, epoch) }
	once := question()
	var wg sync.WaitGroup
	errs := make([]error, 16)
	for i := range errs {
		wg.Go(func() { errs[i] = use(0, once) })
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else {
			wantErr(t, err, exeunt.ErrChallengeOver)
		}
	}
	if won != 1 {
		t.Errorf("%d of 16 answers won", won)
	}
	got, err := s.Challenge(ctx, once.Challenge.Hash, epoch)
	if err != nil || string(got.Answer) != "answer" || got.Proof.Account != a.ID {
		t.Errorf("the answered question is %+v, %v", got, err)
	}
	for range 3 { // as many challenges of other kinds as an account may have
		c := Challenge{Hash: exeunt.NewToken(exeunt.UseChallenge).Hash(), Purpose: ChallengeSignIn, Proof: s.proof(a.ID),
			Expires: epoch.Add(time.Hour)}
		wantErr(t, s.AddChallenge(ctx, c, 1), nil)
	}
	wantErr(t, use(0, once), exeunt.ErrChallengeOver)
	wantErr(t, use(7, question()), nil)
	for _, low := range []int64{0, 6, 7} {
		wantErr(t, use(low, question()), exeunt.ErrCodeUsed)
	}
	wantErr(t, use(8, question()), nil)
	if _, data, err = s.Passkey(ctx, f.Credential); err != nil || string(data) != "next" {
		t.Errorf("its data is %q, %v", data, err)
	}
}
