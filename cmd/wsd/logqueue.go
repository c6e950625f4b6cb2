package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// logQueue stands between the log and standard error, so that nobody who logs
// ever waits for whoever reads it: a loop would stand still with all its
// clients, and the main goroutine would not hear of signals. What does not fit
// any more is dropped and counted, and the log tells once it is read again.
//
// A panic does not go through here: the runtime writes it itself.
type logQueue struct {
	out     io.Writer
	notices slog.Handler // by direct; set before run

	dropped atomic.Uint64 // lines, in all

	mu      sync.Mutex
	more    sync.Cond // of waiting and ending
	waiting []byte    // whole lines
	spare   []byte    // the other half, to be swapped
	untold  uint64    // of dropped, what the log has still to tell
	ending  bool
	ended   chan struct{} // closed when run has returned
}

const (
	// logRoom bounds the lines that wait, in bytes. As many again may be on their
	// way to whoever reads them.
	logRoom = 1 << 20
	// logFlush bounds what the program waits at its end for its last lines to be
	// taken.
	logFlush = 2 * time.Second
	// logRetry is the pause before another try, should some other process have made
	// standard error non-blocking.
	logRetry = 10 * time.Millisecond
)

// writerFunc is an io.Writer.
type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func newLogQueue(out io.Writer) *logQueue {
	q := &logQueue{out: out, ended: make(chan struct{})}
	q.more.L = &q.mu
	return q
}

// Write takes one line. It never blocks and never fails.
func (q *logQueue) Write(line []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ending || len(q.waiting)+len(line) > logRoom {
		q.dropLocked()
	} else {
		q.waiting = append(q.waiting, line...)
		q.more.Signal()
	}
	return len(line), nil
}

func (q *logQueue) dropLocked() {
	q.dropped.Add(1)
	q.untold++
}

// run writes the lines, one in each call: so lines of two processes with one
// standard error, as in an upgrade, do not mix.
func (q *logQueue) run() {
	defer close(q.ended)
	for {
		lines, untold := q.take()
		if len(lines) == 0 {
			return
		}
		for line := range bytes.Lines(lines) {
			if _, err := q.direct(line); err != nil {
				q.mu.Lock()
				q.dropLocked()
				q.mu.Unlock()
			}
		}
		q.tell(untold) // they came behind these, and found no room
	}
}

// take waits for lines; none means that the end has come. untold is as of now.
func (q *logQueue) take() (lines []byte, untold uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.waiting) == 0 && !q.ending {
		q.more.Wait()
	}
	lines, q.waiting = q.waiting, q.spare[:0]
	if q.spare = lines; cap(lines) > 64<<10 {
		q.spare = nil // a burst is over
	}
	return lines, q.untold
}

// tell logs how many lines are missing, if any.
func (q *logQueue) tell(untold uint64) {
	if untold == 0 {
		return
	}
	r := slog.NewRecord(time.Now(), slog.LevelWarn, "log lines were dropped: standard error did not take them", 0)
	r.Add("lines", untold)
	if q.notices.Handle(context.Background(), r) == nil {
		q.mu.Lock()
		q.untold -= untold
		q.mu.Unlock()
	}
}

// direct writes one line whole, or as much of it as there is room for before an
// error that stays.
func (q *logQueue) direct(line []byte) (n int, err error) {
	for {
		m, err := q.out.Write(line[n:])
		if n += m; !errors.Is(err, syscall.EAGAIN) {
			return n, err
		}
		time.Sleep(logRetry)
	}
}

// close has what waits written, for logFlush at most. Lines that come later are
// dropped.
func (q *logQueue) close() {
	q.mu.Lock()
	q.ending = true
	q.more.Signal()
	q.mu.Unlock()
	select {
	case <-q.ended:
	case <-time.After(logFlush):
	}
}

// lastWord writes to standard error at the very end. Nobody may be reading it:
// then the program ends without.
func lastWord(out io.Writer, text string) {
	done := make(chan struct{})
	go func() {
		_, _ = io.WriteString(out, text)
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(logFlush):
	}
}
