package server

import (
	"github.com/gobwas/ws"

	"wsd/netpoll"
)

// node is one message, or the rest of one, that waits for room in a socket.
type node struct {
	data  []byte    // shared with other clients if it was published: never changed
	from  *delivery // of a published message, nil of an answer
	next  uint32    // node plus one
	prev  uint32    // likewise
	since uint32    // tick at which it was queued
	drop  bool      // may be left out: published, and nothing of it is sent yet
}

// value names what a client has at most one waiting message of: the latest of
// a Message.Coalesce key.
type value struct {
	of  *client
	key string
}

// queue holds the nodes of all clients of a loop. A client that does not read
// costs one node (nodeCost bytes) per message, whatever the message's size.
type queue struct {
	chunks []*[queueChunk]node
	free   uint32
	used   int
	latest map[value]uint32 // nodes that a newer message of their key may replace
}

const queueChunk = 128

// nodeCost is what a waiting message counts beside its bytes, against the
// limits and in what is reported: the size of its node. Without it, a million
// messages of two bytes would be within a limit of 4 MiB and take 48 MB.
const nodeCost = 48

func (q *queue) at(n uint32) *node { return &q.chunks[(n-1)/queueChunk][(n-1)%queueChunk] }

func (q *queue) alloc() uint32 {
	if q.free == 0 {
		first := uint32(len(q.chunks)) * queueChunk
		q.chunks = append(q.chunks, new([queueChunk]node))
		for n := first + queueChunk; n > first; n-- {
			q.at(n).next, q.free = q.free, n
		}
	}
	n := q.free
	q.free = q.at(n).next
	q.used++
	return n
}

// note remembers a node that a newer value may replace.
func (q *queue) note(c *client, n uint32) {
	nd := q.at(n)
	if !nd.drop || nd.from == nil || nd.from.coalesce == "" {
		return
	}
	if q.latest == nil {
		q.latest = make(map[value]uint32)
	}
	q.latest[value{c, nd.from.coalesce}] = n
}

// forget undoes note, if it was for this node.
func (q *queue) forget(c *client, n uint32) {
	if nd := q.at(n); nd.from != nil && nd.from.coalesce != "" {
		if v := (value{c, nd.from.coalesce}); q.latest[v] == n {
			delete(q.latest, v)
		}
	}
}

func (q *queue) release(n uint32) {
	*q.at(n) = node{next: q.free}
	q.free = n
	if q.used--; q.used == 0 && len(q.chunks) > 8 {
		*q = queue{} // the jam is over: give the memory back
	}
}

// send writes answers, or queues a copy of what the socket does not take.
// p is the caller's again afterwards.
func (l *loop) send(slot uint32, c *client, p []byte) {
	if c.head == 0 {
		n, ok := l.write(slot, c, p)
		if !ok || n == len(p) {
			return
		}
		p = p[n:]
	}
	l.enqueue(slot, c, node{data: append([]byte(nil), p...)})
}

// reply is send for what the client asked for. Answers cannot be left out: when
// there is no room for all clients together, and nobody here holds more, who
// does not take its own is cut off, without waiting for it to take a close frame.
func (l *loop) reply(slot uint32, c *client, p []byte) {
	l.send(slot, c, p)
	for range pressureVictims {
		if !l.overfull(c) || !l.ease(c, -nodeCost) { // it is in the queue already
			break
		}
	}
	if l.overfull(c) {
		l.kill(slot, c, ReasonSlow)
	}
}

// overfull: too much waits in all, and some of it for this client.
func (l *loop) overfull(c *client) bool {
	return c.pending > 0 && c.state == stateOpen && l.server.pending.Load() > l.server.cfg.PendingTotal
}

