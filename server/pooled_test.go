package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"wsd/dispatch"
)

// gate is a pooled action that a test holds and releases.
type gate struct {
	entered chan *dispatch.Context
	release chan struct{}
	running atomic.Int64
}

// locked adds the action "wait", which answers its data once it is released,
// or fails with the end of its context.
func locked(m *dispatch.Mux) *gate {
	g := &gate{entered: make(chan *dispatch.Context, 1000), release: make(chan struct{})}
	dispatch.Handle(m, "wait", func(ctx *dispatch.Context, in int) (int, error) {
		g.running.Add(1)
		defer g.running.Add(-1)
		g.entered <- ctx
		select {
		case <-g.release:
			return in, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	})
	return g
}

func (g *gate) wait(t testing.TB) *dispatch.Context {
	t.Helper()
	select {
	case ctx := <-g.entered:
		return ctx
	case <-time.After(patience):
		t.Fatal("no handler runs")
		return nil
	}
}

// TestBackPressure: while its handler runs, a client's messages wait in order
// and its socket is not read, so that it feels it; nobody else does.
func TestBackPressure(t *testing.T) {
	m := testMux()
	g := locked(m)
	s := start(t, Config{Mux: m})
	p, other := s.dial(), s.dial()
	p.send(`{"actioncode":"wait","data":1}`)
	g.wait(t)
	const n, size = 400, 60_000 // more than any socket buffer holds
	filler := strings.Repeat("x", size)
	wrote := make(chan error, 1)
	go func() {
		for i := range n {
			if _, err := p.Conn.Write([]byte(text(fmt.Sprintf(`{"actioncode":"add","data":[%d],"company":"%s"}`, i, filler)))); err != nil {
				wrote <- err
				return
			}
		}
		wrote <- nil
	}()
	for range 50 {
		other.alive()
		if in := s.Stats().BytesIn; in > 2*readSize {
			t.Fatalf("%d bytes were read while the handler ran", in)
		}
	}
	select {
	case err := <-wrote:
		t.Fatalf("the sender was not held up: %v", err)
	default:
	}
	close(g.release)
	p.expect(good("1", "wait"))
	for i := range n {
		p.expect(good(fmt.Sprint(i), "add"))
	}
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
}

// TestBusy: when all workers are at work the answer is code 10, at once.
func TestBusy(t *testing.T) {
	m := testMux()
	g := locked(m)
	s := start(t, Config{Mux: m, Workers: 2})
	for range 2 {
		p := s.dial()
		p.send(`{"actioncode":"wait","data":5}`)
		g.wait(t)
		defer func() { p.expect(good("5", "wait")); p.alive() }()
	}
	p := s.dial()
	p.ask(`{"actioncode":"wait","data":6,"seq":"s"}`, answer(10, "busy", "null", "wait", `"s"`))
	p.ask(`{"actioncode":"add_pooled","data":[]}`, answer(10, "busy", "null", "add_pooled", ""))
	p.ask(`{"actioncode":"add","data":[]}`, good("0", "add"))
	if st := s.Stats(); st.ActionsBusy != 2 || st.Actions["wait"][10] != 1 || st.Actions["add_pooled"][10] != 1 {
		t.Errorf("counted %d, %v", st.ActionsBusy, st.Actions)
	}
	close(g.release)
	eventually(t, says("a worker is free again"), func() bool { p.send(`{"actioncode":"wait","data":7}`); return p.recv() == good("7", "wait") })
}

// TestActionTimeout: a handler that takes too long is told so, its client gets
// code 10 and goes on with what it sent meanwhile, and the late result is dropped.
func TestActionTimeout(t *testing.T) {
	m := testMux()
	late := make(chan struct{})
	free := sync.OnceFunc(func() { close(late) })
	defer free()
	dispatch.Handle(m, "sleep", func(ctx *dispatch.Context, _ struct{}) (string, error) {
		<-ctx.Done()
		<-late
		return "late", nil
	})
	s := start(t, Config{Mux: m, ActionTimeout: 50 * time.Millisecond})
	p := s.dial()
	p.send(`{"actioncode":"sleep","seq":1}`)
	p.send(`{"actioncode":"echo","data":2}`)
	p.expect(answer(10, "busy", "null", "sleep", "1"))
	p.expect(good("2", "echo"))
	free()
	st := s.until("the late result is counted", func(st Stats) bool { return st.ActionsLate == 1 })
	if st.ActionTimeouts != 1 || st.Actions["sleep"][10] != 1 || st.Actions["sleep"][0] != 0 {
		t.Errorf("%d time-outs, %v", st.ActionTimeouts, st.Actions["sleep"])
	}
	p.alive()
}

// TestLeaverWithHandler: clients vanish in every way while their handlers run.
func TestLeaverWithHandler(t *testing.T) {
	m := testMux()
	g := locked(m)
	s := start(t, Config{Mux: m})
	ask := `{"actioncode":"wait","data":1}`

	polite, rude, reset := s.dial(), s.dial(), s.dial()
	for _, p := range []*peer{polite, rude, reset} {
		p.send(ask)
		g.wait(t)
	}
	polite.send(beat)
	polite.goodbye()
	rude.Close()
	reset.reset()
	close(g.release)
	polite.expect(good("1", "wait"))
	polite.expect(beating)
	polite.closedWith(1000)
	s.until("all are gone", func(st Stats) bool {
		return st.Clients.Connected == 0 && st.Closed["peer"] == 1 && st.Closed["vanished"]+st.Closed["reset"] == 2
	})
}

// TestHandlerOutlivesClient: what a handler asks of a client that is gone fails,
// and its context ends.
func TestHandlerOutlivesClient(t *testing.T) {
	m := testMux()
	type handed struct{ ctx *dispatch.Context }
	entered, release, result := make(chan handed), make(chan struct{}), make(chan error, 3)
	dispatch.Handle(m, "stay", func(ctx *dispatch.Context, _ struct{}) (int, error) {
		entered <- handed{ctx}
		<-release
		result <- ctx.Client.Subscribe("a")
		result <- ctx.Client.Unsubscribe("a")
		result <- ctx.Err()
		if ctx.Client.Topics() != nil {
			return 0, errors.New("a client that is gone has topics")
		}
		return 0, nil
	})
	s := start(t, Config{Mux: m})
	p, q := s.dial(), s.dial()
	id := p.id()
	p.send(`{"actioncode":"stay"}`)
	in := <-entered
	if got := in.ctx.Client.ID().String(); got != id || in.ctx.Client.RemoteAddr().String() != p.LocalAddr().String() || in.ctx.Client.ConnectedAt().IsZero() {
		t.Errorf("the handler sees %s at %v", got, in.ctx.Client.RemoteAddr())
	}
	p.reset()
	eventually(t, says("the write to the reset connection fails"), func() bool {
		s.publish(All(), "x")
		return s.Stats().Closed["reset"] == 1
	})
	close(release)
	for range 2 {
		if err := <-result; !errors.Is(err, errGone) {
			t.Errorf("asking a client that is gone: %v", err)
		}
	}
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("its context: %v", err)
	}
	s.until("nobody waits for the result", func(st Stats) bool { return st.ActionsLate == 1 })
	q.Close()
}

// TestHandlersChurn: many clients with handlers under way that come and go, so
// that a wrong owner of an answer would show.
func TestHandlersChurn(t *testing.T) {
	m := testMux()
	dispatch.Handle(m, "yield", func(_ *dispatch.Context, in string) (string, error) {
		time.Sleep(time.Duration(len(in)%3) * time.Millisecond)
		return in, nil
	})
	s := start(t, Config{Mux: m, Workers: 8})
	done := make(chan struct{})
	for k := range 8 {
		go func() {
			defer func() { done <- struct{}{} }()
			for i := range 40 {
				p := s.dial()
				tag := fmt.Sprintf("%d-%d", k, i)
				p.send(`{"actioncode":"yield","data":"` + tag + `"}`)
				switch i % 3 {
				case 0:
					p.reset()
				default:
					if got := p.recv(); got != good(`"`+tag+`"`, "yield") && got != answer(10, "busy", "null", "yield", "") {
						t.Errorf("%s got %s", tag, got)
					}
					p.Close()
				}
			}
		}()
	}
	for range 8 {
		<-done
	}
	s.until("all are gone", func(st Stats) bool { return st.Clients.Connected == 0 })
}
