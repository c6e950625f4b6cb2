package topic

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestValidName(t *testing.T) {
	for _, name := range []string{"a", "room.7", "é😀", " ", "*", "a/b", strings.Repeat("x", 128), "\u00a0", "\ufffd"} {
		if err := ValidName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", strings.Repeat("x", 129), "a\nb", "\x00", "\x7f", "\u0085", "\xff", "a\xed\xa0\x80"} {
		if err := ValidName(name); !errors.Is(err, ErrName) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestAllowed(t *testing.T) {
	for _, tt := range []struct {
		patterns string // separated by spaces
		topic    string
		want     bool
	}{
		{"", "anything", true},
		{"*", "", true}, {"*", "a.b/c", true},
		{"a", "a", true}, {"a", "b", false}, {"a", "aa", false}, {"aa", "a", false},
		{"room.*", "room.", true}, {"room.*", "room.7.news", true}, {"room.*", "room", false}, {"room.*", "rooms.7", false},
		{"room.* user.?", "user.é", true}, {"room.* user.?", "user.ab", false}, {"room.* user.?", "user.", false},
		{"*.news", "a.news", true}, {"*.news", "a.news.old", false}, {"*.news", "a.news.news", true},
		{"a*b*c", "a-b-b-c-c", true}, {"a*b*c", "a-c-b", false}, {"***", "", true}, {"a**", "a", true},
		{"*??", "é", false}, {"*???", "€é", false}, {"*???", "€", false}, {"*?", "€", true}, {"*??", "€é", true}, {"?*?", "é", false},
		{"[a]", "a", false}, {"[a]", "[a]", true}, {`\*`, `\anything`, true},
	} {
		if got := Allowed(strings.Fields(tt.patterns), tt.topic); got != tt.want {
			t.Errorf("Allowed(%q, %q) = %v", tt.patterns, tt.topic, got)
		}
	}
}

// The twin of match is a regular expression. (path.Match is none: to it, *??? matches two characters if
// they have bytes enough.)
func FuzzMatch(f *testing.F) {
	f.Add("room.*", "room.7")
	f.Add("*a*b?c*", "aaabbbbcc")
	f.Add("*???", "€é")
	f.Fuzz(func(t *testing.T, pattern, topic string) {
		if !utf8.ValidString(pattern) || !utf8.ValidString(topic) {
			match(pattern, topic) // it must end, whatever it says
			return
		}
		expr := strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(pattern))
		want := regexp.MustCompile("(?s)^" + expr + "$").MatchString(topic)
		if got := match(pattern, topic); got != want {
			t.Errorf("match(%q, %q) = %v", pattern, topic, got)
		}
	})
}

// A pattern of many stars is no way to stop a loop.
func TestMatchIsNotExponential(t *testing.T) {
	pattern := strings.Repeat("*a", 40) + "b"
	if match(pattern, strings.Repeat("a", MaxName)) {
		t.Error("matched")
	}
}
