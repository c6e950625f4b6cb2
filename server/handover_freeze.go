package server

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"wsd/netpoll"
)

// Standing still, in the order of the functions of this file:
//
//  1. settle: pooled actions are not begun any more, those that run come to
//     their end. Everything else goes on.
//  2. The gate closes: who publishes waits. hush: so do clients that address
//     others. Publishes under way reach their last client.
//  3. freeze: each loop stops between two turns. The world is quiet once no
//     loop has anything posted or under way that concerns another.
//  4. thaw: all goes on where it stopped, or detach: it goes on elsewhere.

// order is what a loop that stands still is told.
type order int

const (
	orderFinish order = iota // do what is posted and under way, read nothing, stand still again
	orderThaw
	orderDetach
)

// halt is all loops standing still. While they do, whoever froze them may touch
// everything that is theirs.
type halt struct {
	arrived chan struct{}
	orders  []chan order // by loop
}

// standStill ends a turn when the loop is to be frozen.
func (l *loop) standStill() {
	h := l.handover.halt
	for {
		h.arrived <- struct{}{}
		switch <-h.orders[l.number] {
		case orderFinish:
			l.takeInbox()
			for l.walking() > 0 {
				l.fans, l.walks = l.walk(l.fans), l.walk(l.walks)
			}
			l.reap()
		case orderThaw:
			l.handover.halt = nil
			return
		case orderDetach:
			l.handover.halt = nil
			l.detach()
			return
		}
	}
}

// Bounds of what has to happen before the loops can stand still. Within the
// first, clients whose pooled action has not begun wait, and all others are served.
const (
	walkPatience = 10 * time.Second // for publishes under way
)

// haltPatience is for a loop's turn: an inline handler may block. It is a
// variable for a test's sake.
var haltPatience = 5 * time.Second

// ErrBusy is returned when what runs does not end in time.
var ErrBusy = errors.New("what is under way does not end")

// settle waits until no pooled action runs: its handler cannot be moved. The
// time-out of actions bounds how long that takes. Further ones are put off.
func (s *Server) settle() error {
	if err := s.each(func(l *loop) { l.handover.settling = true }); err != nil {
		return err
	}
	patience := s.cfg.ActionTimeout + walkPatience
	err := s.waitFor(patience, func(l *loop) bool {
		for _, k := range l.pooled.calls {
			if !k.ended.Load() {
				return false
			}
		}
		return true
	})
	if err != nil {
		return fmt.Errorf("%w: pooled actions, within %v", err, patience)
	}
	return nil
}

// hush puts off what clients ask to be sent to others, which needs nobody's
// leave and would go on for ever. Publishes under way reach their last client.
func (s *Server) hush() error {
	if err := s.each(func(l *loop) { l.handover.hushed = true }); err != nil {
		return err
	}
	if err := s.waitFor(walkPatience, func(l *loop) bool { return l.walking() == 0 }); err != nil {
		return fmt.Errorf("%w: publishes, within %v", err, walkPatience)
	}
	return nil
}

// each runs f in one loop after the other, until one does not get round to it.
func (s *Server) each(f func(*loop)) error {
	for _, l := range s.loops {
		if err := s.within(haltPatience, l, f); err != nil {
			return err
		}
	}
	return nil
}

// within is on with a promise for when it fails: f has not run and never will,
// so that what it would have touched is the caller's again.
func (s *Server) within(patience time.Duration, l *loop, f func(*loop)) error {
	var decided atomic.Bool // whether f runs
	done := make(chan struct{})
	if !l.post(func(l *loop) {
		if decided.CompareAndSwap(false, true) {
			f(l)
			close(done)
		}
	}) {
		return ErrStopped
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	var err error
	select {
	case <-done:
		return nil
	case <-late.C:
		err = fmt.Errorf("%w: a loop's turn takes more than %v", ErrBusy, patience)
	case <-s.ended:
		err = ErrStopped
	}
	if decided.CompareAndSwap(false, true) {
		return err
	}
	<-done // f runs already, and is short
	return nil
}

// waitFor asks all loops again and again until ok is true of each in one round.
func (s *Server) waitFor(patience time.Duration, ok func(*loop) bool) error {
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		all := true
		if err := s.each(func(l *loop) { all = all && ok(l) }); err != nil || all {
			return err
		}
		if time.Now().After(end) {
			return ErrBusy
		}
	}
}

