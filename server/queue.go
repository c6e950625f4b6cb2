package server

import "math"

// node is one message, or the rest of one, that waits for room in a socket.
type node struct {
	data  []byte    // shared with other clients if it was published: never changed
	from  *delivery // of a published message, nil of an answer
	next  uint32    // node plus one
	prev  uint32    // likewise
	since uint32    // tick at which it was queued
	drop  bool      // may be left out: published, and nothing of it is sent yet
	array uint16    // memory that data keeps, in arrayUnits, if it is a large array of an answer
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

// arrayUnit is a step in which the memory of large answers is counted.
const arrayUnit = 64 << 10

// arrayOf is the array field of an answer in an array of so many bytes: 0 if that
// is not large, and the account goes by the bytes that are still to be sent.
func arrayOf(size int) uint16 {
	if size <= arrayUnit {
		return 0
	}
	return uint16(min((size+arrayUnit-1)/arrayUnit, math.MaxUint16))
}

// memory is how much an answer's bytes keep.
func (nd *node) memory() int {
	if nd.array != 0 {
		return int(nd.array) * arrayUnit
	}
	return len(nd.data)
}

// beyond is how much a large array is more than what is still to be sent of it.
func (nd *node) beyond() uint32 { return uint32(nd.memory() - len(nd.data)) }

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
	l.server.memory.holdNode(&nd)
	e := l.extras.make(slot, c)
	if nd.array != 0 {
		e.beyond += nd.beyond()
	}
	l.weigh(c)
	if !c.is(flagStuck) {
		c.set(flagStuck)
		l.slow.stuck = append(l.slow.stuck, slot)
	}
}

// unqueue removes a node; before is the one ahead of it, 0 for the first.
func (l *loop) unqueue(c *client, before, n uint32) {
	nd := l.queue.at(n)
	l.queue.forget(c, n)
	c.pending -= uint32(len(nd.data) + nodeCost)
	l.server.memory.freeNode(nd)
	if nd.array != 0 {
		l.extras.of(c).beyond -= nd.beyond()
	}
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
	l.weigh(c)
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
