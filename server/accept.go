package server

import (
	"net/netip"
	"time"

	"github.com/google/uuid"

	"wsd/netpoll"
)

// acceptor takes connections off the listeners, decides which are let in, and
// deals them out. It belongs to the first loop: one place that decides needs no
// lock, and accepting is a small part of what a handshake costs.
type acceptor struct {
	listeners      []*netpoll.Listener
	asked          []string // what each was configured as, "" if it was inherited
	reserve        int      // a descriptor to give up in time of need, -1 if it is given up
	backoffUntil   uint32   // until this tick no more is accepted, 0: accepting
	backoffs       uint32   // how many in a row, for longer and longer ones
	warned         time.Time
	warnedStranger time.Time
	sweeping       bool    // the server stops
	swept          int     // by the sweep, so far
	tokens         float64 // of the handshake rate
	refilled       time.Time
	dealt          [][]newcomer // by loop, of the present batch
}

// newcomer is an accepted socket on its way to its loop.
type newcomer struct {
	fd      int
	peer    netip.AddrPort
	id      uuid.UUID
	request []byte // if another server has read it
	share   bool   // it counts in its address's share
	via     flags  // flagProxy, flagProxyHeader
	refuse  bool
	squeeze bool // it came when the places were all taken that short names
	short   int
}

// acceptBatch is how many connections are accepted per listener and turn, so
// that a storm of newcomers does not starve those who are there.
const acceptBatch = 64

// arm registers the listeners with the loop's poller: generation 0, the slot
// is the index.
func (a *acceptor) arm(l *loop) error {
	for i, ln := range a.listeners {
		if err := l.poll.Add(ln.Fd(), netpoll.MakeToken(uint32(i), 0), netpoll.Level); err != nil {
			return err
		}
	}
	return nil
}

// ready accepts a batch from listener i and says how many came.
func (a *acceptor) ready(l *loop, i int) (accepted int) {
	if i >= len(a.listeners) || a.backoffUntil != 0 {
		return 0
	}
	until := l.nanos() + int64(turnSlice)
	for accepted < acceptBatch && l.nanos() < until {
		fd, peer, err := a.listeners[i].Accept()
		if err == netpoll.EAGAIN {
			break
		}
		if err != nil {
			l.count.n[nAcceptErrors]++
			if netpoll.Exhausted(err) {
				a.exhausted(l, i, err)
				break
			}
			continue // that connection was gone before it was accepted
		}
		a.backoffs = 0
		accepted++
		a.admit(l, newcomer{fd: fd, peer: peer, id: l.server.newID()})
	}
	a.deal(l)
	return accepted
}

// admit decides on a newcomer and puts it on its loop's pile.
func (a *acceptor) admit(l *loop, n newcomer) {
	s := l.server
	if s.stranger(&n) {
		a.turnAwayStranger(l, &n)
		return
	}
	n.via = s.via(&n)
	n.refuse = !a.allowed(l, &n)
	if n.refuse && s.population.refused.Load() >= s.refusals() {
		// Not even the room for saying no is left.
		l.count.n[nTurnedAway]++
		_ = netpoll.Abort(n.fd)
		return
	}
	s.population.enter(n.place())
	owner := s.loopOf(n.id)
	a.dealt[owner] = append(a.dealt[owner], n)
	if n.squeeze {
		a.deal(l) // others of the batch find the place taken or free
	}
}

// refusals is how many may wait for their 503 at once: half of the spare
// descriptors, so that they take no client's place. While the server drains it is
// all free ones, since no client will come.
func (s *Server) refusals() int64 {
	half := int64(s.limits.Spare() / 2)
	if s.draining.Load() {
		return int64(s.limits.Descriptors-s.limits.Reserve) + half - s.population.clients()
	}
	return half
}

// allowed says whether the newcomer may begin a handshake. The address is checked
// before the rate: who is refused for its address uses up nobody's rate.
func (a *acceptor) allowed(l *loop, n *newcomer) bool {
	s := l.server
	short := s.shortOf(1)
	switch {
	case s.draining.Load():
		l.count.refusals[refusedDraining]++
		return false
	case short >= 0 && !s.maySqueeze():
		l.count.refusals[short]++
		s.keepOut(short)
		return false
	case n.via&flagProxy == 0 && !s.population.shares.enter(n.peer, s.cfg.MaxPerAddress):
		l.count.refusals[refusedAddress]++
		return false
	}
	n.share = s.cfg.MaxPerAddress > 0 && n.peer.IsValid() && n.via&flagProxy == 0
	if !a.takeToken(s.cfg.HandshakeRate, s.unspent.Swap(0)) {
		l.count.refusals[refusedRate]++
		if n.share {
			s.population.shares.leave(n.peer.Addr().As16())
			n.share = false
		}
		return false
	}
	n.short, n.squeeze = short, short >= 0
	if !n.squeeze {
		s.letIn()
	}
	return true
}

