package server

import (
	"github.com/gobwas/ws"

	"wsd/conn"
	"wsd/netpoll"
)

// The life of a client, and the functions that move it on:
//
//	            join
//	     ┌────────┴────────┐
//	  joining           refused      over a limit: it will get a 503
//	     │ open            │
//	     ├─────────────────┤ reject  its request is answered by an HTTP error
//	     ▼                 │
//	   open ───────────────┤ fail    its fault, and it is told so (1002, 1007, 1008, 1009)
//	     │ close, finish   │
//	     ▼                 ▼
//	  closing          lingering     until the peer answers, or hangs up, or time is over
//	     └────────┬────────┘
//	              ▼ kill             from any state
//	            dead                 until the end of the batch
//	              ▼ reap
//	            free
//
// close is the start of a closing handshake by us. finish is for when the peer is
// at its end (close frame, or end of stream): what is queued is still sent. linger
// is reject or fail when the answer is sent already. kill sends nothing: the
// connection broke, or all is sent, or time is over.

// setState moves the client on, keeping the counts.
func (l *loop) setState(c *client, to state) {
	was := c.place()
	if c.state == stateJoining {
		l.joined(c)
		l.dropCheck(c)
	}
	l.count.states.move(c.state, to)
	c.state = to
	l.server.population.move(was, c.place())
}

// limit is what a client's time runs out for.
type limit uint8

const (
	noLimit           limit = iota
	handshakeLimit          // joining, refused: for the whole request
	firstMessageLimit       // open: from the handshake to the first message
	messageLimit            // open: from a message's first byte to its last
	idleLimit               // open: silence, after which it gets a ping
	pongLimit               // open: further silence, after the ping
	closeLimit              // closing, lingering: for the peer to answer, or hang up
	proofLimit              // open: from the handshake to the message that proves who it is
	warningLimit            // open: until it is told that its token expires soon
	expiryLimit             // open: until its token has expired
)

// nextLimit says which of the client's time limits is the next to be reached,
// and at which tick. It looks at the record, the extra and the ident alone: a client that was
// handed over has the same limits as one that was always here.
func (l *loop) nextLimit(slot uint32, c *client) (which limit, at uint32) {
	cfg := &l.server.cfg
	switch c.state {
	case stateJoining, stateRefused:
		return handshakeLimit, c.stamp + l.timeout(cfg.HandshakeTimeout)
	case stateClosing, stateLingering:
		return closeLimit, c.stamp + l.timeout(cfg.CloseTimeout)
	case stateOpen:
	default:
		return noLimit, 0
	}
	switch {
	case cfg.IdleTimeout < 0:
	case c.is(flagPinged):
		which, at = pongLimit, c.pinged+l.timeout(cfg.PongTimeout)
	default:
		which, at = idleLimit, c.stamp+l.timeout(cfg.IdleTimeout)
	}
	if cfg.FirstMessageTimeout > 0 && !c.is(flagSpoke) {
		if first := l.ticksSince(c) + l.timeout(cfg.FirstMessageTimeout); which == noLimit || before(first, at) {
			which, at = firstMessageLimit, first
		}
	}
	if e := l.extras.of(c); e != nil && e.unfinished && cfg.MessageTimeout > 0 {
		if end := e.began + l.timeout(cfg.MessageTimeout); which == noLimit || before(end, at) {
			which, at = messageLimit, end
		}
	}
	if c.is(flagKnown | flagUnproven) {
		if auth, end := l.authLimit(slot, c); auth != noLimit && (which == noLimit || before(end, at)) {
			which, at = auth, end
		}
	}
	return which, at
}

