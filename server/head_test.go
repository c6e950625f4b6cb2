package server

import (
	"io"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
)

// headed expects the answer to a HEAD request: a header that says how long the
// body would be, and then the end (RFC 9110, 9.3.2).
func (p *peer) headed(status int) {
	p.t.Helper()
	b, err := io.ReadAll(p.br)
	got := string(b)
	header, body, whole := strings.Cut(got, "\r\n\r\n")
	if err != nil || !whole || body != "" || !strings.HasPrefix(got, "HTTP/1.1 "+strconv.Itoa(status)+" ") ||
		!strings.Contains(header, "\r\nContent-Length: ") || strings.Contains(header, "\r\nContent-Length: 0") {
		p.t.Errorf("want %d without a body, got %q, %v", status, got, err)
	}
	p.Close()
}

// TestHeadIsRefusedWithoutBody: whoever is refused for what the server is short
// of, not for the request.
func TestHeadIsRefusedWithoutBody(t *testing.T) {
	head := strings.Replace(request("/ws"), "GET", "HEAD", 1)
	t.Run("full", func(t *testing.T) {
		s := start(t, Config{MaxClients: 1})
		s.dial()
		p := s.connect()
		p.write(head)
		p.headed(503)
		for _, cut := range []int{1, 4, 5, len(head) - 1} {
			before := s.Stats().BytesIn
			p := s.connect()
			p.write(head[:cut])
			s.until("the first part is there", func(st Stats) bool { return st.BytesIn == before+uint64(cut) })
			p.write(head[cut:])
			p.headed(503)
		}
		q := s.connect()
		q.write(strings.Replace(head, "HEAD", "HEADS", 1))
		if r := q.refused(503); r.ContentLength <= 0 {
			t.Errorf("another method: %s %v", r.Status, r.Header)
		}
		h := mounted(t, s)
		p = connectTo(t, h.Listener.Addr().String())
		p.write(strings.Replace(head, "/ws", "/chat", 1))
		p.headed(503)
	})
	t.Run("late", func(t *testing.T) {
		s := start(t, Config{})
		p := s.connect()
		p.write(head[:30])
		s.until("it is joining", func(st Stats) bool { return st.Clients.Joining == 1 && st.BytesIn == 30 })
		s.sleep(s.cfg.HandshakeTimeout)
		p.headed(408)
	})
	t.Run("stopping", func(t *testing.T) {
		s := start(t, Config{DrainTime: -1})
		p := s.connect()
		p.write(head[:30])
		s.until("it is joining", func(st Stats) bool { return st.Clients.Joining == 1 && st.BytesIn == 30 })
		done := s.stopping(false)
		p.headed(503)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Run("wrapped", func(t *testing.T) {
		s := start(t, Config{Listen: []string{"none"}})
		h := httptest.NewUnstartedServer(s)
		h.Listener = wrapping{h.Listener}
		h.Start()
		defer h.Close()
		p := connectTo(t, h.Listener.Addr().String())
		p.write(head)
		p.headed(501)
	})
}
