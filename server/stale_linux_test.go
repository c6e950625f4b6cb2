package server

import (
	"syscall"
	"testing"

	"wsd/netpoll"
)

// eventOf is what the kernel says when the socket of a registration is readable.
func eventOf(slot, generation uint32) netpoll.Event {
	return netpoll.Event{Events: syscall.EPOLLIN, Fd: int32(slot), Pad: int32(generation)}
}

// TestStaleEvents: an event that names an earlier owner of a slot does nothing.
func TestStaleEvents(t *testing.T) {
	s := start(t, Config{Loops: 1})
	first := s.dial()
	var old uint32
	s.each(func(l *loop) { old = l.clients.at(0).generation })
	first.leave()
	s.until("it left", func(st Stats) bool { return st.Clients.Connected == 0 })
	second := s.dial()
	second.write(text(beat)[:5])
	s.each(func(l *loop) {
		c := l.clients.at(0)
		if c.state != stateOpen || c.generation == old {
			t.Errorf("the slot was not used again: generation %d, state %d", c.generation, c.state)
			return
		}
		ev := eventOf(0, old)
		stale := l.count.n[nStale]
		l.event(&ev)
		if l.count.n[nStale] != stale+1 {
			t.Error("the stale event was served")
		}
		ev = eventOf(1<<20, 1)
		l.event(&ev)
		if l.count.n[nStale] != stale+2 {
			t.Error("an event of no slot was served")
		}
	})
	second.write(text(beat)[5:])
	second.expect(beating)
}
