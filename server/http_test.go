package server

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestRequestForms: whatever form of a request HTTP and RFC 6455 allow opens the
// connection, on a listener of ours and mounted in another router.
func TestRequestForms(t *testing.T) {
	s := start(t, Config{Path: "/%C3%BCber", EchoPath: "/echo", Hosts: []string{"test"}})
	mount := start(t, Config{Listen: []string{"none"}, Hosts: []string{"test"}})
	h := mounted(t, mount)
	evil := strings.NewReplacer("Host: test", "Host: evil")
	for name, c := range map[string]struct {
		request string // with /ws for the path
		status  int
	}{
		"absolute":             {request("http://test:8066/ws"), 101},
		"absolute, other Host": {evil.Replace(request("http://test/ws")), 101},
		"absolute, other host": {request("http://evil/ws"), 403},
		"empty line":           {"\r\n" + request("/ws"), 101},
		"HTTP/1.2":             {strings.Replace(request("/ws"), "HTTP/1.1", "HTTP/1.2", 1), 101},
		"HTTP/1.0":             {strings.Replace(request("/ws"), "HTTP/1.1", "HTTP/1.0", 1), 505},
		"HTTP/2.0":             {strings.Replace(request("/ws"), "HTTP/1.1", "HTTP/2.0", 1), 505},
		"100-continue":         {request("/ws", "Expect: 100-continue"), 101},
		"other expectation":    {request("/ws", "Expect: tea"), 417},
		"odd extensions":       {request("/ws", "Sec-WebSocket-Extensions: ;"), 400},
	} {
		ask := func(p *peer, path string) {
			p.write(strings.Replace(c.request, "/ws", path, 1))
			r := p.response()
			if r.StatusCode != c.status {
				t.Errorf("%s at %s: %s, want %d", name, path, r.Status, c.status)
			}
			if at, err := http.ParseTime(r.Header.Get("Date")); c.status != 101 && (err != nil || time.Since(at) > patience) {
				t.Errorf("%s at %s: Date %q", name, path, r.Header.Get("Date"))
			}
			p.Close()
		}
		ask(s.connect(), "/%c3%bcbe%72")
		// net/http knows no empty lines there and says 505 without a Date.
		if name != "empty line" && name != "HTTP/2.0" && name != "other expectation" {
			ask(connectTo(t, h.Listener.Addr().String()), "/chat")
		}
	}
	p := s.dialPath("/%65cho")
	p.ask("anything", "anything")
}

// TestDateOfRefusals: all that is refused says when (RFC 9110, 6.6.1).
func TestDateOfRefusals(t *testing.T) {
	s := start(t, Config{MaxClients: 1})
	p := s.connect()
	s.until("it is there", func(st Stats) bool { return st.Clients.Joining == 1 })
	full := s.connect()
	full.write(request("/ws"))
	dated := func(q *peer, status int) {
		if r := q.refused(status); r.Header.Get("Date") == "" {
			t.Errorf("%d without a Date", status)
		}
		q.Close()
	}
	dated(full, 503)
	s.sleep(s.cfg.HandshakeTimeout)
	dated(p, 408)
}
