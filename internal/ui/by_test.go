package ui

import (
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

// "At the latest in 4 hours" is not said of what ends later, and not one hour too few of what has just begun.
func TestAnEndIsNeverLaterThanItSays(t *testing.T) {
	faces, err := New()
	if err != nil {
		t.Fatal(err)
	}
	for left, want := range map[time.Duration]string{
		4*time.Hour - time.Second: "4 hours", 3*time.Hour + time.Minute: "4 hours", 2 * time.Hour: "2 hours",
		20*time.Minute + time.Second: "21 minutes", 59 * time.Second: "59 seconds",
	} {
		page := rendered(t, faces, &SettingsView{Frame: in(NavSettings), Policy: exeunt.DefaultPolicy(),
			This: exeunt.Session{Idle: time.Minute, ExpiresAt: testNow.Add(left)}})
		if !strings.Contains(page, "in "+want) {
			t.Errorf("%v: the page does not say %q", left, want)
		}
	}
}
