package server

import (
	"math/rand/v2"
	"net/http"
	"time"

	"wsd/conn"
	"wsd/netpoll"
)

// join takes a newcomer in: from the acceptor, or from another router. Who is
// to be refused is answered by 503. c is nil, and the socket closed, if the
// kernel cannot watch it.
func (l *loop) join(n newcomer) (slot uint32, c *client) {
	slot, c = l.clients.alloc()
	c.id, c.fd, c.since = n.id, int32(n.fd), instant()
	if n.peer.IsValid() {
		c.addr, c.port = n.peer.Addr().As16(), n.peer.Port()
	}
	c.set(n.via)
	if n.share {
		c.set(flagCounted)
	}
	state := stateJoining
	if n.refuse {
		state = stateRefused
		c.set(flagRefused)
	}
	l.enter(slot, c, state)
	if state == stateJoining {
		l.joins(slot, c)
	}
	l.count.n[nAccepted]++
	if err := l.poll.Add(n.fd, c.token(slot), netpoll.Edge); err != nil {
		l.count.n[nAcceptErrors]++
		l.kill(slot, c, ReasonInternal)
		l.unwatched(err)
		return 0, nil
	}
	return slot, c
}

// unwatched says, now and then, that newcomers cannot be watched: ENOSPC
// (fs.epoll.max_user_watches) or ENOMEM, which may go on for long.
func (l *loop) unwatched(err error) {
	if now := time.Now(); now.Sub(l.warned) > 10*time.Second {
		l.warned = now
		l.server.log.Warn("newcomers are refused: the kernel does not watch their sockets", "error", err)
	}
}

// handshake looks whether the request is whole, and answers it.
func (l *loop) handshake(slot uint32, c *client, in []byte) {
	s := l.server
	if c.is(flagProxyHeader) {
		var ok bool
		if in, ok = l.proxyHeader(slot, c, in); !ok {
			return
		}
	}
	if c.state == stateRefused || s.draining.Load() {
		if conn.HeaderEnd(in) == 0 && len(in) < s.upgrader.MaxHeader {
			l.keep(slot, c, in)
			return
		}
		l.reject(slot, c, in, ReasonRefused, s.later())
		return
	}
	n, out, err := s.upgrader.Upgrade(in, l.out[:0], &l.req)
	l.out = out
	if c.is(flagProxy) && !l.lookedAt(c) && !l.forwarded(slot, c, in, n > 0) {
		return
	}
	switch {
	case err != nil:
		l.send(slot, c, out)
		l.linger(slot, c, ReasonHandshake)
		return
	case n == 0:
		l.keep(slot, c, in)
		return
	}
	if s.echoes(l.req.Path) {
		c.set(flagEcho)
	}
	var why error
	if s.auth.on {
		who, wait, err := l.identify(slot, c, in)
		v := awaiting
		if !wait || err != nil {
			v, why = l.settle(slot, c, who, err)
		}
		switch v {
		case awaiting:
			l.keep(slot, c, in)
			return
		case rejected:
			e, _ := s.refusal(why)
			l.reject(slot, c, in, ReasonUnauthorized, e)
			return
		}
	}
	l.open(slot, c)
	l.send(slot, c, out)
	if why != nil {
		l.turnAway(slot, c, why)
		return
	}
	if c.state == stateOpen {
		l.feedAfter(slot, c, in[n:])
	}
}

// feedAfter feeds what came right behind the request.
func (l *loop) feedAfter(slot uint32, c *client, rest []byte) {
	if len(rest) == 0 {
		l.keep(slot, c, nil)
		return
	}
	l.feed(slot, c, rest)
}

// open makes the client a WebSocket connection that can be found and sent to.
func (l *loop) open(slot uint32, c *client) {
	l.count.n[nOpened]++
	l.byID.add(slot)
	c.since = instant() // the first message is waited for from here on
	l.fillBuckets(c)
	l.enter(slot, c, stateOpen)
}

// appendDate appends the time for a Date field (RFC 9110, 5.6.7).
func appendDate(out []byte) []byte { return time.Now().UTC().AppendFormat(out, http.TimeFormat) }

// later is the answer to who comes at a bad time. The jitter keeps those who
// were refused together from coming back together.
func (s *Server) later() *conn.HTTPError {
	base := max(int(s.cfg.RetryAfter/time.Second), 1)
	return &conn.HTTPError{Status: 503, Reason: "the server is full or restarting, try again later", RetryAfter: base + rand.IntN(base+1)}
}
