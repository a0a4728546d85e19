package nearest

import "testing"

func TestTo(t *testing.T) {
	names := []string{"sign_up", "policy.shared.idle", "policy.shared.absolute", "url", "ada", "grace", "data"}
	for word, want := range map[string]string{
		"sign_upp": "sign_up", "signup": "sign_up", "policy.share.idle": "policy.shared.idle", "SIGN_UP": "sign_up",
		"policy.shared.ilde": "policy.shared.idle", "ulr": "url", "aad": "ada", "gracee": "grace",
		"x": "", "": "", "zzz": "", "development": "",
	} {
		if got := To(word, names); got != want {
			t.Errorf("%q is taken for %q instead of %q", word, got, want)
		}
	}
}
