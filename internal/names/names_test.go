package names

import "testing"

func TestEqualNamesHaveOneKey(t *testing.T) {
	for want, all := range map[string][]string{
		"ada": {"ada", "Ada", "  ADA\n", "ａｄａ", "\u200bada\ufeff", "a\u00adda", "\u202aada\u202c"},
		"ada@xn--bcher-kva.example": {"ada@bücher.example", "ada@xn--bcher-kva.example", "Ada@BÜCHER.example",
			"ada@bu\u0308cher.example", "ada@XN--BCHER-KVA.example", "ada@bücher。example", " ada@bücher.example ",
			"ada＠bücher.example", "ada@b\u200bücher.example"},
		"zo\u00eb@example.com":   {"zoë@example.com", "zoe\u0308@example.com", "ZOË@EXAMPLE.COM"},
		"ada@fass.example":       {"ada@fass.example"}, // which is not:
		"ada@xn--fa-hia.example": {"ada@faß.example"},
	} {
		for _, s := range all {
			if got := Key(s); got != want {
				t.Errorf("Key(%+q) = %+q, want %+q", s, got, want)
			}
			if again := Key(want); again != want {
				t.Errorf("the key of the key %+q is %+q", want, again)
			}
		}
	}
}

func FuzzKey(f *testing.F) {
	for _, s := range []string{"ada@bücher.example", "İ@İ", "a\u0345@ǰ", "@", "a@", "@@", "ﬁ@ﬁ.example"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if k := Key(s); Key(k) != k {
			t.Errorf("Key(%+q) = %+q, whose key is %+q", s, k, Key(k))
		}
	})
}

func TestWhatPeoplePaste(t *testing.T) {
	for in, want := range map[string]string{
		" ada ": "ada", "\ufeffada@example.com\r\n": "ada@example.com", "a da": "a da", "a\tda": "a\tda", "": "",
		"\u200e@ada\u200f": "@ada", "\u2066ada\u2069": "ada", "ada\u00a0": "ada",
	} {
		if got := Pasted(in); got != want {
			t.Errorf("Pasted(%+q) = %+q", in, got)
		}
	}
	if got := Link("exi_ab\r\n cd\u200bef\u00ad "); got != "exi_abcdef" {
		t.Errorf("%+q", got)
	}
}

func TestDisplayedNames(t *testing.T) {
	for in, want := range map[string]string{
		"Ada Lovelace": "Ada Lovelace",
		"A\u200bd\u200ea \u200fLove\u061clace\u202e\u2066\u00ad\ufeff": "Ada Lovelace",
		"A\u200cd\u200da": "Ada", "А\u200dда": "Ада", "\u200dAda\u200d": "Ada", "愛\u200c子": "愛子",
		"می\u200cخواهم": "می\u200cخواهم", "ක්\u200dර": "ක්\u200dර", "می\u200c\u200cخ": "میخ", "می\u200c": "می",
		"👩\u200d🚀": "👩\u200d🚀", "👩\u200c🚀": "👩🚀", "👩🏽\u200d🚀": "👩🏽\u200d🚀", "a\u200d🚀": "a🚀",
		"Zoe\u0308": "Zoe\u0308", "a\xffb": "ab", " \u200b Ada": "Ada", "a\x1bb": "a\x1bb",
	} {
		if got := Display(in); got != want {
			t.Errorf("Display(%+q) = %+q, want %+q", in, got, want)
		}
		if again := Display(want); again != want {
			t.Errorf("Display(%+q) = %+q", want, again)
		}
	}
}

func TestNamesThatShowNothing(t *testing.T) {
	for _, s := range []string{"", " ", "\u200b", "\u3164", "\u2800\u2800", "\u115f \u1160", "\ufe0f", "\u0301", "\u202e", "\u00ad"} {
		if Shows(s) {
			t.Errorf("%+q shows", s)
		}
	}
	for _, s := range []string{"a", "ж", "\u200bа", "😀", ".", "한", "-"} {
		if !Shows(s) {
			t.Errorf("%+q does not show", s)
		}
	}
}