// look is the wheel's question: is one of the client's limits reached? It acts,
// or plans the next look.
func (l *loop) look(slot uint32, c *client) {
	which, reached := l.reached(slot, c)
	if reached && which != idleLimit {
		if st := c.state; l.lastRead(slot, c) != st {
			return
		}
		which, reached = l.reached(slot, c)
	}
	if !reached {
		return
	}
	switch which {
	case handshakeLimit:
		l.reject(slot, c, l.withLeftover(c, nil), ReasonHandshakeTimeout, &conn.HTTPError{Status: 408, Reason: "the handshake took too long"})
	case firstMessageLimit:
		l.close(slot, c, ReasonSilent, ws.StatusPolicyViolation, "no message in time")
	case messageLimit:
		l.unfinishedTooLong(slot, c)
	case pongLimit:
		if !l.held(c) { // of a held client we do not read the answer
			l.close(slot, c, ReasonIdle, ws.StatusPolicyViolation, "idle: the ping was not answered")
			return
		}
		l.ping(slot, c)
	case idleLimit:
		l.ping(slot, c)
	case closeLimit:
		l.kill(slot, c, ReasonNone)
	case proofLimit:
		l.count.auth[authTimeout]++
		l.close(slot, c, ReasonUnauthorized, statusUnauthorized, "no token in time")
	case warningLimit:
		l.warnOfExpiry(slot, c)
	case expiryLimit:
		l.close(slot, c, ReasonExpired, statusUnauthorized, "token expired")
	}
}

// unfinishedTooLong closes a client that does not finish what it has begun, unless
// the rest may lie unread for our sake.
func (l *loop) unfinishedTooLong(slot uint32, c *client) {
	switch {
	case l.held(c):
		l.extras.of(c).began = l.wheel.now
	case !c.is(flagAgain):
		l.fail(slot, c, ReasonUnfinished, ws.StatusPolicyViolation, "a message was not finished in time")
		return
	}
	l.plan(slot, c, l.wheel.now+1)
}

// reached says whether the client's next limit is reached. If not, it plans the
// look for then. The wheel may look earlier: it reaches only so far ahead.
func (l *loop) reached(slot uint32, c *client) (which limit, yes bool) {
	which, at := l.nextLimit(slot, c)
	if which == noLimit {
		return which, false
	}
	if before(l.wheel.now, at) {
		l.plan(slot, c, at)
		return which, false
	}
	return which, true
}

// lastRead is one more look before a verdict: what the client sent in time may
// lie unread in the kernel, because this loop was late. An overloaded server,
// or one whose machine slept, must not close the healthy. It returns the state
// that the client is in now.
func (l *loop) lastRead(slot uint32, c *client) state {
	if !l.held(c) {
		l.budget.begin(lookSlice)
		if c.state == stateOpen && c.is(flagAgain) && len(l.leftover(c)) > 0 {
			l.receive(slot, c, nil) // and the rest in its turn
		} else {
			l.read(slot, c)
		}
	}
	return c.state
}

// ping asks a silent client whether it is there, and plans the look at its answer.
func (l *loop) ping(slot uint32, c *client) {
	c.set(flagPinged)
	c.pinged = l.wheel.now
	l.count.n[nPings]++
	l.send(slot, c, pingFrame)
	if c.state == stateOpen {
		_, at := l.nextLimit(slot, c)
		l.plan(slot, c, at)
	}
}

var pingFrame = conn.Compile(ws.OpPing, nil)

// ticksSince is the tick at which the client's handshake was over.
func (l *loop) ticksSince(c *client) uint32 {
	n, tick := c.since-instantAt(l.start), int64(l.tick)
	if n < 0 { // in an older process; a division rounds to 0
		n -= tick - 1
	}
	return uint32(n / tick)
}

// enter begins a state that has a deadline of its own.
func (l *loop) enter(slot uint32, c *client, st state) {
	l.setState(c, st)
	c.stamp = l.wheel.now
	l.unplan(slot, c)
	l.look(slot, c)
}

// close starts the closing handshake: the frame goes out behind what is
// queued, and the peer has CloseTimeout to answer it.
func (l *loop) close(slot uint32, c *client, why Reason, code ws.StatusCode, text string) {
	if c.state != stateOpen {
		return
	}
	l.countEnd(c, why)
	l.enter(slot, c, stateClosing)
	l.unlist(slot, c)
	l.sendClose(slot, c, code, text)
	if c.is(flagReadable) && c.state == stateClosing {
		l.readLater(slot, c) // it may have been held
	}
}

