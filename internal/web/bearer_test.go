package web

import (
	"net/http"
	"testing"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
)

func TestBearer(t *testing.T) {
	app, session, code := exeunt.NewToken(exeunt.UseApp), exeunt.NewToken(exeunt.UseSession),
		exeunt.NewToken(exeunt.UseCode)
	for name, c := range map[string]struct {
		given []string
		want  exeunt.Token
	}{
		"an app session's":      {[]string{"Bearer " + app.Reveal()}, app},
		"a session's":           {[]string{"Bearer " + session.Reveal()}, session},
		"any case":              {[]string{"bEARER " + app.Reveal()}, app},
		"nothing":               {nil, exeunt.Token{}},
		"an empty header":       {[]string{""}, exeunt.Token{}},
		"the scheme alone":      {[]string{"Bearer "}, exeunt.Token{}},
		"the token alone":       {[]string{app.Reveal()}, exeunt.Token{}},
		"another scheme":        {[]string{"Basic " + app.Reveal()}, exeunt.Token{}},
		"a code":                {[]string{"Bearer " + code.Reveal()}, code},
		"something behind it":   {[]string{"Bearer " + app.Reveal() + " "}, exeunt.Token{}},
		"the same header twice": {[]string{"Bearer " + app.Reveal(), "Bearer " + app.Reveal()}, exeunt.Token{}},
	} {
		r := &http.Request{Header: http.Header{"Authorization": c.given}}
		if got := Bearer(r); got.Token != c.want || (got.Use == authority.AsBearer) != (c.want != exeunt.Token{}) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestBearerAllocatesNothing(t *testing.T) {
	r := &http.Request{Header: http.Header{"Authorization": {"Bearer " + exeunt.NewToken(exeunt.UseApp).Reveal()}}}
	if n := testing.AllocsPerRun(100, func() { Bearer(r) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
