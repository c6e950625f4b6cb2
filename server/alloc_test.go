//go:build !race

package server

import (
	"io"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/gobwas/ws"
)

// TestHeartbeatAllocates nothing: from conn through dispatch to the answer, and
// then from socket to socket, with everything that a loop does around it.
func TestHeartbeatAllocates(t *testing.T) {
	for name, c := range heartbeats {
		t.Run(name, func(t *testing.T) {
			feed := feeder(t, c.frame)
			if n := testing.AllocsPerRun(1000, feed); n != 0 {
				t.Errorf("%v allocations in memory", n)
			}
			s := start(t, Config{EchoPath: "/echo", ControlRate: -1})
			p := s.dialPath(c.path)
			frame, answer := []byte(c.frame), make([]byte, len(c.answer))
			beat := func() {
				if _, err := p.Conn.Write(frame); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(p.Conn, answer); err != nil || string(answer) != c.answer {
					t.Fatalf("%q %v", answer, err)
				}
			}
			for range 300 { // everything has its size by then
				beat()
			}
			const n = 4000
			defer debug.SetGCPercent(debug.SetGCPercent(-1))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range n {
				beat()
			}
			runtime.ReadMemStats(&after)
			// What else goes on in the process (the pools' clocks) is not counted in messages.
			if allocs := after.Mallocs - before.Mallocs; allocs > n/100 {
				t.Errorf("%d allocations in %d messages from socket to socket", allocs, n)
			}
		})
	}
}

// TestPipelineAllocates nothing either: many in one read, or one in many.
func TestPipelineAllocates(t *testing.T) {
	s := newSite(t, Config{Listen: []string{"none"}})
	defer s.stop()
	l, slot, c := s.openRecord()
	whole := []byte(text(beat))
	many := make([]byte, 0, 100*len(whole))
	fill := func() {
		many = many[:0]
		for range 100 {
			many = append(many, whole...)
		}
	}
	fill()
	if n := testing.AllocsPerRun(200, func() {
		fill()
		l.feeding.slot, l.feeding.cur = slot, c
		l.budget.begin(1)
		rest, out, err := s.protocol.Feed(&c.proto, many, l.out[:0], l)
		if l.out = out; len(rest) != 0 || err != nil {
			t.Fatal(len(rest), err)
		}
	}); n != 0 {
		t.Errorf("%v allocations for 100 messages in one read", n)
	}
	if n := testing.AllocsPerRun(200, func() {
		for i := range whole { // as receive does, without the sending
			l.scratch[0] = whole[i]
			in := l.withLeftover(c, l.scratch[:1])
			l.feeding.slot, l.feeding.cur = slot, c
			l.budget.begin(1)
			rest, out, err := s.protocol.Feed(&c.proto, in, l.out[:0], l)
			if l.out = out; err != nil {
				t.Fatal(err)
			}
			l.keep(0, c, rest)
		}
	}); n != 0 {
		t.Errorf("%v allocations for a message that comes byte by byte", n)
	}
}

// TestLargeAllocates little more than the buffer it needs: as a message of 16 MiB
// comes in, its buffer doubles, which makes 32 MiB, and nothing is copied on its way
// back, whether the socket takes it at once or not.
func TestLargeAllocates(t *testing.T) {
	const size = 16 * mib
	s := start(t, Config{Loops: 1, EchoPath: "/echo", MaxMessage: size})
	p := s.dialPath("/echo")
	stream, answer := []byte(text(long(size))), make([]byte, len(served(long(size))))
	const n = 5
	var before, after runtime.MemStats
	for i := range n + 1 {
		if i == 1 {
			runtime.ReadMemStats(&before)
		}
		if _, err := p.Conn.Write(stream); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(p.Conn, answer); err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / n; each > size*9/4 {
		t.Errorf("%d bytes are allocated to echo %d", each, size)
	}
}

// TestControlAllocates nothing.
func TestControlAllocates(t *testing.T) {
	if n := testing.AllocsPerRun(1000, feeder(t, frame(ws.OpPing, "payload")+frame(ws.OpPong, ""))); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