// sendClose sends a close frame, unless one was sent before.
func (l *loop) sendClose(slot uint32, c *client, code ws.StatusCode, text string) {
	l.out = l.server.protocol.AppendClose(&c.proto, l.out[:0], code, text)
	if len(l.out) > 0 {
		l.send(slot, c, l.out)
	}
}

// fail ends a connection for what its client did, and tells it so.
func (l *loop) fail(slot uint32, c *client, why Reason, code ws.StatusCode, text string) {
	l.sendClose(slot, c, code, text)
	l.linger(slot, c, why)
}

// reject answers a request by an HTTP error and ends the connection. asked is
// as much of the request as came.
func (l *loop) reject(slot uint32, c *client, asked []byte, why Reason, e *conn.HTTPError) {
	l.out = l.server.upgrader.Refuse(asked, l.out[:0], e)
	l.send(slot, c, l.out)
	l.linger(slot, c, why)
}

// linger ends a connection whose client was told what it did wrong: nothing it
// says is listened to any more. Our side is shut once all is sent, and the peer
// has CloseTimeout to hang up.
func (l *loop) linger(slot uint32, c *client, why Reason) {
	if c.state == stateDead {
		return
	}
	l.countEnd(c, why)
	l.unlist(slot, c)
	l.keep(slot, c, nil)
	l.enter(slot, c, stateLingering)
	c.set(flagFinish)
	if c.head == 0 {
		_ = netpoll.CloseWrite(int(c.fd))
	}
}

// finish ends a connection whose peer is at its end, once what is queued is
// sent. The peer has CloseTimeout to take it.
func (l *loop) finish(slot uint32, c *client, why Reason) {
	if c.state == stateDead {
		return
	}
	if c.head == 0 {
		l.kill(slot, c, why)
		return
	}
	l.countEnd(c, why)
	if c.state < stateClosing {
		l.unlist(slot, c)
		l.enter(slot, c, stateClosing)
	}
	c.set(flagFinish)
}

// countEnd notes why a connection ends, at debug level in the log as well. What
// happens to one that is ending already is no reason of its own.
func (l *loop) countEnd(c *client, why Reason) {
	if c.state == stateClosing || c.state == stateLingering {
		return
	}
	l.count.closes[why]++
	if why != ReasonNone && l.server.debug {
		l.server.log.Debug("client ends", "client", c.id, "address", c.remote(), "reason", why)
	}
}

// unlist takes the client out of everything that could still send to it, and
// forgets the handler that runs for it.
func (l *loop) unlist(slot uint32, c *client) {
	l.unenroll(slot, c) // a newcomer may be known before it is open
	if c.state == stateJoining || c.state == stateRefused {
		return
	}
	l.byID.remove(c.id)
	l.abandonReach(c)
	if e := l.extras.of(c); e != nil && (e.call != nil || e.waiting != nil || e.unfinished) {
		if e.call != nil {
			l.abandon(e)
		}
		e.unfinished = false
		l.setWaiting(c, e, nil)
	}
}

// kill ends the connection now. The record lives until the end of the batch.
func (l *loop) kill(slot uint32, c *client, why Reason) {
	if c.state == stateDead {
		return
	}
	l.countEnd(c, why)
	l.remove(slot, c)
	l.dead = append(l.dead, slot)
}

// remove takes the client out of everything that knows it. What remains is a
// dead record with its descriptor.
func (l *loop) remove(slot uint32, c *client) {
	l.unlist(slot, c)
	l.unplan(slot, c)
	l.dropQueue(c, true)
	l.keep(slot, c, nil)
	l.setState(c, stateDead)
}

// free closes the descriptor of a dead client and gives its record back.
func (l *loop) free(slot uint32, c *client) {
	_ = netpoll.Close(int(c.fd))
	l.server.population.leave(c.place())
	l.clients.release(slot)
}
