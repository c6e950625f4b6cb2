package server

import (
	"bytes"

	"github.com/gobwas/ws"

	"wsd/conn"
	"wsd/netpoll"
)

// The life of a client:
//
//	           accept
//	     ┌───────┴────────┐
//	  joining          refused        over a limit: it will get a 503
//	     │ 101            │
//	   open ─────────┐    │           close frame or end of stream from the peer: dead
//	     │ we close  │ its fault (1002, 1007, 1008, 1009) or an HTTP error
//	  closing     lingering           until the peer answers or hangs up, or time is over
//	     └───────┬───┘
//	            dead                  closed and freed at the end of the batch

// setState moves the client on, keeping the counts.
func (l *loop) setState(c *client, to state) {
	if c.state == stateJoining {
		l.server.joining.Add(-1)
	}
	if to == stateDead && c.is(flagRefused) {
		l.server.refused.Add(-1)
	}
	l.count.states[c.state]--
	c.state = to
	l.count.states[to]++
}

// look is the wheel's question: has the client's state lasted too long? It
// acts, or plans the next look.
func (l *loop) look(slot uint32, c *client) {
	cfg := &l.server.cfg
	silent := l.wheel.now - c.stamp
	switch c.state {
	case stateJoining, stateRefused:
		if limit := l.timeout(cfg.HandshakeTimeout); silent < limit {
			l.plan(slot, c, c.stamp+limit)
			return
		}
		if st := c.state; l.lastRead(slot, c) != st {
			return
		}
		l.reject(slot, c, l.withRest(c, nil), ReasonHandshakeTimeout, &conn.HTTPError{Status: 408, Reason: "the handshake took too long"})
	case stateOpen:
		l.lookOpen(slot, c, silent)
	case stateClosing, stateLingering:
		if limit := l.timeout(cfg.CloseTimeout); silent < limit {
			l.plan(slot, c, c.stamp+limit)
			return
		}
		l.lastRead(slot, c) // else the kernel makes a reset of what lies unread
		l.kill(slot, c, ReasonNone)
	}
}

// lastRead is one more look before a verdict: what the client sent in time may
// lie unread in the kernel, because this loop was late. An overloaded server,
// or one whose machine slept, must not close the healthy. It returns the state
// that the client is in now.
func (l *loop) lastRead(slot uint32, c *client) state {
	if !l.held(c) {
		l.read(slot, c)
	}
	return c.state
}

func (l *loop) lookOpen(slot uint32, c *client, silent uint32) {
	cfg := &l.server.cfg
	if c.is(flagPinged) {
		if at := c.pinged + l.timeout(cfg.PongTimeout); l.wheel.now < at {
			l.plan(slot, c, at) // further ahead than the wheel reaches
			return
		}
		if l.lastRead(slot, c) != stateOpen {
			return
		}
		if c.is(flagPinged) && !l.held(c) {
			l.close(slot, c, ReasonIdle, ws.StatusPolicyViolation, "idle: the ping was not answered")
			return
		}
		silent = l.wheel.now - c.stamp
	}
	if cfg.FirstMessageTimeout > 0 && !c.is(flagSpoke) {
		at := l.ticksSince(c) + l.timeout(cfg.FirstMessageTimeout)
		if l.wheel.now < at {
			l.plan(slot, c, at)
			return
		}
		if l.lastRead(slot, c) != stateOpen {
			return
		}
		if !c.is(flagSpoke) {
			l.close(slot, c, ReasonSilent, ws.StatusPolicyViolation, "no message in time")
			return
		}
		silent = l.wheel.now - c.stamp
	}
	if cfg.IdleTimeout < 0 {
		return
	}
	limit := l.timeout(cfg.IdleTimeout)
	if silent < limit {
		l.plan(slot, c, c.stamp+limit)
		return
	}
	c.set(flagPinged)
	c.pinged = l.wheel.now
	l.count.pings++
	l.send(slot, c, pingFrame)
	if c.state == stateOpen {
		l.plan(slot, c, l.wheel.now+l.timeout(cfg.PongTimeout))
	}
}

var pingFrame = conn.Compile(ws.OpPing, nil)

