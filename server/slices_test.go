package server

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
)

// crowd gives the server's only loop n open clients without sockets: whatever is
// sent to one of them ends it.
func (s *site) crowd(n int) {
	s.t.Helper()
	s.each(func(l *loop) {
		for range n {
			l.addRecord()
		}
	})
}

// everyTurn calls look in turn after turn of the only loop, until it is false.
func (s *site) everyTurn(look func(*loop) bool) {
	s.t.Helper()
	done := make(chan struct{})
	var again func(*loop)
	again = func(l *loop) {
		if !look(l) || !l.post(again) {
			close(done)
		}
	}
	s.loops[0].post(again)
	select {
	case <-done:
	case <-time.After(patience):
		s.t.Fatal("the crowd is not worked off")
	}
}

// timeless stops the clock by which the only loop deals out a turn's time: publishes
// have more than a slice where reading took long, as it does on a busy machine.
func (s *site) timeless() {
	s.each(func(l *loop) { l.nanos = func() int64 { return 0 } })
}

// inSlices checks that what count counts grows to n, and in no turn by more than
// most.
func (s *site) inSlices(n, most uint64, count func(*loop) uint64) {
	s.t.Helper()
	var last, turns uint64
	first := true
	s.everyTurn(func(l *loop) bool {
		now := count(l)
		if grown := now - last; !first && grown > most*(l.count.n[nTurns]-turns) {
			s.t.Errorf("%d of %d in one turn, %d are allowed", grown, n, most)
		}
		first, last, turns = false, now, l.count.n[nTurns]
		return now < n && !s.t.Failed()
	})
}

// TestSlices: what concerns a crowd at once, be it a closed topic, a stop, a
// time-out or queues that are too old, is done little by little, and the ready
// sockets are served in between.
func TestSlices(t *testing.T) {
	const crowd = 5000
	later := func(s *site) { // as far as the loop can see
		s.each(func(l *loop) { l.start = l.start.Add(-2 * time.Hour) })
	}
	closes := func(why Reason) func(*loop) uint64 {
		return func(l *loop) uint64 { return l.count.closes[why] }
	}
	t.Run("topic", func(t *testing.T) {
		s := start(t, Config{Loops: 1})
		p := s.dial()
		p.ask(`{"actioncode":"subscribe","data":{"topics":["t"]}}`, good(`["t"]`, "subscribe"))
		if err := s.Post(Topic("t"), Message{Data: []byte("before")}); err != nil {
			t.Fatal(err)
		}
		s.timeless()
		s.crowd(crowd)
		s.each(func(l *loop) {
			for slot := range l.clients.size() {
				if c := l.clients.at(slot); c.state == stateOpen && !c.is(flagSubscribed) {
					_ = l.subscribe(slot, c, []string{"t"}, false)
				}
			}
		})
		type closed struct {
			n   int
			err error
		}
		result := make(chan closed, 1)
		go func() {
			n, err := s.CloseTopic(t.Context(), "t", 4000, "over")
			result <- closed{n, err}
		}()
		s.inSlices(crowd, walkSlice, closes(ReasonAdmin))
		if r := <-result; r.n != crowd+1 || r.err != nil {
			t.Errorf("%+v", r)
		}
		p.expect("before")
		if code, reason := p.ended(); code != 4000 || reason != "over" {
			t.Errorf("closed with %d %q", code, reason)
		}
		if st := s.Stats(); st.Publishes != 1 || st.PublishSeconds.Count != 1 {
			t.Errorf("closing a topic counts as a publish: %d, %d", st.Publishes, st.PublishSeconds.Count)
		}
	})
	t.Run("stop", func(t *testing.T) {
		s := start(t, Config{Loops: 1, DrainTime: -1})
		s.crowd(crowd)
		done := s.stopping(false)
		s.inSlices(crowd, drainSlice, closes(ReasonShutdown))
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Run("silence", func(t *testing.T) {
		s := start(t, Config{Loops: 1})
		s.crowd(crowd)
		later(s)
		s.inSlices(crowd, lookSlice, func(l *loop) uint64 { return l.count.n[nPings] })
	})
	t.Run("queues", func(t *testing.T) {
		s := start(t, Config{Loops: 1, IdleTimeout: -1})
		s.crowd(crowd)
		s.each(func(l *loop) {
			d := &delivery{frame: []byte("x")}
			for slot := range l.clients.size() {
				if c := l.clients.at(slot); c.state == stateOpen {
					l.enqueue(slot, c, node{data: d.frame, from: d, drop: true})
					l.count.n[nQueued]++
				}
			}
		})
		later(s)
		// A last try to write ends those who have no socket.
		s.inSlices(crowd, stuckSlice, closes(ReasonReset))
		s.until("their messages are gone", func(st Stats) bool { return st.PendingBytes == 0 })
	})
}

// TestCloseTopicGivesUp: its context ends the waiting, not the closing.
func TestCloseTopicGivesUp(t *testing.T) {
	s := start(t, Config{Loops: 2})
	peers := s.dialMany(10)
	for _, p := range peers {
		p.ask(`{"actioncode":"subscribe","data":{"topics":["t"]}}`, good(`["t"]`, "subscribe"))
	}
	free := 0
	s.each(func(l *loop) {
		if l.number == 0 {
			free = l.clients.used
		}
	})
	release, held := make(chan struct{}), make(chan struct{})
	s.loops[1].post(func(*loop) { close(held); <-release })
	<-held
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if n, err := s.CloseTopic(ctx, "t", 1008, ""); !errors.Is(err, context.Canceled) || n > free {
		t.Errorf("%d closed of %d, %v", n, free, err)
	}
	close(release)
	for _, p := range peers {
		p.closedWith(1008)
	}
	s.closed(ReasonAdmin, 10)
	s.stop()
	if _, err := s.CloseTopic(t.Context(), "t", 1008, ""); !errors.Is(err, ErrStopped) {
		t.Errorf("after the end: %v", err)
	}
}

// TestPageOfQueues: a page ends early where long queues have to be counted, and
// all pages together have everybody.
func TestPageOfQueues(t *testing.T) {
	s := start(t, Config{Loops: 1, IdleTimeout: -1, CloseTimeout: 50 * time.Millisecond})
	const clients, each = 20, 4000
	s.crowd(clients)
	s.each(func(l *loop) {
		d := &delivery{frame: []byte("xyz")}
		for slot := range uint32(clients) {
			for range each {
				l.enqueue(slot, l.clients.at(slot), node{data: d.frame, from: d, drop: true})
				l.count.n[nQueued]++
			}
		}
	})
	seen := map[uuid.UUID]bool{}
	for cursor := ""; ; {
		list, next, err := s.Clients(t.Context(), cursor, 1000)
		if err != nil || len(list) > pageWork/each+1 {
			t.Fatalf("%d clients with %d messages each, %v", len(list), each, err)
		}
		for _, c := range list {
			if seen[c.ID] = true; c.QueuedMessages != each || c.QueuedBytes != 3*each {
				t.Fatalf("%+v", c)
			}
		}
		if cursor = next; cursor == "" {
			break
		}
	}
	if len(seen) != clients {
		t.Errorf("%d of %d are listed", len(seen), clients)
	}
}
