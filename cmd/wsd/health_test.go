package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// The check asks a real server, and takes its address from where the server
// itself has it.
func TestHealth(t *testing.T) {
	r := serve(t)
	for _, args := range [][]string{{}, {"--ready"}} {
		got := runProgram(t, []string{"WSD_ADMIN=" + r.admin}, append([]string{"health"}, args...)...)
		if got.code != exitOK || !strings.Contains(got.stdout, "status") {
			t.Errorf("%q: exit %d: %s%s", args, got.code, got.stdout, got.stderr)
		}
	}
}

func TestNotHealthy(t *testing.T) {
	ill := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "draining", http.StatusServiceUnavailable)
	}))
	defer ill.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	for name, c := range map[string]struct{ admin, want string }{
		"ill":     {strings.TrimPrefix(ill.URL, "http://"), "503 Service Unavailable: draining"},
		"gone":    {strings.TrimPrefix(gone.URL, "http://"), "refused"},
		"nowhere": {"", "--admin is empty"},
		"no name": {"a b", "write host:port"},
	} {
		got := runProgram(t, nil, "health", "--admin="+c.admin)
		if got.code != exitFailed || !strings.Contains(got.stderr, c.want) {
			t.Errorf("%s: exit %d: %s", name, got.code, got.stderr)
		}
	}
}

func TestReachable(t *testing.T) {
	for admin, want := range map[string]string{
		":8067": "localhost:8067", "0.0.0.0:1": "localhost:1", "[::]:1": "localhost:1",
		"127.0.0.1:8067": "127.0.0.1:8067", "10.0.0.1:1": "10.0.0.1:1",
	} {
		if got := reachable(admin); got != want {
			t.Errorf("%s: asks %s, want %s", admin, got, want)
		}
	}
}
