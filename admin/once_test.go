package admin

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func ok() coming { return reply{status: 200} }

func TestOnceForgets(t *testing.T) {
	now := time.Unix(0, 0)
	o := newOnce(time.Minute, 3)
	o.now = func() time.Time { return now }
	ran := 0
	try := func(key string) bool { // whether it ran
		before := ran
		o.do(context.Background(), key, fingerprint(), func() coming { ran++; return ok() })
		return ran > before
	}
	if !try("a") || try("a") {
		t.Error("a runs once")
	}
	now = now.Add(59 * time.Second)
	if try("a") {
		t.Error("a was forgotten early")
	}
	now = now.Add(time.Second)
	if !try("a") {
		t.Error("a is remembered for longer than the window")
	}
	for _, key := range []string{"b", "c", "d"} {
		try(key)
	}
	if len(o.entries) != 3 || len(o.ended) != 3 || try("d") || !try("a") {
		t.Errorf("the oldest makes room for the fourth: %d, %d", len(o.entries), len(o.ended))
	}
}

func TestOnceForgetsFailures(t *testing.T) {
	o := newOnce(time.Minute, 3)
	failed := o.do(context.Background(), "a", fingerprint(), func() coming { return reply{status: 503} })
	again := o.do(context.Background(), "a", fingerprint(), ok)
	if failed.status != 503 || again.status != 200 || again.replayed {
		t.Errorf("%+v, then %+v", failed, again)
	}
	func() {
		defer func() { _ = recover() }()
		o.do(context.Background(), "b", fingerprint(), func() coming { panic("handler") })
	}()
	if again := o.do(context.Background(), "b", fingerprint(), ok); again.status != 200 {
		t.Errorf("after a panic: %+v", again)
	}
}

// Many at once with one key: one runs, the others get its answer.
func TestOnceAtOnce(t *testing.T) {
	o := newOnce(time.Minute, 2)
	var ran, replayed atomic.Int32
	release := make(chan struct{})
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			p := o.do(context.Background(), "a", fingerprint(), func() coming {
				ran.Add(1)
				<-release
				return ok()
			})
			if p.status != 200 {
				t.Errorf("%+v", p)
			}
			if p.replayed {
				replayed.Add(1)
			}
		})
	}
	until(t, func() bool { return ran.Load() > 0 })
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	if p := o.do(gone, "a", fingerprint(), ok); p.status != 503 {
		t.Errorf("who does not wait gets %+v", p)
	}
	all.Go(func() { o.do(context.Background(), "b", fingerprint(), func() coming { <-release; return ok() }) })
	until(t, func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		return len(o.entries) == 2
	})
	if p := o.do(context.Background(), "c", fingerprint(), ok); p.status != 503 {
		t.Errorf("when all that may be remembered are under way: %+v", p)
	}
	close(release)
	all.Wait()
	if ran.Load() != 1 || replayed.Load() != 19 {
		t.Errorf("%d ran, %d were replayed", ran.Load(), replayed.Load())
	}
}

func BenchmarkOnce(b *testing.B) {
	o := newOnce(time.Minute, 10_000)
	for i := 0; b.Loop(); i++ {
		o.do(context.Background(), fmt.Sprint(i), fingerprint(), ok)
	}
}
