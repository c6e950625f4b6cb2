package server

import (
	"github.com/gobwas/ws"

	"wsd/conn"
	"wsd/netpoll"
)

// A message that is longer than a read takes a way of its own, on which its bytes
// are moved as little as can be:
//
//  1. roomFor: once readSize bytes of it are there, the rest is read to its place.
//  2. Its buffer doubles as the bytes come in, so that it is never more than twice
//     of what was received, nor more than the last frame needs.
//  3. sendOwn: an echo of it is sent out of that buffer. What the socket does not
//     take keeps the buffer, which is the queue's then.
//  4. give: neither is any other large answer copied for the queue.

// roomFor is where the next read from a client goes that has an extra: behind its
// leftover if that is a part of a long message, up to the end of the frame, so that
// nothing comes to lie behind a message. It is the scratch buffer for everybody else.
func (l *loop) roomFor(c *client) []byte {
	e := l.extras.of(c)
	left, final := c.proto.Left()
	have := len(e.leftover) - e.done
	if left == 0 || have < readSize {
		return l.scratch
	}
	e.settle()
	if have == cap(e.leftover) { // and not before: powers of two come out even
		more := have
		if final { // else a long message of many frames would be moved for each of them
			more = min(have, left)
		}
		grown := make([]byte, have+more)
		copy(grown, e.leftover)
		l.buffers.put(e.leftover)
		l.setLeftover(c, e, grown[:have])
	}
	return e.leftover[have:min(have+min(left, readSize), cap(e.leftover))]
}

// settle moves the leftover to the front of its buffer.
func (e *extra) settle() {
	if e.done > 0 {
		e.leftover, e.done = e.leftover[:copy(e.leftover, e.leftover[e.done:])], 0
	}
}

// oversized: a buffer from which a long message has gone is not kept for the n
// bytes behind it.
func oversized(buf []byte, n int) bool { return cap(buf) > 1<<maxClass && cap(buf) > 2*n }

// echoOwn answers a payload with itself where it lies: being longer than a read,
// it is in the client's own buffer. It stays there until the next Feed (ErrPause).
func (l *loop) echoOwn(op ws.OpCode, payload, out []byte) ([]byte, error) {
	l.feeding.own = payload
	l.spend(messageWork + 2*len(payload))
	return conn.AppendHeader(out, op, len(payload)), conn.ErrPause
}

// sendOwn sends head, and behind it the message that echoOwn found. If the socket
// takes too little of it, the client's buffer is the queue's from here on, and the
// leftover has to be kept in another.
func (l *loop) sendOwn(slot uint32, c *client, head []byte) {
	payload := l.feeding.own
	l.feeding.own = nil
	n := 0
	if c.head == 0 {
		var ok bool
		if n, ok = l.writeBoth(slot, c, head, payload); !ok || n == len(head)+len(payload) {
			return
		}
	}
	if n < len(head) { // the message has to be one node: who drops one leaves none in part
		whole := append(make([]byte, 0, len(head)-n+len(payload)), head[n:]...)
		whole = append(whole, payload...)
		l.enqueue(slot, c, node{data: whole, array: arrayOf(cap(whole))})
		return
	}
	rest, e := payload[n-len(head):], l.extras.of(c)
	if e.leftover == nil || !l.enqueueOwn(slot, c, rest, cap(e.leftover)) {
		l.enqueueCopy(slot, c, rest)
		return
	}
	e.done = 0
	l.setLeftover(c, e, nil)
}

func (l *loop) writeBoth(slot uint32, c *client, head, payload []byte) (n int, ok bool) {
	pieces := [2][]byte{head, payload}
	n, err := netpoll.Writev(int(c.fd), pieces[:])
	if n == len(head)+len(payload) {
		l.count.n[nBytesOut] += uint64(n)
		return n, true
	}
	return l.wrote(slot, c, n, err)
}

// give is send of answers in memory that is the loop's no more.
func (l *loop) give(slot uint32, c *client, p []byte) {
	size := cap(p)
	if c.head == 0 {
		n, ok := l.write(slot, c, p)
		if !ok || n == len(p) {
			return
		}
		p = p[n:]
	}
	if !l.enqueueOwn(slot, c, p, size) {
		l.enqueueCopy(slot, c, p)
	}
}

// enqueueOwn queues p as it is, which lies in an array of so many bytes, unless that
// would keep more than twice as much in memory as there is to send.
func (l *loop) enqueueOwn(slot uint32, c *client, p []byte, size int) bool {
	if size > 2*len(p) {
		return false
	}
	l.enqueue(slot, c, node{data: p, array: arrayOf(size)})
	return true
}
