package admin

import (
	"testing"
	"testing/synctest"
)

// A window is wide for lines that few get, and narrow as soon as one is for many.
func TestWindowReach(t *testing.T) {
	w := newWindow()
	for _, c := range []struct{ clients, times, most int }{
		{0, 0, 2}, {100, 100, windowLines}, {19_000, 1, 2}, {100, 3, 2}, {1000, 100, 16}, {0, 100, windowLines},
	} {
		for range c.times {
			w.enter(1)
			w.leave(1, c.clients)
		}
		if got := w.most(); got != c.most {
			t.Errorf("after %d lines for %d clients %d may be under way, want %d", c.times, c.clients, got, c.most)
		}
	}
}

// Lines and bytes are bounded; what is too large for the window goes alone.
func TestWindowBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWindow()
		w.enter(windowBytes - 10)
		entered := make(chan int, 1)
		for _, bytes := range []int{11, 2 * windowBytes} {
			go func() { w.enter(bytes); entered <- w.under() }()
			synctest.Wait() // until it has entered, or waits
			if len(entered) > 0 {
				t.Fatalf("%d bytes are one of %d lines under way", bytes, <-entered)
			}
			w.leave(w.bytes, 0)
			if n := <-entered; n != 1 {
				t.Errorf("%d bytes are one of %d lines under way", bytes, n)
			}
		}
	})
}
