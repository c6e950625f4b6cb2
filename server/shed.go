package server

import (
	"github.com/gobwas/ws"

	"wsd/conn"
)

// When clients make the server hold more than they may in all, it is not whoever
// comes next that has to go: a client whose socket was full for a moment is well.
// Who holds the most goes, of all loops; of several with as much, who has for
// the longest.

// statusTryAgain is what the registry of close codes calls "Try Again Later".
const statusTryAgain = ws.StatusCode(1013)

// shedAtOnce is how many may have to go at a time: some 100 µs of closing. A
// loop looks again in each turn.
const shedAtOnce = 8

// shed has those who hold the most go, until the rest is within the limit. If
// they are another loop's, it is told. It is for when no client is being fed.
func (l *loop) shed() {
	s := l.server
	l.heavier, l.shedding = false, false
	for range shedAtOnce {
		if !s.memory.over() {
			return
		}
		slot, c := l.heaviest()
		if other := s.heaviestLoop(l); other != l && !s.memory.wayOver() {
			other.askToShed()
			return
		}
		if c == nil {
			return
		}
		s.lastShed.Store(s.age())
		l.evictHolder(slot, c)
	}
	l.shedding = s.memory.over()
}

// wayOver: another loop that was asked does not come round to it.
func (a *account) wayOver() bool {
	limit := a.limit.Load()
	return a.held.Load() > limit+limit/4
}

// heaviestLoop is the loop whose client is to go next: l itself, if no other one
// has a heavier or older one.
func (s *Server) heaviestLoop(l *loop) *loop {
	heaviest, most := l, l.holders.rank.Load()
	for _, other := range s.loops {
		if rank := other.holders.rank.Load(); rank > most {
			heaviest, most = other, rank
		}
	}
	return heaviest
}

// askToShed wakes a loop that others have found to have the heaviest client. It
// is safe to call from any goroutine.
func (l *loop) askToShed() {
	if l.asked.CompareAndSwap(false, true) {
		l.post(func(l *loop) {
			l.asked.Store(false)
			l.shed()
		})
	}
}

// evictHolder has a client give up what it holds: published messages that wait, if the
// policy is to drop those, and else its connection.
func (l *loop) evictHolder(slot uint32, c *client) {
	if c.state == stateOpen && l.server.cfg.SlowConsumer != CloseSlow && l.dropWaiting(c) {
		return
	}
	switch c.state {
	case stateJoining, stateRefused:
		l.reject(slot, c, l.withLeftover(c, nil), ReasonMemory, &conn.HTTPError{Status: 503, Reason: "out of memory for unfinished requests"})
	case stateOpen:
		l.dropQueue(c, false)
		if c.head == 0 { // else its end would be within a message that is sent in part
			l.fail(slot, c, ReasonMemory, statusTryAgain, "out of memory, and this client holds the most")
			break
		}
		fallthrough
	default:
		l.kill(slot, c, ReasonMemory)
	}
}

// dropWaiting drops published messages that wait for the client, the oldest
// first, until all is within the limit, and says whether there was any.
func (l *loop) dropWaiting(c *client) bool {
	n := l.dropNodes(c, func(_ uint32, nd *node) verdict {
		if !l.server.memory.over() {
			return keepRest
		}
		return dropIf(nd.drop)
	})
	l.count.dropped[l.server.cfg.SlowConsumer] += uint64(n)
	l.count.n[nEvicted] += uint64(n)
	return n > 0
}
