package bench

import (
	"encoding/binary"
	"errors"

	"wsd/conn"
	"wsd/netpoll"
)

func (e *engine) dial(slot uint32, c *client) {
	c.gen++
	c.state = conn.State{}
	c.since = e.now
	c.phase = dialing
	c.missing = 0
	e.dialer.inflight++
	t, source := e.route(slot, c)
	fd, _, err := netpoll.Dial(source, t.Addr)
	c.fd = int32(fd)
	if err == nil {
		err = e.poll.Add(fd, netpoll.MakeToken(slot, c.gen), netpoll.EdgeWrite)
	}
	if err != nil {
		e.failed(slot, c, errorKind(err))
		return
	}
	if c.behaviour != slowHandshake {
		e.after(e.part.Plan.HandshakeTimeout.ns(), slot, c, dueDeadline)
	}
	c.behaviour.dialed(c)
	e.request(slot, c) // on loopback the connection is up by now
}

// decided is called when a connect that was under way has ended.
func (e *engine) decided(slot uint32, c *client) {
	if err := netpoll.SocketError(int(c.fd)); err != nil {
		e.failed(slot, c, errorKind(err))
		return
	}
	e.request(slot, c)
}

// request sends the handshake request if the connection is up.
func (e *engine) request(slot uint32, c *client) {
	t, _ := e.route(slot, c)
	req := conn.AppendRequest(e.outbuf[:0], t.Host, t.Path, e.nonce(slot, c.gen), e.part.Header...)
	e.outbuf = req[:0]
	if c.behaviour == slowHandshake {
		req = req[:1]
	}
	n, err := netpoll.Write(int(c.fd), req)
	if err == netpoll.EAGAIN {
		return // not yet connected: decided comes
	}
	if err != nil {
		e.failed(slot, c, errorKind(err))
		return
	}
	now := e.clock.now()
	e.phase.connect.Record(now - c.since)
	c.phase = upgrading
	c.mark(now)
	if n < len(req) {
		e.bufs.add(&c.out, req[n:])
	}
	if c.behaviour == slowHandshake {
		e.dialer.inflight-- // nobody waits for it
		e.after(0, slot, c, dueTrickle)
	}
}

// nonce is that of a handshake; it can be computed again, so nobody keeps it.
func (e *engine) nonce(slot, gen uint32) (b [16]byte) {
	x := e.seed ^ uint64(gen)<<32 ^ uint64(slot)
	for i := 0; i < 16; i += 8 {
		x += 0x9e3779b97f4a7c15
		z := (x ^ x>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		binary.LittleEndian.PutUint64(b[i:], z^z>>31)
	}
	return b
}

// errorKind is how an error is counted: by its errno if it has one.
func errorKind(err error) string {
	if name := netpoll.ErrnoName(err); name != "" {
		return name
	}
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return err.Error()
}
