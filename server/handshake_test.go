package server

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"wsd/conn"
)

// finished expects an orderly end of the stream.
func (p *peer) finished() {
	p.t.Helper()
	if b, err := p.br.ReadByte(); !errors.Is(err, io.EOF) {
		p.t.Fatalf("after the answer: byte %q, %v", b, err)
	}
}

// refused expects an HTTP error, whole, and an orderly end behind it.
func (p *peer) refused(status int) *http.Response {
	p.t.Helper()
	r := p.response()
	if r.StatusCode != status {
		p.t.Fatalf("got %s, want %d", r.Status, status)
	}
	if !r.Close {
		p.t.Error("the answer does not say that the connection is closed")
	}
	p.finished()
	return r
}

// TestHandshakeErrors: what is no handshake, or no welcome one, is answered in
// HTTP, and the answer arrives even if the client goes on sending.
func TestHandshakeErrors(t *testing.T) {
	s := start(t, Config{EchoPath: "/echo", MaxHeader: 1024, Hosts: []string{"test"}, Origins: []string{"https://good"},
		Accept: func(r *conn.Request) error {
			switch string(r.Header("X-Do")) {
			case "deny":
				return errors.New("secret")
			case "pay":
				return &conn.HTTPError{Status: 402, Reason: "pay first"}
			case "panic":
				panic("in Accept")
			}
			return nil
		}})
	other := s.dial()
	ok := request("/ws")
	for name, c := range map[string]struct {
		request string
		status  int
		header  [2]string
	}{
		"garbage":    {"\x16\x03\x01\x02\x00\x01\x00\x01", 400, [2]string{}},
		"bare LF":    {"GET /ws HTTP/1.1\nHost: test\n\n", 400, [2]string{}},
		"no host":    {strings.Replace(ok, "Host: test\r\n", "", 1), 400, [2]string{}},
		"bad key":    {strings.Replace(ok, "AQID", "!", 1), 400, [2]string{}},
		"body":       {request("/ws", "Content-Length: 5"), 400, [2]string{}},
		"path":       {request("/other"), 404, [2]string{}},
		"post":       {strings.Replace(ok, "GET", "POST", 1), 405, [2]string{"Allow", "GET"}},
		"plain":      {"GET /ws HTTP/1.1\r\nHost: test\r\n\r\n", 426, [2]string{"Sec-Websocket-Version", "13"}},
		"version 8":  {strings.Replace(ok, "Version: 13", "Version: 8", 1), 426, [2]string{"Sec-Websocket-Version", "13"}},
		"HTTP/1.0":   {strings.Replace(ok, "HTTP/1.1", "HTTP/1.0", 1), 505, [2]string{}},
		"too long":   {"GET /ws HTTP/1.1\r\nX: " + strings.Repeat("x", 1100), 431, [2]string{}},
		"host":       {strings.Replace(ok, "Host: test", "Host: evil", 1), 403, [2]string{}},
		"origin":     {request("/ws", "Origin: https://evil"), 403, [2]string{}},
		"accept":     {request("/ws", "X-Do: deny"), 403, [2]string{}},
		"own status": {request("/ws", "X-Do: pay"), 402, [2]string{}},
		"panic":      {request("/ws", "X-Do: panic"), 500, [2]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, tail := range []string{"", strings.Repeat("body", 50_000)} {
				p := s.connect()
				p.write(c.request)
				p.try(tail)
				r := p.response()
				body, _ := io.ReadAll(r.Body)
				if r.StatusCode != c.status || len(body) == 0 || strings.Contains(string(body), "secret") {
					t.Errorf("%s: %q", r.Status, body)
				}
				if c.header[0] != "" && r.Header.Get(c.header[0]) != c.header[1] {
					t.Errorf("%s: %q", c.header[0], r.Header.Get(c.header[0]))
				}
				p.finished()
				p.Close()
			}
		})
	}
	other.alive()
	s.dialPath("/echo").Close()
	p := s.connect()
	p.write(request("/ws", "Origin: https://good"))
	if r := p.response(); r.StatusCode != 101 {
		t.Errorf("a good origin: %s", r.Status)
	}
	p.Close()
	s.until("all but one are gone", func(st Stats) bool {
		return st.Clients.Connected == 1 && st.Closed["handshake"] == 32 && st.Closed["vanished"] == 2
	})
}