// write sends what the socket takes. ok is false if the client died of it.
func (l *loop) write(slot uint32, c *client, p []byte) (n int, ok bool) {
	n, err := netpoll.Write(int(c.fd), p)
	if err != nil && err != netpoll.EAGAIN {
		l.kill(slot, c, ReasonReset)
		return 0, false
	}
	l.count.n[nBytesOut] += uint64(n)
	if n == len(p) {
		return n, true
	}
	if !c.is(flagWriting) {
		if err := l.poll.Mod(int(c.fd), c.token(slot), netpoll.EdgeWrite); err != nil {
			l.kill(slot, c, ReasonInternal)
			return 0, false
		}
		c.set(flagWriting)
	}
	return n, true
}

// enqueue puts a node, whose data nobody may change any more, at the end of the
// queue.
func (l *loop) enqueue(slot uint32, c *client, nd node) {
	n := l.queue.alloc()
	nd.since, nd.prev = l.wheel.now, c.tail
	*l.queue.at(n) = nd
	l.queue.note(c, n)
	if c.head == 0 {
		c.head = n
	} else {
		l.queue.at(c.tail).next = n
	}
	c.tail = n
	c.pending += uint32(len(nd.data) + nodeCost)
	l.server.hold(&nd)
	if !c.is(flagStuck) {
		c.set(flagStuck)
		l.slow.stuck = append(l.slow.stuck, slot)
	}
}

// hold counts what a node keeps in memory: itself, its bytes if they are an
// answer, and a published frame with the first node, of any loop, that needs it.
func (s *Server) hold(nd *node) {
	n := len(nd.data)
	if d := nd.from; d != nil {
		if n = 0; d.held.Add(1) == 1 {
			n = len(d.frame)
		}
	}
	s.pending.Add(int64(n + nodeCost))
}

// letGo undoes hold: a frame leaves with its last node.
func (s *Server) letGo(nd *node) {
	n := len(nd.data)
	if d := nd.from; d != nil {
		if n = 0; d.held.Add(-1) == 0 {
			n = len(d.frame)
		}
	}
	s.pending.Add(-int64(n + nodeCost))
}

// flush writes queued bytes until the socket is full or the queue is empty.
func (l *loop) flush(slot uint32, c *client) {
	var pieces [64][]byte
	for c.head != 0 {
		k, want := l.gather(c, pieces[:])
		if k == 0 {
			break // all that waited had expired
		}
		n, err := netpoll.Writev(int(c.fd), pieces[:k])
		if err != nil && err != netpoll.EAGAIN {
			l.kill(slot, c, ReasonReset)
			return
		}
		l.count.n[nBytesOut] += uint64(n)
		l.sent(c, n)
		if n < want {
			break
		}
	}
	l.flushed(slot, c)
}

// gather fills pieces from the front of the queue, without what must not be
// delivered any more, and says how many and how many bytes they are.
func (l *loop) gather(c *client, pieces [][]byte) (k, want int) {
	now := int64(0)
	for n := c.head; n != 0 && k < len(pieces); {
		nd := l.queue.at(n)
		next := nd.next
		if nd.drop && nd.from.deadline != 0 {
			if now == 0 {
				now = instant()
			}
			if nd.from.deadline <= now {
				l.count.n[nQueuedExpired]++
				l.unqueue(c, nd.prev, n)
				n = next
				continue
			}
		}
		pieces[k] = nd.data
		want += len(nd.data)
		k, n = k+1, next
	}
	return k, want
}

// sent takes n bytes off the front of the queue.
func (l *loop) sent(c *client, n int) {
	for n > 0 {
		first := l.queue.at(c.head)
		if n < len(first.data) {
			first.data, first.drop = first.data[n:], false
			c.pending -= uint32(n)
			if first.from == nil {
				l.server.pending.Add(-int64(n))
			}
			return
		}
		n -= len(first.data)
		if first.from != nil {
			l.count.n[nQueuedSent]++
			l.count.n[nMessagesOut]++
		}
		l.unqueue(c, 0, c.head)
	}
}

