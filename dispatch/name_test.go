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
		if got := ActionName(method); got != action {
			t.Errorf("ActionName(%q) = %q, want %q", method, got, action)
		}
	}
}

func TestMethodName(t *testing.T) {
	for action, method := range map[string]string{
		"heart_beat": "HeartBeat", "echo": "Echo", "http_get": "HttpGet", "get_a_token": "GetAToken", "sha256_sum": "Sha256Sum",
		"a_b_c": "A_b_c", "v_2": "V_2", "a__b": "A__b", "trailing_": "Trailing_", "": "",
	} {
		if got := MethodName(action); got != method {
			t.Errorf("MethodName(%q) = %q, want %q", action, got, method)
		}
	}
}

// FuzzMethodName: every valid action has a method, which is exported and leads back to it.
func FuzzMethodName(f *testing.F) {
	for _, s := range []string{"heart_beat", "a", "a_", "a__b", "a_b_c", "v_2_3", "x9", strings.Repeat("ab_", 21)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, action string) {
		method := MethodName(action)
		if !validAction(action) {
			return
		}
		if method[0] < 'A' || method[0] > 'Z' || ActionName(method) != action {
			t.Errorf("%q is served by %q, which serves %q", action, method, ActionName(method))
		}
	})
}
