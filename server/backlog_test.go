package server

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// TestBacklog: who does not wait is told when too much is under way, who waits
// is served when there is room, and all that was taken arrives, in order.
func TestBacklog(t *testing.T) {
	s := start(t, Config{Loops: 1})
	p := s.dial()
	release, held := make(chan struct{}), make(chan struct{})
	s.loops[0].post(func(*loop) { close(held); <-release })
	<-held
	for i := range publishesAtOnce {
		if err := s.Post(All(), Message{Data: fmt.Append(nil, i)}); err != nil {
			t.Fatalf("publish %d: %v", i, err)
		}
	}
	for range 3 {
		if err := s.Post(All(), Message{Data: []byte("too many")}); !errors.Is(err, ErrBacklog) {
			t.Fatalf("%v", err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Publish(ended, All(), Message{Data: []byte("nor this")}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if _, err := s.CloseTopic(ended, "t", 1008, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	var waiting sync.WaitGroup
	for i := range 20 {
		waiting.Go(func() {
			if r, err := s.Publish(t.Context(), All(), Message{Data: fmt.Append(nil, "patient ", i)}); err != nil || r.Sent+r.Queued != 1 {
				t.Errorf("%+v %v", r, err)
			}
		})
	}
	close(release)
	for i := range publishesAtOnce {
		p.expect(fmt.Sprint(i))
	}
	for range 20 {
		if got := p.recv(); got[:8] != "patient " {
			t.Errorf("%q", got)
		}
	}
	waiting.Wait()
	st := s.until("nothing is under way", func(st Stats) bool { return st.PublishesUnderWay == 0 })
	if st.PublishesRefused != 3 || st.Publishes != publishesAtOnce+20 || s.backlog.bytes.Load() != 0 {
		t.Errorf("%d refused, %d published, %d bytes under way", st.PublishesRefused, st.Publishes, s.backlog.bytes.Load())
	}
}

// TestBacklogBytes: large messages are bounded by their bytes, a larger one than
// that may go alone, and one that no queue could hold may not.
func TestBacklogBytes(t *testing.T) {
	b := backlog{most: publishBytes, room: make(chan struct{}, 1)}
	if !b.try(publishBytes+1) || b.try(1) || b.full() != true {
		t.Error("one that is larger than the bound does not go alone")
	}
	b.leave(publishBytes+1, 0)
	if !b.try(publishBytes) || b.try(1) {
		t.Error("the bytes are not bounded")
	}
	b.leave(publishBytes, 0)
	s := start(t, Config{})
	large, err := syscall.Mmap(-1, 0, mostBytes+1, syscall.PROT_READ, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Munmap(large)
	if _, err := s.Publish(t.Context(), All(), Message{Data: large}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("%v", err)
	}
	if err := s.Post(All(), Message{Data: large}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("%v", err)
	}
}

// TestBacklogCrowd: many who wait, with little room: never more at once than
// there is room for, and nobody is forgotten.
func TestBacklogCrowd(t *testing.T) {
	b := backlog{most: publishBytes, room: make(chan struct{}, 1)}
	const large = publishBytes / 3
	var inside atomic.Int64
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			for range 200 {
				if err := b.enter(t.Context(), nil, large); err != nil {
					t.Error(err)
					return
				}
				if n := inside.Add(1); n > 3 {
					t.Errorf("%d at once", n)
				}
				inside.Add(-1)
				b.leave(large, 0)
			}
		})
	}
	all.Wait()
	if b.count.Load() != 0 || b.bytes.Load() != 0 {
		t.Errorf("%d of %d bytes are left", b.count.Load(), b.bytes.Load())
	}
}