// ticksSince is the tick at which the client's handshake was over.
func (l *loop) ticksSince(c *client) uint32 {
	return uint32((c.since - l.start.UnixNano()) / int64(l.tick))
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
	l.counted(c, why)
	l.enter(slot, c, stateClosing)
	l.leave(slot, c)
	l.out = l.server.protocol.AppendClose(&c.proto, l.out[:0], code, text)
	l.send(slot, c, l.out)
	if c.is(flagReadable) && c.state == stateClosing {
		l.readLater(slot, c) // it may have been held
	}
}

// fail closes a client for what it did: the close frame, and then nothing it
// says is listened to.
func (l *loop) fail(slot uint32, c *client, why Reason, code ws.StatusCode, text string) {
	l.out = l.server.protocol.AppendClose(&c.proto, l.out[:0], code, text)
	if len(l.out) > 0 {
		l.send(slot, c, l.out)
	}
	l.linger(slot, c, why)
}

// reject answers a request by an HTTP error and ends the connection. asked is
// as much of the request as came.
func (l *loop) reject(slot uint32, c *client, asked []byte, why Reason, e *conn.HTTPError) {
	l.out = appendRejection(l.out[:0], e, bytes.HasPrefix(asked, []byte("HEAD ")))
	l.send(slot, c, l.out)
	l.linger(slot, c, why)
}

// appendRejection leaves the body out for HEAD (RFC 9110, 9.3.2).
func appendRejection(out []byte, e *conn.HTTPError, head bool) []byte {
	begin := len(out)
	out = conn.AppendHTTPError(out, e)
	if head {
		return out[:begin+conn.HeaderEnd(out[begin:])]
	}
	return out
}

// linger shuts our side once all is sent and waits for the peer to hang up.
func (l *loop) linger(slot uint32, c *client, why Reason) {
	if c.state == stateDead {
		return
	}
	l.counted(c, why)
	l.leave(slot, c)
	l.keep(c, nil)
	l.enter(slot, c, stateLingering)
	c.set(flagFinish)
	if c.head == 0 {
		_ = netpoll.CloseWrite(int(c.fd))
	}
}

// finish ends a connection on which both close frames were exchanged, once
// what is queued is sent.
func (l *loop) finish(slot uint32, c *client, why Reason) {
	if c.state == stateDead {
		return
	}
	if c.head == 0 {
		l.kill(slot, c, why)
		return
	}
	l.counted(c, why)
	l.leave(slot, c)
	if c.state != stateClosing {
		l.enter(slot, c, stateClosing)
	}
	c.set(flagFinish)
}

// counted notes why a connection ends, at debug level in the log as well. What
// happens to one that is ending already is no reason of its own.
func (l *loop) counted(c *client, why Reason) {
	if c.state == stateClosing || c.state == stateLingering {
		return
	}
	l.count.closes[why]++
	if why != ReasonNone && l.server.debug {
		l.server.log.Debug("client ends", "client", c.id, "address", c.remote(), "reason", why)
	}
}

// leave takes the client out of everything that could still send to it, and
// forgets the handler that runs for it.
func (l *loop) leave(slot uint32, c *client) {
	if c.state == stateJoining || c.state == stateRefused {
		return
	}
	delete(l.byID, c.id)
	if c.is(flagSubscribed) {
		l.topics.Leave(slot)
		c.clear(flagSubscribed)
	}
	if e := l.extras.of(c); e != nil && (e.call != nil || e.waiting != nil) {
		if e.call != nil {
			e.call.abandon()
		}
		e.call, e.waiting = nil, nil
		l.extras.tidy(c)
	}
}

// kill ends the connection now. The record lives until the end of the batch.
func (l *loop) kill(slot uint32, c *client, why Reason) {
	if c.state == stateDead {
		return
	}
	l.counted(c, why)
	l.leave(slot, c)
	l.unplan(slot, c)
	l.dropQueue(c, true)
	l.keep(c, nil)
	if c.is(flagCounted) {
		l.server.shares.leave(c.addr)
	}
	l.setState(c, stateDead)
	l.dead = append(l.dead, slot)
}
