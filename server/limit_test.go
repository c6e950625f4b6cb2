package server

import (
	"testing"
	"time"
)

// TestNextLimit: the earliest of a client's limits is the next, whatever else is on.
func TestNextLimit(t *testing.T) {
	const idle, pong, first, handshake, closing = time.Minute, 20 * time.Second, 10 * time.Second, 5 * time.Second, 3 * time.Second
	s := newSite(t, Config{Loops: 1, Listen: []string{"none"}, HandshakeTimeout: handshake, CloseTimeout: closing, PongTimeout: pong})
	defer s.stop()
	l := s.loops[0]
	l.wheel.now = 1000
	since := instantAt(l.start) + 1000*int64(l.tick)
	for name, c := range map[string]struct {
		client      client
		idle, first time.Duration
		which       limit
		after       time.Duration // tick 1000
	}{
		"joining":                     {client{state: stateJoining}, idle, first, handshakeLimit, handshake},
		"refused":                     {client{state: stateRefused}, idle, first, handshakeLimit, handshake},
		"closing":                     {client{state: stateClosing}, idle, first, closeLimit, closing},
		"lingering":                   {client{state: stateLingering, flags: flagPinged}, idle, first, closeLimit, closing},
		"dead":                        {client{state: stateDead}, idle, first, noLimit, 0},
		"silent":                      {client{state: stateOpen}, idle, 0, idleLimit, idle},
		"pinged":                      {client{state: stateOpen, flags: flagPinged}, idle, 0, pongLimit, pong},
		"new":                         {client{state: stateOpen}, idle, first, firstMessageLimit, first},
		"new, and pinged":             {client{state: stateOpen, flags: flagPinged}, idle, time.Hour, pongLimit, pong},
		"new, with much time":         {client{state: stateOpen}, idle, time.Hour, idleLimit, idle},
		"it spoke":                    {client{state: stateOpen, flags: flagSpoke}, idle, first, idleLimit, idle},
		"no time-outs":                {client{state: stateOpen}, -1, 0, noLimit, 0},
		"pinged, then those were off": {client{state: stateOpen, flags: flagPinged}, -1, 0, noLimit, 0},
		"the first message alone":     {client{state: stateOpen, flags: flagPinged}, -1, first, firstMessageLimit, first},
	} {
		c.client.stamp, c.client.pinged, c.client.since = 1000, 1000, since
		s.cfg.IdleTimeout, s.cfg.FirstMessageTimeout = c.idle, c.first
		want := uint32(0)
		if c.which != noLimit {
			want = 1000 + l.timeout(c.after)
		}
		if which, at := l.nextLimit(0, &c.client); which != c.which || at != want {
			t.Errorf("%s: limit %d at tick %d, want %d at %d", name, which, at, c.which, want)
		}
	}
}

// TestHandoverTurnsOnFirstMessage: a client whose ping is out, and which has never
// sent a message, has the whole PongTimeout in a new process that asks for a first
// message: longer ago than it is given is not its fault, or the ping's.
func TestHandoverTurnsOnFirstMessage(t *testing.T) {
	s := start(t, Config{Loops: 1})
	s.each(func(l *loop) { l.sleep(time.Hour) }) // it has served for long
	p := s.dial()
	s.each(func(l *loop) {
		c := l.clients.at(0)
		l.ping(0, c)
		c.stamp -= l.timeout(s.cfg.IdleTimeout)
	})
	p.pinged()
	young, _ := s.pass(Config{Loops: 1, FirstMessageTimeout: time.Hour, PongTimeout: 5 * time.Minute})
	young.each(func(l *loop) {
		c, from, limit := l.clients.at(0), l.wheel.now, l.timeout(5*time.Minute)
		for c.state == stateOpen && l.wheel.now-from <= limit {
			l.turnWheel(l.wheel.now + 1)
			l.lookOn(lookSlice)
		}
		// Some ticks may have passed between the upgrade and here.
		if took := l.wheel.now - from; c.state != stateClosing || took < limit*9/10 {
			t.Errorf("state %d after %d ticks, PongTimeout is %d", c.state, took, limit)
		}
	})
	p.closedWith(1008)
}
