package server

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// step is what a clock of stepped goes on by each time it is looked at.
const step = int64(leastQuantum)

// stepped has the loops measure by a clock that does not depend on the machine.
func (s *site) stepped() {
	s.each(func(l *loop) {
		now := int64(0)
		l.nanos = func() int64 { now += step; return now }
	})
}

// busy has n clients send stream again and again, and take all answers.
func (s *site) busy(n int, stream string) {
	s.t.Helper()
	for range n {
		p := s.dial()
		go func() { _, _ = io.Copy(io.Discard, p.Conn) }()
		go func() {
			for {
				if _, err := io.WriteString(p.Conn, stream); err != nil {
					return
				}
			}
		}()
	}
}

// jammed is a crowd for whom every message has to wait: nothing is written.
func (s *site) jammed(n int) {
	s.t.Helper()
	s.crowd(n)
	s.each(func(l *loop) {
		d := &delivery{frame: []byte("x")}
		for slot := range l.clients.size() {
			if c := l.clients.at(slot); c.state == stateOpen && c.fd < 0 {
				l.enqueue(slot, c, node{data: d.frame, from: d, drop: true})
				l.count.n[nQueued]++
			}
		}
	})
}

// mostWork is what a slice, by the clock of stepped, has room for, in units of
// budget.work: so many looks at the clock, each of at most twice unclocked.
const mostWork = 2 * unclocked * (int64(turnSlice)/step + 2)

// TestTurns: what clients do that send all they can is bounded in every turn, and
// a publish is not behind all that.
func TestTurns(t *testing.T) {
	echo := text(`{"actioncode":"echo","data":"` + strings.Repeat("e", 60<<10) + `"}`)
	const clients = 16
	for name, c := range map[string]struct {
		stream string
		work   int64 // of one message
	}{
		"beats":  {strings.Repeat(text(beat), 2000), messageWork},
		"whoami": {strings.Repeat(text(`{"actioncode":"whoami"}`), 2000), messageWork + callWork},
		"echo":   {echo, messageWork + callWork + 120<<10},
		"pings":  {strings.Repeat(frame(9, "ping"), 5000), messageWork},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, Config{Loops: 1, ControlRate: -1, IdleTimeout: -1, CloseTimeout: 50 * time.Millisecond})
			s.jammed(2000)
			s.busy(clients, c.stream)
			s.stepped()
			done := func(l *loop) int64 { return int64(l.count.n[nMessagesIn] + l.count.n[nControlsIn]) }
			s.until("all are at it", func(st Stats) bool { return st.MessagesIn+st.ControlsIn > 20000/uint64(c.work/messageWork) })
			var first, last, turns int64
			ended := make(chan Result, 1)
			most := max(mostWork/c.work, 2) + clients // of those who are new in a tick, one quantum each
			s.everyTurn(func(l *loop) bool {
				now := done(l)
				if turns++; turns == 1 {
					first = now
					go func() {
						r, err := s.Publish(t.Context(), All(), Message{Data: []byte("news")})
						if err != nil {
							t.Error(err)
						}
						ended <- r
					}()
				} else if now-last > 2*most {
					t.Errorf("%d messages in a turn, %d are allowed", now-last, 2*most)
				}
				last = now
				return len(ended) == 0 && !t.Failed()
			})
			// A turn of walks is as long as one of reading, so the publish takes some
			// 2000 clients by walkSlice of steps.
			steps := int64(2000/walkSlice) * 3
			if limit := steps * 2 * unclocked / c.work; last-first > limit+4*most {
				t.Errorf("%d messages were ahead of a publish, in %d turns; %d are allowed", last-first, turns, limit+4*most)
			}
			if r := <-ended; r.Matched != 2000+clients {
				t.Errorf("%+v", r)
			}
		})
	}
}

