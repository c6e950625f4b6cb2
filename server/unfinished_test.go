package server

import (
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// tickOn lets so many ticks pass in a loop, with what falls due in each.
func (l *loop) tickOn(n uint32) {
	l.start = l.start.Add(-time.Duration(n) * l.tick) // so that it stays so late
	for range n {
		l.turnWheel(l.wheel.now + 1)
		for l.wheel.looking() {
			l.lookOn(lookSlice)
		}
	}
}

// unfinishedClients are the clients whose message is being timed.
func (s *site) unfinishedClients() (n int) {
	s.each(func(l *loop) {
		for _, chunk := range l.extras.chunks {
			for i := range chunk {
				if chunk[i].unfinished {
					n++
				}
			}
		}
	})
	return n
}

// TestUnfinished: a message has MessageTimeout from its first byte to its last,
// by the loop's own clock, however it is cut and whatever comes in between; who
// finishes in time may begin the next.
func TestUnfinished(t *testing.T) {
	message := text(`{"actioncode":"echo","data":"` + strings.Repeat("x", 500) + `"}`)
	for what, begin := range map[string]string{
		"a header":          message[:1],
		"a payload":         message[:40],
		"a fragment":        part(ws.OpText, false, `{"actioncode":"echo",`),
		"an empty one":      part(ws.OpText, false, ""),
		"a control frame":   frame(ws.OpPing, "ping")[:5],
		"after a whole one": text(beat) + message[:40],
	} {
		t.Run(what, func(t *testing.T) {
			s := start(t, Config{Loops: 1, IdleTimeout: -1, MessageTimeout: 10 * time.Minute, ControlRate: -1})
			p, other := s.dial(), s.dial()
			p.write(begin)
			if strings.HasPrefix(begin, text(beat)) {
				p.expect(beating)
			}
			eventually(t, says("it is being timed"), func() bool { return s.unfinishedClients() == 1 })
			fragment := strings.Contains(what, "fragment") || strings.Contains(what, "empty")
			for range 5 {
				s.each(func(l *loop) { l.tickOn(l.timeout(10*time.Minute)/5 - 1) })
				if fragment { // a pong does not prolong it
					p.write(frame(ws.OpPing, "?"))
					if f, err := p.next(); err != nil || f.Header.OpCode != ws.OpPong {
						t.Fatalf("%+v %v", f, err)
					}
				}
			}
			if st := s.Stats(); st.Clients.Open != 2 {
				t.Fatalf("closed too early: %s", describe(st))
			}
			s.each(func(l *loop) { l.tickOn(10) })
			if code, reason := p.ended(); code != 1008 || reason != "a message was not finished in time" {
				t.Errorf("closed with %d %q", code, reason)
			}
			s.closed(ReasonUnfinished, 1)
			other.alive()
			if n := s.unfinishedClients(); n != 0 {
				t.Errorf("%d are timed still", n)
			}
		})
	}
}

// TestFinished: who goes on finishing messages in time is never closed, though
// each read ends within the next message.
func TestFinished(t *testing.T) {
	s := start(t, Config{Loops: 1, IdleTimeout: -1, MessageTimeout: 10 * time.Minute})
	p := s.dial()
	one := text(beat)
	p.write(one[:9])
	for range 10 {
		eventually(t, says("it is being timed"), func() bool { return s.unfinishedClients() == 1 })
		s.each(func(l *loop) { l.tickOn(l.timeout(6 * time.Minute)) })
		p.write(one[9:] + one[:9])
		p.expect(beating)
	}
	p.write(one[9:])
	p.expect(beating)
	s.until("nothing is held for it", func(st Stats) bool { return st.PendingBytes == 0 && s.unfinishedClients() == 0 })
	s.each(func(l *loop) { l.tickOn(l.timeout(20 * time.Minute)) })
	p.alive()
}

// TestUnfinishedOff: less than 0 is no limit.
func TestUnfinishedOff(t *testing.T) {
	s := start(t, Config{Loops: 1, IdleTimeout: -1, MessageTimeout: -1})
	p := s.dial()
	one := text(beat)
	p.write(one[:9])
	s.until("the beginning is held", func(st Stats) bool { return st.PendingBytes > 0 })
	s.each(func(l *loop) { l.tickOn(l.timeout(time.Hour)) })
	p.write(one[9:])
	p.expect(beating)
}

// TestUnfinishedHeld: while the server does not read a client, for its own sake,
// a message that it cannot finish is not held against it.
func TestUnfinishedHeld(t *testing.T) {
	s := start(t, tight(Config{Loops: 1, IdleTimeout: -1, MessageTimeout: 10 * time.Minute, EchoPath: "/echo", PendingAge: longest, UserTimeout: -1}))
	p := s.stuck("/echo")
	one := text(strings.Repeat("x", 50_000))
	go p.try(strings.Repeat(one, 200)) // the answers are not read
	stuck := false
	for !stuck {
		s.each(func(l *loop) {
			for _, slot := range l.openSlots() {
				c := l.clients.at(slot)
				e := l.extras.of(c)
				stuck = l.held(c) && e != nil && len(e.leftover) > 0
				if stuck { // as if it had begun before
					e.unfinished, e.began = true, l.wheel.now
					l.plan(slot, c, l.wheel.now+1)
				}
			}
		})
	}
	s.each(func(l *loop) { l.tickOn(l.timeout(25 * time.Minute)) })
	if st := s.Stats(); st.Clients.Open != 1 || st.Closed["unfinished"] != 0 {
		t.Errorf("%s", describe(st))
	}
	p.reset()
}

// TestUnfinishedGoesAlong: a handover does not prolong the time of a message, and
// what clients make the server hold is held by the newer one.
func TestUnfinishedGoesAlong(t *testing.T) {
	cfg := Config{Loops: 1, IdleTimeout: -1, MessageTimeout: 10 * time.Minute, CloseTimeout: 200 * time.Millisecond}
	s := start(t, cfg)
	p, fragmented, other := s.dial(), s.dial(), s.dial()
	p.write(text(beat)[:9])
	fragmented.write(part(ws.OpText, false, ""))
	eventually(t, says("they are timed"), func() bool { return s.unfinishedClients() == 2 })
	s.each(func(l *loop) { l.tickOn(l.timeout(9 * time.Minute)) })
	before := s.memory.held.Load()
	young, _ := s.pass(cfg)
	if n, held := young.unfinishedClients(), young.memory.held.Load(); n != 2 || held != before || held == 0 {
		t.Fatalf("%d are timed and %d bytes are held, which were 2 and %d", n, held, before)
	}
	if held := s.memory.held.Load(); held != 0 {
		t.Errorf("the older one holds %d bytes still", held)
	}
	young.each(func(l *loop) { l.tickOn(l.timeout(30 * time.Second)) })
	if st := young.Stats(); st.Clients.Open != 3 {
		t.Fatalf("closed too early: %s", describe(st))
	}
	young.each(func(l *loop) { l.tickOn(l.timeout(31 * time.Second)) })
	p.closedWith(1008)
	fragmented.closedWith(1008)
	young.closed(ReasonUnfinished, 2)
	other.alive()
}
