package server

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"wsd/dispatch"
)

// taken adds the action "take", whose requests come out of the channel.
func taken(m *dispatch.Mux) chan dispatch.Reply[int] {
	replies := make(chan dispatch.Reply[int], 20_000)
	dispatch.Later(m, "take", func(_ *dispatch.Context, _ struct{}, r dispatch.Reply[int]) error {
		replies <- r
		return nil
	})
	return replies
}

const take = `{"actioncode":"take","seq":1}`

func took(n int) string { return answer(0, "success", fmt.Sprint(n), "take", "1") }

// TestLaterOrder: requests are answered in any order, each client goes on only
// when its own is, and no worker is held meanwhile.
func TestLaterOrder(t *testing.T) {
	m := testMux()
	replies := taken(m)
	s := start(t, Config{Mux: m, Workers: 1})
	const n = 50
	all := s.dialMany(n)
	var got [n]dispatch.Reply[int]
	for i, p := range all {
		p.send(take)
		got[i] = <-replies
		p.send(`{"actioncode":"echo","data":2}`)
	}
	if st := s.Stats(); st.ActionsWaiting != n {
		t.Errorf("%d clients wait", st.ActionsWaiting)
	}
	s.dial().ask(`{"actioncode":"add_pooled","data":[1]}`, good("1", "add_pooled"))
	for i := n - 1; i >= 0; i-- {
		if err := got[i].Answer(i, nil); err != nil {
			t.Fatal(err)
		}
		all[i].expect(took(i))
		all[i].expect(good("2", "echo"))
	}
	if st := s.Stats(); st.ActionsWaiting != 0 || st.Actions["take"][0] != n || st.ActionSeconds["take"].Count != n {
		t.Errorf("%d wait, answered %v", st.ActionsWaiting, st.Actions["take"])
	}
}

// TestLaterTwice: of several answers one is sent, and the others are counted.
func TestLaterTwice(t *testing.T) {
	m := testMux()
	replies := taken(m)
	dispatch.Later(m, "both", func(_ *dispatch.Context, _ struct{}, r dispatch.Reply[int]) error {
		if err := r.Answer(1, nil); err != nil {
			t.Error(err)
		}
		return errors.New("and fails")
	})
	s := start(t, Config{Mux: m})
	p := s.dial()
	p.send(take)
	r := <-replies
	const n = 20
	errs := make(chan error)
	for i := range n {
		go func() { errs <- r.Answer(i, nil) }()
	}
	good := 0
	for range n {
		if err := <-errs; err == nil {
			good++
		} else if !errors.Is(err, dispatch.ErrAnswered) {
			t.Error(err)
		}
	}
	p.recv()
	p.alive()
	p.ask(`{"actioncode":"both"}`, answer(0, "success", "1", "both", ""))
	p.alive()
	if st := s.Stats(); good != 1 || st.ActionsTwice != n || st.Actions["take"][0] != 1 {
		t.Errorf("%d answers were taken, %d counted as too many, %v", good, st.ActionsTwice, st.Actions["take"])
	}
}

// TestLaterGone: the answer comes when nobody waits any more, because the client
// has left, the time is up, or the server has stopped. Whoever works on it is told.
func TestLaterGone(t *testing.T) {
	m := testMux()
	replies := taken(m)
	s := start(t, Config{Mux: m, ActionTimeout: 300 * time.Millisecond, CloseTimeout: 50 * time.Millisecond})
	late := func(r dispatch.Reply[int], why error) {
		t.Helper()
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		if _, ok := r.Context().Deadline(); !ok {
			t.Error("no deadline")
		}
		select {
		case <-ctx.Done():
		case <-time.After(patience):
			t.Fatal("its context does not end")
		}
		if err := r.Context().Err(); !errors.Is(err, why) {
			t.Errorf("it ended with %v, want %v", err, why)
		}
	}
	p := s.dial()
	p.send(take)
	r := <-replies
	late(r, context.DeadlineExceeded)
	p.expect(answer(10, "busy", "null", "take", "1"))
	p.alive()
	if err := r.Answer(1, nil); !errors.Is(err, dispatch.ErrGone) {
		t.Error(err)
	}
	p.send(take)
	r = <-replies
	client := r.Client()
	if err := client.Subscribe("a"); err != nil || client.ID().String() == "" {
		t.Error(err)
	}
	p.reset()
	s.until("the client is gone", func(st Stats) bool {
		s.publish(All(), "x") // the write finds out
		return st.Clients.Connected == 0
	})
	late(r, context.Canceled)
	if err := client.Subscribe("b"); !errors.Is(err, errGone) {
		t.Errorf("a client that is gone: %v", err)
	}
	if err := r.Answer(1, nil); !errors.Is(err, dispatch.ErrGone) {
		t.Error(err)
	}
	if st := s.until("both are late", func(st Stats) bool { return st.ActionsLate == 2 }); st.PendingBytes != 0 || st.ActionTimeouts != 1 {
		t.Errorf("%d bytes held, %d time-outs", st.PendingBytes, st.ActionTimeouts)
	}
	s.dial().send(take)
	r = <-replies
	s.stop()
	if err := r.Answer(1, nil); !errors.Is(err, dispatch.ErrGone) {
		t.Errorf("the server has stopped: %v", err)
	}
	late(r, context.Canceled)
}

// TestLaterMemory: requests that wait cost no more than 500 bytes
// each, all in all, and are counted.
func TestLaterMemory(t *testing.T) {
	const n = 4_000
	m := testMux()
	replies := taken(m)
	s := start(t, Config{Mux: m, Loops: 1})
	waiting := make([]dispatch.Reply[int], 0, n)
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var st runtime.MemStats
		runtime.ReadMemStats(&st)
		return int64(st.HeapAlloc)
	}
	all := s.dialMany(n)
	all[0].send(take)
	waiting = append(waiting, <-replies)
	before, held := heap(), s.Stats().PendingBytes
	for _, p := range all[1:] {
		p.send(take)
		waiting = append(waiting, <-replies)
	}
	each := (heap() - before) / (n - 1)
	counted := (s.Stats().PendingBytes - held) / (n - 1)
	t.Logf("%d bytes for a request that waits, %d counted", each, counted)
	if each > 500 || counted < each {
		t.Errorf("%d bytes for a request that waits, %d counted", each, counted)
	}
	for i, r := range waiting {
		if err := r.Answer(i, nil); err != nil {
			t.Fatal(err)
		}
		all[i].expect(took(i))
	}
}

// TestLaterHandler: the handler runs on the loop, where it may ask for what it
// likes of its client; and one that answers at once is answered in the same turn.
func TestLaterHandler(t *testing.T) {
	m := testMux()
	var once sync.Once
	dispatch.Later(m, "join", func(ctx *dispatch.Context, in string, r dispatch.Reply[[]string]) error {
		once.Do(func() {
			if err := ctx.Err(); err != nil || r.Context().Err() != nil {
				t.Errorf("its context has ended: %v", err)
			}
		})
		if err := ctx.Client.Subscribe(in); err != nil {
			return err
		}
		return r.Answer(ctx.Client.Topics(), nil)
	})
	s := start(t, Config{Mux: m})
	p := s.dial()
	for i := range 20 {
		p.send(fmt.Sprintf(`{"actioncode":"join","data":"t%02d"}`, i))
	}
	list := ""
	for i := range 20 {
		list += fmt.Sprintf(`,"t%02d"`, i)
		p.expect(good("["+list[1:]+"]", "join"))
	}
	p.ask(`{"actioncode":"join","data":""}`, answer(1, "not a topic name: it has 0 bytes, not 1 to 128", "null", "join", ""))
}
