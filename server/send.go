package server

import "wsd/netpoll"

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
	l.enqueueCopy(slot, c, p)
}

func (l *loop) enqueueCopy(slot uint32, c *client, p []byte) {
	data := append([]byte(nil), p...)
	l.enqueue(slot, c, node{data: data, array: arrayOf(cap(data))})
}

// write sends what the socket takes. ok is false if the client died of it.
func (l *loop) write(slot uint32, c *client, p []byte) (n int, ok bool) {
	n, err := netpoll.Write(int(c.fd), p)
	if n == len(p) {
		l.count.n[nBytesOut] += uint64(n)
		return n, true
	}
	return l.wrote(slot, c, n, err)
}

// wrote is what becomes of a write of which the socket took n bytes and no more.
func (l *loop) wrote(slot uint32, c *client, n int, err error) (_ int, ok bool) {
	if err != nil && err != netpoll.EAGAIN {
		l.kill(slot, c, ReasonReset)
		return 0, false
	}
	l.count.n[nBytesOut] += uint64(n)
	if !c.is(flagWriting) {
		if err := l.poll.Mod(int(c.fd), c.token(slot), netpoll.EdgeWrite); err != nil {
			l.kill(slot, c, ReasonInternal)
			return 0, false
		}
		c.set(flagWriting)
	}
	return n, true
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
	if n > 0 {
		l.extras.of(c).taken = l.wheel.now
	}
	for n > 0 {
		first := l.queue.at(c.head)
		if n < len(first.data) {
			first.data, first.drop = first.data[n:], false
			c.pending -= uint32(n)
			switch {
			case first.array != 0:
				l.extras.of(c).beyond += uint32(n)
			case first.from == nil:
				l.server.memory.charge(-n)
			}
			l.weigh(c)
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
