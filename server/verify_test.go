package server

import (
	"strings"
	"sync/atomic"
	"testing"

	"wsd/dispatch"
)

// slowMux is testMux where looking at a token takes a worker, but for one.
func slowMux() *dispatch.Mux {
	m := testMux()
	m.Recall = func(token []byte) (any, bool, error) {
		switch string(token) {
		case "known":
			return Identity{Subject: "known"}, true, nil
		case "known/bad":
			return nil, true, dispatch.ErrTokenInvalid
		}
		return nil, false, nil
	}
	return m
}

// stuckMux is slowMux whose worker looks at a token until it is released.
func stuckMux() (m *dispatch.Mux, entered, release chan struct{}, atOnce *atomic.Int64) {
	m, entered, release, atOnce = slowMux(), make(chan struct{}, 1000), make(chan struct{}), new(atomic.Int64)
	var now atomic.Int64
	look := m.Authenticate
	m.Authenticate = func(ctx *dispatch.Context, token []byte) (any, error) {
		n := now.Add(1)
		defer now.Add(-1)
		if n > atOnce.Load() {
			atOnce.Store(n)
		}
		entered <- struct{}{}
		<-release
		return look(ctx, token)
	}
	return m, entered, release, atOnce
}

const (
	whoBob   = `{"actioncode":"who","token":"bob"}`
	whoKnown = `{"actioncode":"who","token":"known"}`
)

// TestVerify: a token that takes long is looked at by a worker. Its client waits,
// and its next messages; nobody else does, and tokens that are known do not.
func TestVerify(t *testing.T) {
	m, entered, release, _ := stuckMux()
	s := start(t, Config{Mux: m, Loops: 1})
	p, other := s.dial(), s.dial()
	p.write(text(whoBob) + text(whoKnown) + text(`{"actioncode":"echo","data":3}`))
	<-entered
	other.alive()
	other.ask(whoKnown, good(`"known"`, "who"))
	other.ask(`{"actioncode":"who","token":"known/bad"}`, answer(6, "token invalid", "null", "who", ""))
	other.ask(`{"actioncode":"who"}`, answer(8, "token empty", "null", "who", ""))
	if n := s.Stats().ActionsWaiting; n != 1 {
		t.Errorf("%d requests wait", n)
	}
	close(release)
	p.expect(good(`"bob"`, "who"))
	p.expect(good(`"known"`, "who"))
	p.expect(good("3", "echo"))
}

// TestVerifyOneAtATime: however many clients send tokens, they take one worker of
// each loop, and those who leave are forgotten.
func TestVerifyOneAtATime(t *testing.T) {
	m, entered, release, atOnce := stuckMux()
	s := start(t, Config{Mux: m, Loops: 1, Workers: 2})
	peers := s.dialMany(20)
	for _, p := range peers {
		p.send(whoBob)
	}
	<-entered
	eventually(t, says("all wait"), func() bool { return s.Stats().ActionsWaiting == 20 })
	s.each(func(l *loop) { l.kill(l.pooled.calls[10].slot, l.clients.at(l.pooled.calls[10].slot), ReasonAdmin) })
	free := s.dial()
	free.ask(`{"actioncode":"add_pooled","data":[1,2]}`, good("3", "add_pooled"))
	close(release)
	gone := 0
	for _, p := range peers {
		switch f, err := p.next(); {
		case err != nil:
			gone++
		case string(f.Payload) != good(`"bob"`, "who"):
			t.Errorf("%s", f.Payload)
		}
	}
	if gone != 1 {
		t.Errorf("%d have left", gone)
	}
	if n := atOnce.Load(); n != 1 {
		t.Errorf("%d workers looked at tokens at once", n)
	}
}

// TestVerifyBusy: when no worker is free, or too many wait, the answer is code 10,
// and the client goes on.
func TestVerifyBusy(t *testing.T) {
	m := slowMux()
	g := locked(m)
	s := start(t, Config{Mux: m, Loops: 1, Workers: 1})
	holder, p := s.dial(), s.dial()
	holder.send(`{"actioncode":"wait","data":1}`)
	g.wait(t)
	p.write(text(whoBob) + text(beat))
	p.expect(answer(10, "busy", "null", "who", ""))
	p.expect(beating)
	close(g.release)
	holder.expect(good("1", "wait"))
	p.ask(whoBob, good(`"bob"`, "who"))

	s.each(func(l *loop) { l.pooled.checks, l.pooled.looking = make([]check, checksAtOnce), 1 })
	p.ask(whoBob, answer(10, "busy", "null", "who", ""))
	s.each(func(l *loop) { l.pooled.checks, l.pooled.looking = nil, 0 })
	p.ask(whoBob, good(`"bob"`, "who"))
	if st := s.Stats(); st.ActionsBusy != 2 || st.Actions["who"][10] != 2 {
		t.Errorf("%d busy, %v", st.ActionsBusy, st.Actions["who"])
	}
}

// TestVerifyTooLong: the time-out of actions is that of their tokens as well.
func TestVerifyTooLong(t *testing.T) {
	m, entered, release, _ := stuckMux()
	s := start(t, Config{Mux: m, Loops: 1})
	p, q := s.dial(), s.dial()
	p.send(whoBob)
	<-entered
	q.send(`{"actioncode":"add_pooled","data":[1],"token":"bob","is_broadcast":true}`)
	eventually(t, says("both wait"), func() bool { return s.Stats().ActionsWaiting == 2 })
	s.sleep(s.cfg.ActionTimeout)
	p.expect(answer(10, "busy", "null", "who", ""))
	q.expect(answer(10, "busy", "null", "add_pooled", ""))
	close(release)
	p.alive()
	s.until("the worker is back", func(st Stats) bool { return st.ActionsLate == 1 })
	p.ask(whoBob, good(`"bob"`, "who"))
}

// TestVerifyHandover: a request whose token comes in while a handover waits for
// what runs is put off, and done by the new process.
func TestVerifyHandover(t *testing.T) {
	cfg := Config{Mux: slowMux()}
	s := start(t, cfg)
	p := s.dial()
	s.each(func(l *loop) { l.handover.drainingActions = true })
	p.send(whoBob)
	p.send(strings.Replace(whoBob, "bob", "eve", 1))
	waits := func(l *loop) (n int) {
		for _, slot := range l.handover.waiters {
			if e := l.extras.of(l.clients.at(slot)); e != nil && e.waiting != nil {
				n++
			}
		}
		return n
	}
	eventually(t, says("it is put off"), func() bool {
		n := 0
		s.each(func(l *loop) { n += waits(l) })
		return n == 1
	})
	young, _ := s.pass(cfg)
	p.expect(good(`"bob"`, "who"))
	p.expect(good(`"eve"`, "who"))
	young.until("both are counted", func(st Stats) bool { return st.Actions["who"][0] == 2 })
}
