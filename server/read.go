package server

import (
	"errors"

	"github.com/gobwas/ws"

	"wsd/conn"
	"wsd/netpoll"
)

// The way of a frame, in the order of the functions of this file and the next:
//
//  1. readable: an event says that the client has bytes.
//  2. read: one read into the loop's scratch buffer.
//  3. receive: by state; of an open client the bytes (behind what was left of
//     the last read, if anything was) go to feed.
//  4. feed: conn.Feed parses in place and calls Message for each whole
//     message; answers collect in l.out.
//  5. Message, Control (action.go): the actions; those for a worker in pooled.go.
//  6. send (send.go): one write for all the answers of this read.
//  7. keep: bytes that wait for the rest of their frame.
//
// Messages that are longer than a read: large.go.

// readable reads from a client that an event named. ended: the peer hung up.
func (l *loop) readable(slot uint32, c *client, ended bool) {
	if c.is(flagHungUp) {
		return
	}
	c.set(flagReadable)
	if ended {
		c.set(flagEnded)
	}
	switch {
	case l.held(c) || c.is(flagAgain): // whoever lifts the hold reads on; or continueReading, in its turn
	case l.isFirst(c):
		l.budget.begin(l.ready)
		l.read(slot, c)
	default:
		l.readLater(slot, c)
	}
}

// mostUnread is how much may wait for a client that is still read, or a quarter
// of PendingLimit if that is less: answers are memory of its own.
const mostUnread = 64 << 10

// held: its bytes stay in the kernel for now, which makes the sender feel the
// back-pressure: a handler is running for it, or it does not take its answers. Of a
// newcomer, somebody looks who it is.
func (l *loop) held(c *client) bool {
	if c.state == stateJoining {
		e := l.extras.of(c)
		return e != nil && e.checking()
	}
	if c.state != stateOpen {
		return false
	}
	if e := l.extras.of(c); e != nil && (e.call != nil || e.waiting != nil || e.reach != nil) {
		return true
	}
	return c.pending > 0 && int(c.pending) >= min(l.server.cfg.PendingLimit/4, mostUnread)
}

// read does one read and takes in what came.
func (l *loop) read(slot uint32, c *client) {
	into := l.scratch
	if c.extra != 0 {
		into = l.roomFor(c)
	}
	n, err := netpoll.Read(int(c.fd), into)
	switch {
	case n > 0:
		l.count.n[nBytesIn] += uint64(n)
		if n < len(into) && !c.is(flagEnded) {
			c.clear(flagReadable)
		} else {
			l.readLater(slot, c)
		}
		l.receive(slot, c, into[:n])
	case err == netpoll.EAGAIN:
		c.clear(flagReadable)
	case err == nil:
		l.hungUp(slot, c)
	default:
		l.kill(slot, c, ReasonReset)
	}
}

// hungUp: the peer's side of the stream is at its end. If that was half of a
// close, it still takes what waits for it, for as long as a close may take.
func (l *loop) hungUp(slot uint32, c *client) {
	c.clear(flagReadable)
	if c.head != 0 {
		c.set(flagHungUp)
	}
	l.finish(slot, c, ReasonVanished)
}

// receive takes in bytes, which are in the scratch buffer, or where roomFor had
// them read to, or nil.
func (l *loop) receive(slot uint32, c *client, in []byte) {
	switch c.state {
	case stateOpen, stateClosing:
		c.stamp = l.stampOf(c)
		c.clear(flagPinged)
		if !l.takeBytes(c, len(in)) {
			l.fail(slot, c, ReasonRate, ws.StatusPolicyViolation, "too many bytes per second")
			return
		}
		l.feed(slot, c, l.withLeftover(c, in))
	case stateJoining, stateRefused:
		l.handshake(slot, c, l.withLeftover(c, in))
	}
}

// stampOf is the client's stamp now. While it closes, it stays that of the
// entry: the time to answer a close is not prolonged by chatter.
func (l *loop) stampOf(c *client) uint32 {
	if c.state == stateOpen {
		return l.wheel.now
	}
	return c.stamp
}

// leftover is what was left of the last read.
func (l *loop) leftover(c *client) []byte {
	if e := l.extras.of(c); e != nil {
		return e.leftover[e.done:]
	}
	return nil
}

// withLeftover puts in behind what was left of the last read.
func (l *loop) withLeftover(c *client, in []byte) []byte {
	e := l.extras.of(c)
	if e == nil || e.leftover == nil {
		return in
	}
	if len(in) > 0 {
		e.settle()
		l.setLeftover(c, e, l.buffers.join(e.leftover, in))
	}
	return e.leftover[e.done:]
}

