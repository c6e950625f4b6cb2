package admin

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"
)

// A process that hands over does not wait for streams to end. Their lines wait,
// go on if the handover fails, and otherwise are for the newer process.
func TestStreamDuringHandover(t *testing.T) {
	f := &fake{}
	s, err := New(Config{Listen: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)}, f)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	lines, answers := dialogue(t, "http://"+s.Addr(), "")
	say := func() {
		if _, err := fmt.Fprintln(lines, `{"all":true,"text":"x"}`); err != nil {
			t.Error(err)
		}
	}
	hear := func() string {
		answer, err := answers.ReadString('\n')
		if err != nil {
			t.Error(err)
		}
		return answer
	}
	say()
	hear()
	if err := s.Hold(t.Context()); err != nil {
		t.Fatal(err)
	}
	say()
	until(t, waitsAtTheTurnstile)
	if messages := f.published(); len(messages) != 1 {
		t.Errorf("%d were published while held", len(messages))
	}
	s.Release()
	if answer := hear(); !strings.Contains(answer, `"line":2`) {
		t.Errorf("released, it said %q", answer)
	}
	if err := s.Hold(t.Context()); err != nil {
		t.Fatal(err)
	}
	say()
	until(t, waitsAtTheTurnstile)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := s.Forward(ctx); err != nil {
		t.Error(err)
	}
	if answer := hear(); !strings.Contains(answer, `"lines":2,"published":2`) || !strings.Contains(answer, `"end":"stopping"`) {
		t.Errorf("the last word was %q", answer)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// waitsAtTheTurnstile tells that a goroutine is blocked there: what it was read for
// cannot happen until the turnstile lets it in.
func waitsAtTheTurnstile() bool {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	return bytes.Contains(stacks, []byte(" [select]:\nwsd/admin.(*turnstile).enter("))
}

// A handover waits for the lines under way, not for a publisher that does not
// read the answers to them.
func TestStreamUnderWayDuringHandover(t *testing.T) {
	f := &fake{hold: make(chan struct{})}
	s, err := New(Config{Listen: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)}, f)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve() }()
	defer s.Close()
	lines, answers := dialogue(t, "http://"+s.Addr(), "")
	fmt.Fprintln(lines, `{"all":true,"text":"x"}`)
	fmt.Fprintln(lines, `{"all":true,"text":"y","key":"k"}`)
	for end := time.Now().Add(10 * time.Second); len(f.published()) < 2 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := s.Hold(short); err == nil {
		t.Error("nobody waited for what is under way")
	}
	s.Release()
	close(f.hold)
	if err := s.Hold(t.Context()); err != nil {
		t.Error(err)
	}
	if state, err := s.Remembered(); err != nil || !strings.Contains(string(state), `"key":"k"`) {
		t.Errorf("the key is not handed over: %s %v", state, err)
	}
	s.Release()
	lines.Close()
	rest, _ := io.ReadAll(answers)
	if !strings.Contains(string(rest), `"lines":2,"published":2`) {
		t.Errorf("%s", rest)
	}
}