// TestSubprotocol: the first one offered that is on the list.
func TestSubprotocol(t *testing.T) {
	s := start(t, Config{Subprotocols: []string{"b", "c"}})
	for offer, want := range map[string]string{"a, c, b": "c", "a": "", "b": "b"} {
		p := s.connect()
		p.write(request("/ws", "Sec-WebSocket-Protocol: "+offer))
		if r := p.response(); r.StatusCode != 101 || r.Header.Get("Sec-WebSocket-Protocol") != want {
			t.Errorf("%s: %s %v", offer, r.Status, r.Header)
		}
		p.alive()
	}
}

// TestPipelinedHandshake: frames right behind the request are served, whole or
// cut anywhere.
func TestPipelinedHandshake(t *testing.T) {
	s := start(t, Config{})
	stream := request("/ws") + text(beat) + text(`{"actioncode":"echo","data":"`+strings.Repeat("y", 300)+`"}`)
	for cut := 1; cut <= len(stream); cut += 7 {
		p := s.connect()
		p.write(stream[:cut])
		if cut%3 == 0 {
			s.until("the first part is read", func(st Stats) bool { return st.Clients.Joining+st.Clients.Open > 0 })
		}
		p.write(stream[cut:])
		if r := p.response(); r.StatusCode != 101 {
			t.Fatalf("cut at %d: %s", cut, r.Status)
		}
		p.expect(beating)
		p.expect(good(`"`+strings.Repeat("y", 300)+`"`, "echo"))
		p.Close()
	}
}

// TestHandshakeDeadline: it is absolute. Silence does not get round it, nor
// does one byte after the other.
func TestHandshakeDeadline(t *testing.T) {
	s := start(t, Config{HandshakeTimeout: time.Minute, IdleTimeout: -1, MaxClients: 4})
	stay := s.dial()
	silent, half, drip := s.connect(), s.connect(), s.connect()
	s.until("all places are taken", func(st Stats) bool { return st.Clients.Joining == 3 })
	refused := s.connect() // one too many, and it says nothing either
	half.write("GET /ws HTTP/1.1\r\nHost: te")
	drip.write("GET /ws HTTP/1.1\r\nX: ")
	s.until("all are there", func(st Stats) bool { return st.Clients.Connected == 5 })
	for range 5 {
		s.until("nobody's time is over", func(st Stats) bool { return st.Clients.Joining == 4 })
		before := s.Stats().BytesIn
		drip.write("x")
		s.until("it is read", func(st Stats) bool { return st.BytesIn > before })
		s.sleep(s.cfg.HandshakeTimeout / 5)
	}
	for _, p := range []*peer{silent, half, drip, refused} {
		if r := p.response(); r.StatusCode != 408 {
			t.Errorf("%s, want 408", r.Status)
		}
		p.Close()
	}
	stay.alive()
	s.until("only one is left", func(st Stats) bool {
		return st.Clients.Connected == 1 && st.Closed["handshake_timeout"] == 4
	})
	s.dial().alive()
}

// TestFirstMessage: who connects and says nothing is closed, and a ping is not
// saying something. Who has spoken stays.
func TestFirstMessage(t *testing.T) {
	s := start(t, Config{FirstMessageTimeout: time.Minute, IdleTimeout: -1})
	spoke, half, silent := s.dial(), s.dial(), s.dial()
	spoke.alive()
	half.write(text(beat)[:10])
	half.left = true // what it follows its half frame with would be part of that
	silent.write(frame(ws.OpPing, "x"))
	s.until("the ping is read", func(st Stats) bool { return st.ControlsIn == 1 })
	s.sleep(s.cfg.FirstMessageTimeout)
	s.closed(ReasonSilent, 2)
	silent.left = true // its answer would come too late, and be answered by a reset
	s.sleep(s.cfg.CloseTimeout)
	for _, p := range []*peer{silent, half} {
		if code, reason := p.ended(); code != 1008 || reason != "no message in time" {
			t.Errorf("closed with %d %q", code, reason)
		}
	}
	spoke.alive()
}
