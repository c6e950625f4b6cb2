package server

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"wsd/netpoll"
)

// How the loops are stopped, in the order of the functions of this file:
//
//  1. drainActions: no further pooled action begins, and those that run end.
//     Everything else goes on.
//  2. The handover lock is taken: publishers wait. pauseFanout: clients that
//     address others wait, too. Publishes under way reach their last client.
//  3. freeze: each loop stops at the barrier, between two turns. While any loop
//     has something posted or under way, which may concern another loop, all of
//     them finish that, read nothing, and come to the barrier again.
//  4. Each loop gets its order: to thaw, which goes on where it stopped, or to
//     detach, after which another process has its clients.

// order is what a loop at the barrier is to do.
type order int

const (
	orderFinish order = iota // do what is posted and under way, read nothing, come to the barrier again
	orderThaw                // go on
	orderDetach              // let go of all clients, and end
)

// barrier is where all loops wait. While they do, whoever froze them may touch
// everything that is theirs.
type barrier struct {
	arrived chan struct{}
	orders  []chan order // by loop
}

// quiesce ends a turn: the loop waits at the barrier until it may go on.
func (l *loop) quiesce() {
	b := l.handover.barrier
	l.reachAll()
	for {
		b.arrived <- struct{}{}
		switch <-b.orders[l.number] {
		case orderFinish:
			l.takeInbox()
			l.reachAll()
			for l.walking() > 0 {
				l.fans, l.walks = l.walk(l.fans), l.walk(l.walks)
			}
			l.reap()
		case orderThaw:
			l.handover.barrier = nil
			return
		case orderDetach:
			l.handover.barrier = nil
			l.detach()
			return
		}
	}
}

// publishTimeout bounds the wait for publishes under way, and for the
// application to hold back what comes from elsewhere.
const publishTimeout = 10 * time.Second

// turnTimeout bounds a loop's turn, in which an inline handler may block. It is
// a variable so that a test can shorten it.
var turnTimeout = 5 * time.Second

// ErrBusy is returned when what runs does not end in time.
var ErrBusy = errors.New("what is under way does not end")

// drainActions waits until no pooled action runs, since a handler cannot be
// moved. Further ones are put off. Config.ActionTimeout bounds how long a
// handler is waited for.
func (s *Server) drainActions() error {
	if err := s.each(func(l *loop) { l.handover.drainingActions = true }); err != nil {
		return err
	}
	timeout := s.cfg.ActionTimeout + publishTimeout
	err := s.waitFor(timeout, func(l *loop) bool {
		for _, k := range l.pooled.calls {
			if !k.ended.Load() {
				return false
			}
		}
		return true
	})
	if err != nil {
		return fmt.Errorf("%w: pooled actions, within %v", err, timeout)
	}
	return nil
}

// pauseFanout puts off what clients ask to be sent to others: that does not take
// the handover lock, and may never end by itself. Then it waits until the
// publishes under way have reached their last client.
func (s *Server) pauseFanout() error {
	if err := s.each(func(l *loop) { l.handover.fanoutPaused = true }); err != nil {
		return err
	}
	if err := s.waitFor(publishTimeout, func(l *loop) bool { return l.walking() == 0 }); err != nil {
		return fmt.Errorf("%w: publishes, within %v", err, publishTimeout)
	}
	return nil
}

// each runs f in one loop after the other. It ends with the first loop that does
// not run it in time.
func (s *Server) each(f func(*loop)) error {
	for _, l := range s.loops {
		if err := s.within(turnTimeout, l, f); err != nil {
			return err
		}
	}
	return nil
}

// within has l run f, and waits for that. If it returns an error, f has not run
// and never will: what f would have touched is the caller's again.
func (s *Server) within(timeout time.Duration, l *loop, f func(*loop)) error {
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
	late := time.NewTimer(timeout)
	defer late.Stop()
	var err error
	select {
	case <-done:
		return nil
	case <-late.C:
		err = fmt.Errorf("%w: a loop's turn takes more than %v", ErrBusy, timeout)
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
func (s *Server) waitFor(timeout time.Duration, ok func(*loop) bool) error {
	for end := time.Now().Add(timeout); ; time.Sleep(time.Millisecond) {
		all := true
		if err := s.each(func(l *loop) { all = all && ok(l) }); err != nil || all {
			return err
		}
		if time.Now().After(end) {
			return ErrBusy
		}
	}
}

// resumeAll undoes drainActions and pauseFanout: what was put off begins. It
// waits for no loop, since one that blocks may be why the handover was called
// off.
func (s *Server) resumeAll() {
	for _, l := range s.loops {
		l.post(func(l *loop) {
			l.handover.drainingActions, l.handover.fanoutPaused = false, false
			l.beginPutOff()
		})
	}
}

// putOff keeps a request that must not begin now: for a pooled action, or
// addressed to other clients.
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

// beginPutOff begins the requests that were put off.
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

// freeze has all loops wait at a barrier. The caller has the handover lock, and
// no pooled action runs. On an error the loops go on.
func (s *Server) freeze() (*barrier, error) {
	b := &barrier{arrived: make(chan struct{}, len(s.loops))}
	for range s.loops {
		b.orders = append(b.orders, make(chan order, 1))
	}
	for _, l := range s.loops {
		l.post(func(l *loop) { l.handover.barrier = b })
	}
	err := s.gather(b)
	// What a loop did in its last turn may concern others: a newcomer that was
	// dealt to them, a message for all. It ends after some rounds, since nothing
	// is read that could make more of it.
	for round := 0; err == nil && !s.quiet(); round++ {
		if round == 16 {
			err = fmt.Errorf("%w: loops go on posting to each other", ErrBusy)
			break
		}
		b.tell(orderFinish)
		err = s.gather(b)
	}
	if err == nil && s.draining.Load() {
		err = errDraining
	}
	if err != nil {
		b.tell(orderThaw)
		return nil, err
	}
	return b, nil
}

func (b *barrier) tell(o order) {
	for _, c := range b.orders {
		c <- o
	}
}

// gather waits until all loops are at the barrier. Its channels have room for
// the order of a loop that comes too late: that one finds it there.
func (s *Server) gather(b *barrier) error {
	late := time.NewTimer(turnTimeout)
	defer late.Stop()
	for range s.loops {
		select {
		case <-b.arrived:
		case <-late.C:
			return fmt.Errorf("%w: a loop's turn takes more than %v", ErrBusy, turnTimeout)
		case <-s.ended:
			return ErrStopped
		}
	}
	return nil
}

// quiet reports whether nothing is posted to any loop, and nothing under way.
// All loops wait at the barrier.
func (s *Server) quiet() bool {
	for _, l := range s.loops {
		l.inbox.mu.Lock()
		posted := len(l.inbox.tasks) + len(l.inbox.answers)
		l.inbox.mu.Unlock()
		if posted > 0 || l.walking() > 0 || len(l.dead) > 0 {
			return false
		}
	}
	return true
}

// detach closes the descriptors of all clients and says nothing to any: their
// sockets live on in another process, which has copies. Each leaves the poller
// explicitly, since closing one copy of a socket does not end its registration.
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
