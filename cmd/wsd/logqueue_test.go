package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// reader is a standard error that is read only when the test says so.
type reader struct {
	mu      sync.Mutex
	text    bytes.Buffer
	fault   error // what writing ends with
	arrived chan struct{}
	open    chan struct{}
}

func newReader() *reader {
	return &reader{arrived: make(chan struct{}, 1), open: make(chan struct{})}
}

func (r *reader) Write(p []byte) (int, error) {
	select {
	case r.arrived <- struct{}{}:
	default:
	}
	<-r.open
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fault != nil {
		return 0, r.fault
	}
	return r.text.Write(p)
}

func (r *reader) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fault = err
}

func (r *reader) lines() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Split(strings.TrimSuffix(r.text.String(), "\n"), "\n")
}

func testLog(t *testing.T, r *reader) serveLog {
	t.Helper()
	log, err := openLog(r, logFlags{LogLevel: "info", LogFormat: "json"})
	if err != nil {
		t.Fatal(err)
	}
	return log
}

// Nobody who logs waits for a reader that does not read. What does not fit is
// counted, and the log tells of it at its place. The rest comes whole, in order.
func TestLogQueueDrops(t *testing.T) {
	r := newReader()
	log := testLog(t, r)
	log.Info("first")
	<-r.arrived // from here on everything waits
	line := strings.Repeat("x", 1000)
	const lines = 3 * logRoom / 1000
	for i := range lines {
		log.Info(line, "i", i)
	}
	dropped := log.queue.dropped.Load()
	if dropped == 0 || dropped >= lines {
		t.Fatalf("%d of %d lines were dropped", dropped, lines)
	}
	if n := len(log.queue.waiting); n > logRoom {
		t.Errorf("%d bytes wait, %d may", n, logRoom)
	}
	close(r.open)
	until(t, "the log tells of it", func() bool {
		came := r.lines() // once: more come meanwhile
		return strings.Contains(came[len(came)-1], "log lines were dropped")
	})
	log.Info("last")
	log.queue.close()
	got := r.lines()
	if want := int(1 + lines - dropped + 2); len(got) != want {
		t.Fatalf("%d lines came, want %d", len(got), want)
	}
	for i := range lines - int(dropped) {
		if want := fmt.Sprintf(`"i":%d}`, i); !strings.HasSuffix(got[1+i], want) {
			t.Fatalf("line %d is %.80s, want %s", i, got[1+i], want)
		}
	}
	if notice := got[len(got)-2]; !strings.Contains(notice, fmt.Sprintf(`"lines":%d`, dropped)) {
		t.Errorf("told: %s, want %d", notice, dropped)
	}
	if !strings.Contains(got[len(got)-1], "last") {
		t.Errorf("the last line is %s", got[len(got)-1])
	}
}

// A full disk, say: what is lost is counted, and told when it can be.
func TestLogQueueFailures(t *testing.T) {
	r := newReader()
	close(r.open)
	r.fail(syscall.ENOSPC)
	log := testLog(t, r)
	for range 3 {
		log.Info("lost")
	}
	until(t, "three are lost", func() bool { return log.queue.dropped.Load() == 3 })
	r.fail(nil)
	log.Info("there again")
	log.queue.close()
	if got := strings.Join(r.lines(), "\n"); strings.Contains(got, "lost") || !strings.Contains(got, "there again") || !strings.Contains(got, `"lines":3`) {
		t.Errorf("the log:\n%s", got)
	}
	if log.Info("too late"); log.queue.dropped.Load() != 4 {
		t.Error("a line after the end is not counted")
	}
}

// cutWriter takes what it likes, and wants to be asked again.
type cutWriter struct{ bytes.Buffer }

func (w *cutWriter) Write(p []byte) (int, error) {
	if len(p) > 7 {
		_, _ = w.Buffer.Write(p[:7])
		return 7, fmt.Errorf("write: %w", syscall.EAGAIN)
	}
	return w.Buffer.Write(p)
}

// A pipe that some other process has made non-blocking loses nothing.
func TestLogQueueNonblocking(t *testing.T) {
	w := &cutWriter{}
	q := newLogQueue(w)
	line := []byte("a line of more than twice seven bytes\n")
	if n, err := q.direct(line); n != len(line) || err != nil || w.String() != string(line) {
		t.Errorf("%d, %v: %q", n, err, w.String())
	}
}

// A program that has nothing left to do does not wait for ever to say why.
func TestLastWord(t *testing.T) {
	t.Parallel() // it waits
	r := newReader()
	defer close(r.open)
	lastWord(r, "nobody listens\n")
	var b bytes.Buffer
	if lastWord(&b, "somebody does\n"); b.String() != "somebody does\n" {
		t.Errorf("said %q", b.String())
	}
	lastWord(writerFunc(func([]byte) (int, error) { return 0, errors.New("closed") }), "nor can\n")
}
