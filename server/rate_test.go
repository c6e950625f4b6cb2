package server

import (
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// flood sends until the server closes, and tells with what.
func (p *peer) flood(s string) (ws.StatusCode, string) {
	p.t.Helper()
	stop := make(chan struct{})
	go func() {
		defer close(stop)
		for {
			if _, err := p.Conn.Write([]byte(s)); err != nil {
				return
			}
		}
	}()
	code, reason, _ := p.end() // it goes on sending: the end may be a reset
	p.Close()
	<-stop
	return code, reason
}

// TestRates: who sends more than its share is closed with 1008 and told why.
// Who does the same less often is not.
func TestRates(t *testing.T) {
	s := start(t, Config{EchoPath: "/echo", MessageRate: 50, ByteRate: 100_000, ControlRate: 20, CloseTimeout: 100 * time.Millisecond})
	calm := s.dialPath("/echo")
	for i := range 30 { // less than two seconds' worth of each
		calm.write(frame(ws.OpPong, "x"))
		calm.ask("x", "x")
		if i%10 == 0 {
			calm.write(frame(ws.OpPing, "y"))
			if f, err := calm.next(); err != nil || f.Header.OpCode != ws.OpPong || string(f.Payload) != "y" {
				t.Fatalf("%+v %v", f, err)
			}
		}
	}
	for name, c := range map[string]struct{ what, want string }{
		"messages": {text("x"), "too many messages per second"},
		"bytes":    {part(ws.OpText, false, strings.Repeat("x", 30_000)) + part(ws.OpContinuation, true, strings.Repeat("x", 30_000)), "too many bytes per second"},
		"pings":    {frame(ws.OpPing, "x"), "too many control frames per second"},
		"pongs":    {frame(ws.OpPong, ""), "too many control frames per second"},
	} {
		t.Run(name, func(t *testing.T) {
			p := s.dialPath("/echo")
			if code, reason := p.flood(c.what); code != 1008 || reason != c.want {
				t.Errorf("closed with %d %q", code, reason)
			}
		})
	}
	calm.ask("x", "x")
	s.until("they are gone", func(st Stats) bool { return st.Closed["rate"] == 4 && st.Clients.Connected == 1 })
}

// TestRateDefaults: no bound on messages and bytes, and one on control frames.
func TestRateDefaults(t *testing.T) {
	s := start(t, Config{EchoPath: "/echo", CloseTimeout: 100 * time.Millisecond})
	p := s.dialPath("/echo")
	go p.try(strings.Repeat(text("x"), 5000))
	for range 5000 {
		p.expect("x")
	}
	if code, _ := p.flood(frame(ws.OpPing, "")); code != 1008 {
		t.Errorf("closed with %d", code)
	}
	q := start(t, Config{EchoPath: "/echo", ControlRate: -1})
	p = q.dialPath("/echo")
	p.write(strings.Repeat(frame(ws.OpPing, ""), 500))
	for range 500 {
		if f, err := p.next(); err != nil || f.Header.OpCode != ws.OpPong {
			t.Fatalf("%+v %v", f, err)
		}
	}
}

// TestBuckets: the arithmetic, with the clock in hand.
func TestBuckets(t *testing.T) {
	s := newSite(t, Config{Listen: []string{"none"}, MessageRate: 10, ByteRate: 1000, ControlRate: 5})
	defer s.stop()
	l := s.loops[0]
	c := &client{}
	l.fillBuckets(c)
	drain := func(take func(*client) bool) (n int) {
		for take(c) {
			n++
		}
		return n
	}
	ago := func(ms uint32) { c.refilled = l.millis() - ms }
	if n := drain(l.takeMessage); n < 20 || n > 21 {
		t.Errorf("a burst of %d messages, want 20", n)
	}
	if n := drain(l.takeControl); n < 10 || n > 11 {
		t.Errorf("a burst of %d control frames, want 10", n)
	}
	c.messages = 0
	ago(500)
	if n := drain(l.takeMessage); n < 5 || n > 6 {
		t.Errorf("%d messages after half a second, want 5", n)
	}
	ago(1 << 31)
	if n := drain(l.takeMessage); n < 20 || n > 21 {
		t.Errorf("%d messages after weeks, want 20", n)
	}
	if !l.takeBytes(c, 65_536) || l.takeBytes(c, 1) || !l.takeBytes(c, 0) {
		t.Error("one large read is let through and puts the bucket into debt")
	}
	ago(80_000)
	if !l.takeBytes(c, 1) {
		t.Error("the debt is not paid")
	}
}
