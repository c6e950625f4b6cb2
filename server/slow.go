package server

import "github.com/gobwas/ws"

// replaces says whether a message fits in the place of an older one of its key,
// and of what that leaves free beside.
func (l *loop) replaces(c *client, d *delivery) bool {
	if d.coalesce == "" {
		return false
	}
	n := l.queue.latest[value{c, d.coalesce}]
	if n == 0 || !l.queue.at(n).drop {
		return false
	}
	old := len(l.queue.at(n).data) + nodeCost
	return int(c.pending) == old || l.fits(c, len(d.frame)-old)
}

// room makes room for size more bytes of a published message, by the policy,
// and says whether the message is to be queued. It may close the client.
func (l *loop) room(slot uint32, c *client, size int) bool {
	if l.fits(c, size) {
		return true
	}
	switch l.server.cfg.SlowConsumer {
	case DropNew:
		l.count.dropped[DropNew]++
		return false
	case DropOld:
		l.dropOldest(c, size)
		if l.fits(c, size) {
			return true
		}
		l.count.dropped[DropNew]++ // what waits may not be dropped
		return false
	}
	l.count.dropped[CloseSlow]++
	l.closeSlow(slot, c)
	return false
}

// fits says whether a message of so many bytes may wait for the client.
func (l *loop) fits(c *client, size int) bool {
	return c.pending == 0 || int(c.pending)+size+nodeCost <= l.server.cfg.PendingLimit
}

func (l *loop) dropOldest(c *client, size int) {
	n := l.dropNodes(c, func(_ uint32, nd *node) verdict {
		if l.fits(c, size) {
			return keepRest
		}
		return dropIf(nd.drop)
	})
	l.count.dropped[DropOld] += uint64(n)
	l.count.n[nEvicted] += uint64(n)
}

// closeSlow closes a client that does not take what is sent to it. Only the
// rest of a message under way and the close frame remain in its queue.
func (l *loop) closeSlow(slot uint32, c *client) {
	l.dropQueue(c, false)
	l.close(slot, c, ReasonSlow, ws.StatusPolicyViolation, "too slow: pending messages over the limit")
}

// stuckSlice is how many clients with a queue are looked at in one turn.
const stuckSlice = 1024

// checkStuck looks, once per tick, at the clients with a queue: has the oldest
// message waited for too long? It goes on for as many turns as that takes, from
// the end of the list to its front, so that those who come meanwhile, and whoever
// takes the place of one that leaves the list, are behind it.
func (l *loop) checkStuck(n int) {
	limit := l.timeout(l.server.cfg.PendingAge)
	for ; n > 0 && l.slow.unchecked > 0; n-- {
		l.slow.unchecked--
		slot := l.slow.stuck[l.slow.unchecked]
		if !l.stillStuck(slot, l.clients.at(slot), limit) {
			last := len(l.slow.stuck) - 1
			l.slow.stuck[l.slow.unchecked] = l.slow.stuck[last]
			l.slow.stuck = l.slow.stuck[:last]
		}
	}
}

// stillStuck says whether the client stays in the list.
func (l *loop) stillStuck(slot uint32, c *client, limit uint32) bool {
	if !c.is(flagStuck) {
		return false // freed
	}
	if l.aged(c, limit) {
		l.lastWrite(slot, c)
	}
	l.dropAged(c, limit)
	if c.head == 0 || c.state == stateDead {
		c.clear(flagStuck)
		if c.state == stateOpen && !l.held(c) {
			l.readLater(slot, c) // what was dropped may have held it
		}
		return false
	}
	if l.aged(c, limit) {
		l.closeSlow(slot, c)
	}
	return true
}

// aged: the oldest message of an open client has waited for too long.
func (l *loop) aged(c *client, limit uint32) bool {
	return c.state == stateOpen && c.head != 0 && l.wheel.now-l.queue.at(c.head).since >= limit
}

// lastWrite is one more try before the verdict: the client may have made room
// while this loop was late. If the loop stood still, a client that has taken
// something since gets a fresh time limit for the rest: it had no chance to make
// more room. It may have taken that before this look, in the same turn, when its
// socket was served before the clock was read.
func (l *loop) lastWrite(slot uint32, c *client) {
	l.flush(slot, c)
	if !l.slow.stalled || c.state != stateOpen || c.head == 0 || before(l.extras.of(c).taken, l.slow.from) {
		return
	}
	for n := c.head; n != 0; n = l.queue.at(n).next {
		l.queue.at(n).since = l.wheel.now
	}
}

// dropAged leaves out what is too old, where the policy is to drop. What is
// sent in part stays; if even that is too old, the client is stuck for good.
func (l *loop) dropAged(c *client, limit uint32) {
	policy := l.server.cfg.SlowConsumer
	if policy == CloseSlow || c.state != stateOpen {
		return
	}
	n := l.dropNodes(c, func(_ uint32, nd *node) verdict {
		if l.wheel.now-nd.since < limit { // and those behind it are younger
			return keepRest
		}
		return dropIf(nd.drop)
	})
	l.count.dropped[policy] += uint64(n)
	l.count.n[nEvicted] += uint64(n)
}