// takeToken is the handshake rate's bucket: it holds one second's worth. back is
// how many tokens came back.
func (a *acceptor) takeToken(rate int, back int64) bool {
	if rate <= 0 {
		return true
	}
	now := time.Now()
	a.tokens = min(a.tokens+float64(back)+now.Sub(a.refilled).Seconds()*float64(rate), float64(rate))
	a.refilled = now
	if a.tokens < 1 {
		return false
	}
	a.tokens--
	return true
}

// deal hands the batch to its loops: directly to this one, by post to others.
func (a *acceptor) deal(l *loop) {
	for i, pile := range a.dealt {
		if len(pile) == 0 {
			continue
		}
		if owner := l.server.loops[i]; owner == l {
			l.welcome(pile)
			a.dealt[i] = pile[:0]
		} else {
			if !owner.post(func(o *loop) { o.welcome(pile) }) {
				l.server.forget(pile...)
			}
			a.dealt[i] = nil
		}
	}
}

// welcome takes in newcomers that were dealt to this loop.
func (l *loop) welcome(pile []newcomer) {
	for _, n := range pile {
		if n.squeeze && !l.squeeze(&n) {
			continue
		}
		if slot, c := l.join(n); c != nil && n.request != nil {
			l.handshake(slot, c, n.request)
		}
	}
}

// forget closes newcomers whose loop is over.
func (s *Server) forget(pile ...newcomer) {
	for _, n := range pile {
		s.population.leave(n.place())
		_ = netpoll.Close(n.fd)
	}
}

// exhausted: no descriptor or memory for one more socket. The reserve makes
// room to take the newcomer off the queue and refuse it. Then the acceptor backs
// off, so that it neither spins nor floods the log.
func (a *acceptor) exhausted(l *loop, i int, err error) {
	if a.reserve >= 0 {
		_ = netpoll.Close(a.reserve)
		if fd, _, err := a.listeners[i].Accept(); err == nil {
			l.count.n[nTurnedAway]++
			_ = netpoll.Abort(fd)
		}
		a.reserve = -1
	}
	a.reserve, _ = netpoll.Reserve()
	if time.Since(a.warned) > 10*time.Second {
		a.warned = time.Now()
		l.server.log.Warn("out of descriptors or memory: newcomers are refused, connected clients are not affected",
			"error", err, "clients", l.server.population.clients(), "limit", l.server.limits.Descriptors)
	}
	a.backOff(l)
}

// backOff takes the listeners out of the poller for 100 ms, and longer, up to
// 1.6 s, when that did not help.
func (a *acceptor) backOff(l *loop) {
	a.backoffs = min(a.backoffs+1, 5)
	a.backoffUntil = max(l.wheel.now+l.timeout(50*time.Millisecond<<a.backoffs), 1) // 0 would be none
	for _, ln := range a.listeners {
		_ = l.poll.Del(ln.Fd())
	}
	l.server.backingOff.Store(true)
	l.count.n[nAcceptBackoffs]++
}

// tick ends a backoff.
func (a *acceptor) tick(l *loop) {
	if a.reserve < 0 {
		a.reserve, _ = netpoll.Reserve()
	}
	if a.backoffUntil == 0 || before(l.wheel.now, a.backoffUntil) || a.sweeping {
		return
	}
	a.backoffUntil = 0
	if err := a.arm(l); err != nil {
		l.server.log.Warn("accepting does not resume yet", "error", err)
		a.backOff(l)
		return
	}
	l.server.backingOff.Store(false)
}

// longestQueue bounds how many are accepted for each listener when the server
// stops. Closing a listener resets those in its queue. A queue is served in order:
// after so many all who were in it before the stop have their 503, however many
// come behind them.
const longestQueue = 1 << 16

// sweep refuses a batch of those in the queues. Once these are empty, or the
// bound is reached, it closes the listeners.
func (a *acceptor) sweep(l *loop) {
	accepted := 0
	for i := range a.listeners {
		accepted += a.ready(l, i)
	}
	if a.swept += accepted; accepted == 0 || a.swept >= len(a.listeners)*longestQueue {
		a.close(l)
	}
}

// close ends the acceptor.
func (a *acceptor) close(l *loop) {
	for _, ln := range a.listeners {
		_ = ln.Close()
	}
	a.listeners, a.asked = nil, nil
	if a.reserve >= 0 {
		_ = netpoll.Close(a.reserve)
	}
	l.accept = nil
	close(l.server.swept)
}
