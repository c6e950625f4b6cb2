package bench

import (
	"net"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"wsd/bench/report"
)

func hold(d time.Duration) Phase { return Phase{Kind: Hold, Duration: Duration(d)} }

// Badly-behaved clients are beside the measured ones and do what they are for.
func TestBehaviour(t *testing.T) {
	t.Parallel()
	s := start(t, &testServer{})
	began := time.Now()
	_, p := load(t, s, Plan{Clients: 5, Groups: []Group{
		{Behaviour: "slow-reader", Count: 2}, {Behaviour: "stopped-reader", Count: 1}, {Behaviour: "half-frame", Count: 3},
		{Behaviour: "slow-handshake", Count: 4, Rate: 2}, {Behaviour: "ping-flood", Count: 1, Rate: 1000},
	}}, hold(awhile), closedLoop(5))
	wantClean(t, p["closed"])
	if p["ramp"].Handshakes != 5 || p["ramp"].Up != 5 || s.opened.Load() != 12 {
		t.Errorf("%d measured, server has %d", p["ramp"].Handshakes, s.opened.Load())
	}
	for i, opened := range []int{2, 1, 3, 0, 1} {
		if g := p["ramp"].Groups[i]; g.Opened != opened || g.Refused != 0 {
			t.Errorf("%s: %d opened, %d refused", g.Behaviour, g.Opened, g.Refused)
		}
	}
	if n := uint64(s.messages.Load()); n != p["closed"].Sent {
		t.Errorf("server got %d messages, measured clients sent %d: half a frame is none", n, p["closed"].Sent)
	}
	if n, most := s.pings.Load(), 1000*time.Since(began).Seconds(); n == 0 || float64(n) > most {
		t.Errorf("%d pings, at most %.0f are due", n, most)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	slow := 0
	for n, got := range s.reads {
		if got > 1 && got < 100 {
			slow++
		} else if got < 100 {
			t.Errorf("connection %d sent %d bytes of a handshake", n, got)
		}
	}
	if slow != 4 {
		t.Errorf("%d handshakes are under way: %v", slow, s.reads)
	}
}

// How long the server lets them is reported, and what it says.
func TestBehaviourPunished(t *testing.T) {
	t.Parallel()
	s := start(t, &testServer{})
	punish := &until{ok: func(*report.Progress) bool { return false }, begin: onHold(func() {
		s.each(func(c net.Conn, n int) {
			if n != 1 { // the measured client is the first to connect
				c.Write(ws.CompiledCloseNormalClosure)
				c.Close()
			}
		})
	})}
	_, p := loadWith(t, s, Options{Observer: punish}, Plan{Clients: 1, Groups: []Group{{Behaviour: "stopped-reader", Count: 2}}}, hold(awhile))
	if g := p["hold"].Groups[0]; g.Closes["1000"] != 2 || p["hold"].Faults() != 0 {
		t.Errorf("of 2 ended with 1000: %+v, %+v", g, p["hold"].Counts)
	}
}

// A slow reader takes its bytes per second, no more.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	s := start(t, &testServer{})
	_, p := load(t, s, Plan{Clients: 1, Publish: []string{s.publisher()}, Groups: []Group{{Behaviour: "slow-reader", Count: 1, Rate: 50}}},
		Phase{Kind: Publish, Count: 3, PublishBytes: 1000})
	wantClean(t, p["publish"])
	if p["publish"].Deliveries != 3 {
		t.Errorf("deliveries of a slow reader are counted: %+v", p["publish"].Counts)
	}
}
