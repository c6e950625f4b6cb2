package server

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/google/uuid"

	"wsd/conn"
	"wsd/netpoll"
)

// join takes a fresh socket in: from the acceptor, or from another router with
// the bytes it has read already. refuse: it will be answered by 503. Whoever
// let it in has counted it. The socket is closed on any error.
func (l *loop) join(fd int, peer netip.AddrPort, id uuid.UUID, refuse bool) (uint32, *client, error) {
	slot, c := l.clients.alloc()
	c.id, c.fd, c.since = id, int32(fd), time.Now().UnixNano()
	if peer.IsValid() {
		c.addr, c.port = peer.Addr().As16(), peer.Port()
	}
	l.count.states[stateFree]++ // setState takes it off again
	state := stateJoining
	if refuse {
		state = stateRefused
	}
	l.enter(slot, c, state)
	l.count.accepted++
	if err := l.poll.Add(fd, c.token(slot), netpoll.Edge); err != nil {
		l.kill(slot, c, ReasonInternal)
		return 0, nil, err
	}
	return slot, c, nil
}

// handshake looks whether the request is whole, and answers it.
func (l *loop) handshake(slot uint32, c *client, in []byte) {
	s := l.server
	if c.state == stateRefused || s.draining.Load() {
		if conn.HeaderEnd(in) == 0 && len(in) < s.upgrader.MaxHeader {
			l.keep(c, in)
			return
		}
		l.reject(slot, c, ReasonRefused, s.later())
		return
	}
	n, out, err := s.upgrader.Upgrade(in, l.out[:0], &l.req)
	l.out = out
	switch {
	case err != nil:
		l.send(slot, c, out)
		l.linger(slot, c, ReasonHandshake)
		return
	case n == 0:
		l.keep(c, in)
		return
	}
	if s.cfg.EchoPath != "" && string(l.req.Path) == s.cfg.EchoPath {
		c.set(flagEcho)
	}
	l.open(slot, c)
	l.send(slot, c, out)
	if c.state == stateOpen {
		l.feedAfter(slot, c, in[n:])
	}
}

// feedAfter feeds what came right behind the request.
func (l *loop) feedAfter(slot uint32, c *client, rest []byte) {
	if len(rest) == 0 {
		l.keep(c, nil)
		return
	}
	l.feed(slot, c, rest)
}

// open makes the client a WebSocket connection that can be found and sent to.
func (l *loop) open(slot uint32, c *client) {
	l.count.opened++
	l.byID[c.id] = slot
	l.fillBuckets(c)
	l.enter(slot, c, stateOpen)
}

// later is the answer to who comes at a bad time. The jitter keeps those who
// were refused together from coming back together.
func (s *Server) later() *conn.HTTPError {
	base := max(int(s.cfg.RetryAfter/time.Second), 1)
	return &conn.HTTPError{Status: 503, Reason: "the server is full or restarting, try again later", RetryAfter: base + rand.IntN(base+1)}
}