// unsettle undoes settle and hush, in loops that run: what was put off begins.
// It waits for none of them, since one may be why the whole was called off.
func (s *Server) unsettle() {
	for _, l := range s.loops {
		l.post(func(l *loop) {
			l.handover.settling, l.handover.hushed = false, false
			l.beginPutOff()
		})
	}
}

// putOff keeps a request that must not begin now: of a pooled action, or for
// others than who sent it.
func (l *loop) putOff(msg []byte) {
	l.setWaiting(l.feeding.cur, l.extras.make(l.feeding.slot, l.feeding.cur), append([]byte(nil), msg...))
	l.handover.waiters = append(l.handover.waiters, l.feeding.slot)
}

// setWaiting gives the client another request that waits, or none, and counts what
// that is more or less.
func (l *loop) setWaiting(c *client, e *extra, msg []byte) {
	l.server.memory.charge(len(msg) - len(e.waiting))
	e.waiting = msg
	l.weigh(c)
}

// beginPutOff has the requests that were put off go their way.
func (l *loop) beginPutOff() {
	waiters := l.handover.waiters
	l.handover.waiters = nil
	for _, slot := range waiters {
		c := l.clients.at(slot)
		e := l.extras.of(c)
		if e == nil || e.waiting == nil || c.state != stateOpen {
			continue // it left
		}
		msg := e.waiting
		l.setWaiting(c, e, nil)
		l.feeding.slot, l.feeding.cur = slot, c
		out, held := l.act(msg, l.out[:0])
		l.out = out
		if len(out) > 0 {
			l.send(slot, c, out)
		}
		if !held && c.state == stateOpen {
			l.readLater(slot, c)
		}
	}
}

// freeze brings all loops to a stand. The gate is closed, and nothing pooled
// runs. On an error they go on.
func (s *Server) freeze() (*halt, error) {
	h := &halt{arrived: make(chan struct{}, len(s.loops))}
	for range s.loops {
		h.orders = append(h.orders, make(chan order, 1))
	}
	for _, l := range s.loops {
		l.post(func(l *loop) { l.handover.halt = h })
	}
	err := s.gather(h)
	// What a loop did in its last turn may concern others: a newcomer dealt to
	// them, an answer for all. None of that makes more of its kind for long,
	// since nothing is read.
	for round := 0; err == nil && !s.quiet(); round++ {
		if round == 16 {
			err = fmt.Errorf("%w: loops go on posting to each other", ErrBusy)
			break
		}
		h.tell(orderFinish)
		err = s.gather(h)
	}
	if err == nil && s.draining.Load() {
		err = errDraining
	}
	if err != nil {
		h.tell(orderThaw)
		return nil, err
	}
	return h, nil
}

func (h *halt) tell(o order) {
	for _, c := range h.orders {
		c <- o
	}
}

// gather waits for all loops to stand. A loop that is late will find its order.
func (s *Server) gather(h *halt) error {
	late := time.NewTimer(haltPatience)
	defer late.Stop()
	for range s.loops {
		select {
		case <-h.arrived:
		case <-late.C:
			return fmt.Errorf("%w: a loop's turn takes more than %v", ErrBusy, haltPatience)
		case <-s.ended:
			return ErrStopped
		}
	}
	return nil
}

// quiet looks at loops that stand still: is anything under way?
func (s *Server) quiet() bool {
	for _, l := range s.loops {
		l.inbox.mu.Lock()
		posted := len(l.inbox.tasks)
		l.inbox.mu.Unlock()
		if posted > 0 || l.walking() > 0 || len(l.dead) > 0 {
			return false
		}
	}
	return true
}

// detach lets go of everything without a word to anybody: the descriptors
// are copies, their sockets live on in another process. They leave the poller
// explicitly, since closing a copy does not end its registration.
func (l *loop) detach() {
	if l.accept != nil {
		l.accept.detach(l)
	}
	l.reap()
	for slot := range l.clients.size() {
		if c := l.clients.at(slot); c.state != stateFree {
			_ = l.poll.Del(int(c.fd))
			l.remove(slot, c)
			l.free(slot, c)
		}
	}
	l.count = counters{actions: make([]actionCounters, len(l.count.actions))}
	l.again, l.slow.stuck, l.handover.waiters = fifo{}, nil, nil
	l.stopped = true
}

func (a *acceptor) detach(l *loop) {
	for _, ln := range a.listeners {
		_ = l.poll.Del(ln.Fd())
		_ = ln.Leave()
	}
	if a.reserve >= 0 {
		_ = netpoll.Close(a.reserve)
	}
	a.listeners, l.accept = nil, nil
}