// unqueue removes a node; before is the one ahead of it, 0 for the first.
func (l *loop) unqueue(c *client, before, n uint32) {
	nd := l.queue.at(n)
	l.queue.forget(c, n)
	c.pending -= uint32(len(nd.data) + nodeCost)
	l.server.letGo(nd)
	if before == 0 {
		c.head = nd.next
	} else {
		l.queue.at(before).next = nd.next
	}
	if c.tail == n {
		c.tail = before
	} else {
		l.queue.at(nd.next).prev = before
	}
	l.queue.release(n)
}

// flushed does what waited for the queue to shrink.
func (l *loop) flushed(slot uint32, c *client) {
	if c.head == 0 && c.is(flagFinish) {
		if c.state != stateLingering || c.is(flagHungUp) {
			l.kill(slot, c, ReasonNone)
			return
		}
		_ = netpoll.CloseWrite(int(c.fd))
	}
	if c.state == stateOpen && !l.held(c) {
		l.readLater(slot, c)
	}
}

// dropQueue forgets what waits, but for a message that is sent in part, since
// without its end the stream would be garbage. all: that too.
func (l *loop) dropQueue(c *client, all bool) {
	lost := l.dropNodes(c, func(before uint32, nd *node) verdict { return dropIf(all || before != 0 || nd.drop) })
	l.count.n[nLost] += uint64(lost)
}

// verdict is what becomes of a node.
type verdict int

const (
	keepNode verdict = iota
	dropNode
	keepRest // this one and all behind it: a long queue is not walked for nothing
)

func dropIf(yes bool) verdict {
	if yes {
		return dropNode
	}
	return keepNode
}

// dropNodes removes the nodes that which names, and says how many of them were
// published messages. before is 0 for the first of those that stay.
func (l *loop) dropNodes(c *client, which func(before uint32, nd *node) verdict) (published int) {
	before, n := uint32(0), c.head
	for n != 0 {
		nd := l.queue.at(n)
		next := nd.next
		switch which(before, nd) {
		case keepRest:
			return published
		case keepNode:
			before = n
		case dropNode:
			if nd.from != nil {
				published++
			}
			l.unqueue(c, before, n)
		}
		n = next
	}
	return published
}

// coalesce removes an older message of the same key, if one still waits whole:
// the latest value wins. It costs a look into an index, however long the queue.
func (l *loop) coalesce(c *client, d *delivery) {
	n := l.queue.latest[value{c, d.coalesce}]
	if n == 0 {
		return
	}
	if nd := l.queue.at(n); nd.drop {
		l.unqueue(c, nd.prev, n)
		l.count.n[nCoalesced]++
	}
}

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
	return (int(c.pending) == old || l.fitsAlone(c, len(d.frame)-old)) &&
		l.server.pending.Load()+int64(len(d.frame)+nodeCost-old) <= l.server.cfg.PendingTotal
}

// room makes room for size more bytes of a published message, by the policy,
// and says whether the message is to be queued. It may close the client.
func (l *loop) room(slot uint32, c *client, size int) bool {
	s := l.server
	if l.relieve(c, size) {
		return true
	}
	switch s.cfg.SlowConsumer {
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

// fits says whether a message of so many bytes may wait for the client. That it
// may wait for others already, and so need no memory, is left out of account.
func (l *loop) fits(c *client, size int) bool {
	return l.fitsAlone(c, size) && l.server.pending.Load()+int64(size+nodeCost) <= l.server.cfg.PendingTotal
}

// fitsAlone is fits as if there were no other clients.
func (l *loop) fitsAlone(c *client, size int) bool {
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
// while this loop was late. Who did, and had no chance to make more because the
// loop stood still, has his time again for the rest.
func (l *loop) lastWrite(slot uint32, c *client) {
	before := c.pending
	l.flush(slot, c)
	if !l.slow.stalled || c.state != stateOpen || c.pending >= before {
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