// TestPipelineInTurns: answers come in order, however often a client's time is
// over, also across a handover.
func TestPipelineInTurns(t *testing.T) {
	cfg := Config{Loops: 1}
	s := start(t, cfg)
	s.stepped()
	s.busy(4, strings.Repeat(text(beat), 2000))
	p := s.dial()
	const n = 1000
	var all strings.Builder
	for i := range n {
		all.WriteString(text(fmt.Sprintf(`{"actioncode":"echo","data":%d,"seq":%d}`, i, i)))
	}
	go p.try(all.String() + all.String())
	for i := range 2 * n {
		if i == n/10 {
			s, _ = s.pass(cfg)
			s.stepped()
		}
		p.expect(answer(0, "success", fmt.Sprint(i%n), "echo", fmt.Sprint(i%n)))
	}
}

// TestLeftoverStays: what waits for the next turn is not moved for it.
func TestLeftoverStays(t *testing.T) {
	s := newSite(t, Config{Listen: []string{"none"}, Loops: 1})
	defer s.stop()
	l, slot, c := s.openRecord()
	l.nanos = func() int64 { return time.Hour.Nanoseconds() }
	var in []byte
	for range 1000 {
		in = append(in, frame(10, "pong")...) // which has no answer
	}
	c.controls = 1e6
	copy(l.scratch, in)
	l.budget.begin(1)
	l.budget.until = 1
	l.feed(slot, c, l.scratch[:len(in)])
	first := &l.leftover(c)[0]
	for n := 1; l.again.len() > 0; n++ {
		e := l.extras.of(c)
		at, before := &e.leftover[0], e.done
		l.again.pop()
		c.clear(flagAgain)
		l.budget.begin(1)
		l.budget.until = 1
		l.readOn(slot, c)
		if len(l.leftover(c)) == 0 {
			if n < 5 {
				t.Errorf("all was done in %d turns", n)
			}
			return
		}
		if e = l.extras.of(c); &e.leftover[0] != at || e.done <= before {
			t.Fatalf("the leftover moved: %p, %p, at %d", first, &e.leftover[0], e.done)
		}
	}
	t.Error("it is forgotten")
}

// TestPublishBesideFanOuts: clients that address all do not have a publisher wait
// for what they have asked for, and what that is has a bound.
func TestPublishBesideFanOuts(t *testing.T) {
	s := start(t, Config{Loops: 1, IdleTimeout: -1, CloseTimeout: 50 * time.Millisecond, ClientFanout: true})
	s.jammed(2000)
	const fans = fannedAtOnce/2000 + 20
	p := s.dial()
	s.stepped()
	news := newDelivery([]byte("news"), All())
	if err := s.backlog.enter(t.Context(), s.ended, len(news.frame)); err != nil {
		t.Fatal(err)
	}
	s.each(func(*loop) { // all that follows is there before any of it is worked off
		p.send(`{"actioncode":"echo","is_broadcast":true}`)
		for range fans {
			s.tellAll(newDelivery([]byte("from a client"), All()))
		}
		if !s.backlog.full() {
			t.Errorf("%d more fan-outs to 2000 are let in", fans)
		}
		if err := s.Server.publish(news); err != nil {
			t.Error(err)
		}
	})
	left := 0
	s.everyTurn(func(l *loop) bool { // before anybody is told
		left = len(l.fans)
		select {
		case <-news.done:
			return false
		default:
			return true
		}
	})
	if n := news.matched.Load(); n != 2001 {
		t.Errorf("the publish was for %d", n)
	}
	if left < fans/2 {
		t.Errorf("%d of %d fan-outs were ahead of a publish", fans-left, fans)
	}
	for p.recv() != answer(10, "busy", "null", "echo", "") {
	}
	s.until("all are over", func(st Stats) bool { return st.PublishesUnderWay == 0 })
	if s.backlog.full() || s.backlog.fanned.Load() != 0 {
		t.Errorf("%d are counted", s.backlog.fanned.Load())
	}
}

// TestFifo: in order, without growing.
func TestFifo(t *testing.T) {
	var f fifo
	next := uint32(0)
	for i := range uint32(100000) {
		if f.push(i); i%3 != 0 && f.len() > 10 {
			if got := f.pop(); got != next {
				t.Fatalf("got %d, want %d", got, next)
			}
			next++
		}
		for f.len() > 50 {
			if got := f.pop(); got != next {
				t.Fatalf("got %d, want %d", got, next)
			}
			next++
		}
	}
	if cap(f.slots) > 512 {
		t.Errorf("room for %d", cap(f.slots))
	}
}