// keep stores what has to be presented again. leftover aliases the scratch buffer,
// or the client's own, in which it stays where it is: a client that goes on
// after a pause, again and again, does not have it moved each time.
func (l *loop) keep(slot uint32, c *client, leftover []byte) {
	e := l.extras.of(c)
	switch {
	case len(leftover) == 0:
		if e != nil && e.leftover != nil {
			l.buffers.put(e.leftover)
			e.done = 0
			l.setLeftover(c, e, nil)
		}
	case e != nil && e.leftover != nil && !oversized(e.leftover, len(leftover)):
		e.done = cap(e.leftover) - cap(leftover)
		e.leftover = e.leftover[:e.done+len(leftover)]
	default:
		e = l.extras.make(slot, c)
		own := append(l.buffers.get(len(leftover)), leftover...)
		if e.leftover != nil {
			l.buffers.put(e.leftover)
			e.done = 0
		}
		l.setLeftover(c, e, own)
	}
}

// setLeftover gives the client another buffer, or none, and counts what that is more
// or less.
func (l *loop) setLeftover(c *client, e *extra, leftover []byte) {
	more := cap(leftover) - cap(e.leftover)
	if e.leftover = leftover; more != 0 {
		l.server.memory.charge(more)
		l.weigh(c)
	}
}

// feed hands bytes to the protocol and sends what it answers, piece by piece
// if that is a lot, until the client's time is over. Nothing closes the client
// while Feed runs: its leftover, which Feed reads, would go back to the pool.
// Message and Control return an error instead, on which feed acts afterwards.
func (l *loop) feed(slot uint32, c *client, in []byte) {
	messages := l.count.n[nMessagesIn]
	for {
		l.feeding.slot, l.feeding.cur = slot, c
		leftover, out, err := l.server.protocol.Feed(&c.proto, in, l.out[:0], l)
		l.out = out
		switch {
		case l.feeding.own != nil:
			l.sendOwn(slot, c, out)
		case cap(out) > 4*flushSize: // a large answer: not kept
			l.out = make([]byte, 0, flushSize)
			l.give(slot, c, out)
		case len(out) > 0:
			l.send(slot, c, out)
		}
		if c.state == stateDead {
			return
		}
		if err != nil && err != conn.ErrPause {
			l.keep(slot, c, leftover)
			l.protocolEnd(slot, c, err)
			return
		}
		if err == nil || l.held(c) || c.state != stateOpen {
			l.keep(slot, c, leftover)
			l.timeMessage(slot, c, l.count.n[nMessagesIn] != messages, err == nil)
			return
		}
		if in = leftover; len(in) == 0 { // paused, and that was all
			l.keep(slot, c, nil)
			l.timeMessage(slot, c, l.count.n[nMessagesIn] != messages, true)
			return
		}
		if l.budget.spent || l.spend(unclocked) {
			l.keep(slot, c, in)
			l.timeMessage(slot, c, l.count.n[nMessagesIn] != messages, false)
			l.readLater(slot, c)
			return
		}
	}
}

// timeMessage begins or ends the time for an unfinished message (MessageTimeout).
// whole: a message came to its end, so what is unfinished now is another one. all:
// all that came was taken in; else what is missing may be here, unread for our
// sake. Control frames in between change nothing.
func (l *loop) timeMessage(slot uint32, c *client, whole, all bool) {
	e := l.extras.of(c)
	unfinished := c.state == stateOpen && (e != nil && len(e.leftover) > e.done || c.proto.InMessage())
	if e != nil && e.unfinished && (whole || !unfinished) {
		e.unfinished = false
		l.extras.tidy(c)
		e = l.extras.of(c)
	}
	if !unfinished || !all || l.server.cfg.MessageTimeout < 0 || e != nil && e.unfinished {
		return
	}
	e = l.extras.make(slot, c)
	e.began, e.unfinished = l.wheel.now, true
	if _, at := l.nextLimit(slot, c); !l.planned(c, at) {
		l.plan(slot, c, at)
	}
}

// protocolEnd acts on what ended the WebSocket connection; the close frame, if
// one is due, is sent already.
func (l *loop) protocolEnd(slot uint32, c *client, err error) {
	var ce *conn.CloseError
	switch {
	case !errors.As(err, &ce):
		l.fail(slot, c, ReasonInternal, ws.StatusInternalServerError, "")
	case ce.Remote:
		l.finish(slot, c, ReasonPeer)
	default:
		l.linger(slot, c, reasonOf(ce))
	}
}
