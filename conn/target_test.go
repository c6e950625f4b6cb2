package conn

import (
	"net/http"
	"strings"
	"testing"
)

// TestAbsoluteTarget: the target says whom the request is for, to the lists of
// hosts as well, and not the Host field (RFC 9112, 3.2.2).
func TestAbsoluteTarget(t *testing.T) {
	u := Upgrader{Hosts: []string{"good.example"}}
	for _, c := range []struct {
		target, host      string
		status            int
		path, query, read string
	}{
		{"http://good.example/ws", "evil.example", 101, "/ws", "", "good.example"},
		{"HTTP://GOOD.example:8066/a/b?c=d?e", "evil.example", 101, "/a/b", "c=d?e", "GOOD.example:8066"},
		{"wss://good.example?q", "", 101, "/", "q", "good.example"},
		{"ws://good.example", "good.example", 101, "/", "", "good.example"},
		{"http://evil.example/ws", "good.example", 403, "/ws", "", "evil.example"},
		{"/ws", "evil.example", 403, "/ws", "", "evil.example"},
	} {
		var r Request
		_, out, _ := u.Upgrade(request("GET "+c.target+" HTTP/1.1", "Host: "+c.host), nil, &r)
		status, _ := answer(t, out)
		if status != c.status || string(r.Path) != c.path || string(r.Query) != c.query || string(r.Host) != c.read {
			t.Errorf("%s for %q: %d, path %q, query %q, host %q", c.target, c.host, status, r.Path, r.Query, r.Host)
		}
	}
}

// TestSamePath: equivalent escapes are the same path, and others are not (RFC
// 3986, 6.2.2).
func TestSamePath(t *testing.T) {
	for _, c := range []struct {
		canonical, path string
		want            bool
	}{
		{"/ws", "/ws", true},
		{"/ws", "/%77%73", true},
		{"/ws", "/%77", false},
		{"/ws", "/wsx", false},
		{"/ws", "/%77sx", false},
		{"/ws", "/WS", false},
		{"/ws", "%2Fws", false},
		{"/%C3%BCber", "/%C3%BCber", true},
		{"/%C3%BCber", "/%c3%bcber", true},
		{"/%C3%BCber", "/%c3%bc%62er", true},
		{"/%C3%BCber", "/%c3%bdber", false},
		{"/a-b._~", "/%61%2D%62%2e%5F%7e", true},
		{"/a!b", "/a%21b", false}, // reserved: escaped it may mean something else
		{"/a%21b", "/a!b", false},
		{"/a%2Fb", "/a%2fb", true},
		{"/a%2Fb", "/a/b", false},
		{"/a%22b", `/a"b`, true}, // what may not stand there unescaped
		{"/a%20b", "/a%20b", true},
	} {
		if got := SamePath(c.canonical, []byte(c.path)); got != c.want {
			t.Errorf("%s, %s: %v", c.canonical, c.path, got)
		}
	}
}

// TestDate: a refusal says when it was made (RFC 9110, 6.6.1).
func TestDate(t *testing.T) {
	const date = "Thu, 29 Feb 2024 22:59:58 GMT"
	u := Upgrader{Date: func(out []byte) []byte { return append(out, date...) }}
	for _, in := range []string{"\x16\x03", "GET /ws HTTP/1.1\r\nHost: a\r\n\r\n", string(request("HEAD /ws HTTP/1.1"))} {
		_, out, err := u.Upgrade([]byte(in), nil, new(Request))
		if err == nil || strings.Count(string(out), "\r\nDate: "+date+"\r\n") != 1 {
			t.Errorf("%q: %q", in, out)
		}
		answer(t, out)
	}
	full := &HTTPError{Status: http.StatusServiceUnavailable, Reason: "full"}
	for in, body := range map[string]bool{"": true, "HEA": true, "HEAD ": false, "\r\n\r\nHEAD /": false, "GET / ": true} {
		out := string(u.Refuse([]byte(in), []byte("kept"), full))
		if !strings.HasPrefix(out, "keptHTTP/1.1 503 ") || strings.HasSuffix(out, "\r\n\r\nfull\n") != body {
			t.Errorf("for %q: %q", in, out)
		}
	}
}
