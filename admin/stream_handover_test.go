package admin

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
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

// What is left of a stream's body when it ends is not read as another request: a
// publisher that sends its next one on that connection would be told 400.
func TestStreamCutEndsItsConnection(t *testing.T) {
	f := &fake{}
	s, err := New(Config{Listen: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)}, f)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve() }()
	defer s.Close()
	c, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	line := "{\"all\":true,\"text\":\"x\"}\n"
	chunk := fmt.Sprintf("%x\r\n%s\r\n", len(line), line)
	fmt.Fprintf(c, "POST /v1/publish/stream HTTP/1.1\r\nHost: %s\r\nTransfer-Encoding: chunked\r\n\r\n%s", s.Addr(), chunk)
	until(t, func() bool { return len(f.published()) == 1 })
	if err := s.Hold(t.Context()); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(c, strings.Repeat(chunk, 1000)+"0\r\n\r\n")
	until(t, func() bool { return blocked("select", "(*turnstile).enter") == 1 })
	now, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Forward(now); err != nil {
		t.Error(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	all, err := io.ReadAll(c) // a reset, once the summary is read, is for the bytes that were not
	if text := string(all); strings.Count(text, "HTTP/1.1 ") != 1 || !strings.Contains(text, "\r\nConnection: close\r\n") || !strings.Contains(text, `"end":"stopping"`) {
		t.Errorf("%v %s", err, text)
	}
}
