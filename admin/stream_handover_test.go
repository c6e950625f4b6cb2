package admin

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
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
	until(t, func() bool { return atTheTurnstile() == 1 })
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
	until(t, func() bool { return atTheTurnstile() == 1 })
	now, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Forward(now); err != nil {
		t.Error(err)
	}
	if answer := hear(); !strings.Contains(answer, `"lines":2,"published":2`) || !strings.Contains(answer, `"end":"stopping"`) {
		t.Errorf("the last word was %q", answer)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
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
	until(t, func() bool { return len(f.published()) == 2 })
	held := make(chan error, 1)
	go func() { held <- s.Hold(t.Context()) }()
	until(t, func() bool { return blocked("select", "(*Server).Hold") == 1 })
	if len(held) > 0 {
		t.Error("nobody waited for what is under way")
	}
	close(f.hold)
	if err := <-held; err != nil {
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
