package client

import (
	"net/http"
	"slices"
	"testing"
)

func TestPersonsGroups(t *testing.T) {
	for header, want := range map[string][]string{"": nil, "staff": {"staff"}, "admins,staff": {"admins", "staff"}} {
		if got := personOf(http.Header{HeaderGroups: {header}}).Groups; !slices.Equal(got, want) || (got == nil) != (want == nil) {
			t.Errorf("%q: %q, want %q", header, got, want)
		}
	}
}
