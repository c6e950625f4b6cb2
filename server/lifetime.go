package server

import (
	"context"
	"sync"
	"time"
)

// lifetime is the context of a call: it ends with the time that an action has,
// with its client, or with the server. A timer, and a place among what ends with
// the server, are made only for a handler that waits for the end (Done), which is
// what deriving a context from it does, too.
type lifetime struct {
	parent context.Context
	due    int64 // instant

	mu     sync.Mutex
	err    error           // why it is over
	inner  context.Context // once somebody waits for the end
	cancel context.CancelFunc
}

func (t *lifetime) begin(parent context.Context, timeout time.Duration) {
	t.parent, t.due = parent, instant()+int64(timeout)
}

// end is called once or more often; the first reason stays.
func (t *lifetime) end(why error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over() == nil {
		t.err = why
	}
	if t.cancel != nil {
		t.cancel()
	}
}

// over is Err, with the lock held.
func (t *lifetime) over() error {
	if t.err == nil {
		if t.err = t.parent.Err(); t.err == nil && instant() >= t.due {
			t.err = context.DeadlineExceeded
		}
	}
	return t.err
}

func (t *lifetime) Err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.over()
}

func (t *lifetime) Done() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.inner == nil {
		t.inner, t.cancel = context.WithTimeout(t.parent, time.Duration(t.due-instant()))
		if t.over() != nil {
			t.cancel()
		}
	}
	return t.inner.Done()
}

func (t *lifetime) Deadline() (time.Time, bool) {
	return time.Now().Add(time.Duration(t.due - instant())), true
}

func (t *lifetime) Value(key any) any {
	t.mu.Lock()
	inner := t.inner
	t.mu.Unlock()
	if inner == nil {
		return t.parent.Value(key)
	}
	return inner.Value(key)
}
