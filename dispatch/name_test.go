package dispatch

import (
	"strings"
	"testing"
)

func TestActionName(t *testing.T) {
	for method, action := range map[string]string{
		"HeartBeat": "heart_beat", "Echo": "echo", "HTTPGet": "http_get", "GetID": "get_id", "GetHTTPBody": "get_http_body",
		"A": "a", "AB": "ab", "ABc": "a_bc", "GetAToken": "get_a_token", "Sha256Sum": "sha256_sum", "V2": "v2", "X2Y": "x2_y",
		"Heart_Beat": "heart_beat", "A_b_c": "a_b_c", "Übergang": "übergang", "": "",
	} {
		if got := actionName(method); got != action {
			t.Errorf("actionName(%q) = %q, want %q", method, got, action)
		}
	}
}

// FuzzActionName: the name of an action is that of its method too, so that whoever
// registers by either gets the same; the result of any other name has no capitals.
func FuzzActionName(f *testing.F) {
	for _, s := range []string{"HeartBeat", "HTTPGet", "heart_beat", "a__b", "A_b_c", "v_2_3", "Übergang", strings.Repeat("aB", 40)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		got := actionName(name)
		if validAction(name) && got != name {
			t.Errorf("the action %q becomes %q", name, got)
		}
		if strings.ContainsAny(got, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") {
			t.Errorf("%q has capitals", got)
		}
	})
}
