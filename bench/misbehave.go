package bench

import (
	"github.com/gobwas/ws"

	"wsd/conn"
	"wsd/netpoll"
)

// trickle sends the next byte of a handshake; c.missing counts those sent.
func (e *engine) trickle(t timer, c *client, rate float64) {
	if c.phase != upgrading {
		return
	}
	to, _ := e.route(t.slot, c)
	req := conn.AppendRequest(e.outbuf[:0], to.Host, to.Path, e.nonce(t.slot, c.gen), e.part.Header...)
	e.outbuf = req[:0]
	i := int(c.missing) + 1 // the first byte went with the connect
	if i >= len(req) {
		return
	}
	netpoll.Write(int(c.fd), req[i:i+1])
	c.missing++
	t.at += int64(1e9 / rate)
	e.timers.push(t)
}

// slowRead reads a little.
func (e *engine) slowRead(t timer, c *client, rate float64) {
	n := min(max(1, int(rate*float64(slowReadEvery)/1e9)), len(e.inbuf))
	n, err := netpoll.Read(int(c.fd), e.inbuf[:n])
	switch {
	case err == netpoll.EAGAIN:
	case err != nil:
		e.refused(t.slot, c, errorKind(err))
		return
	case n == 0:
		e.refused(t.slot, c, "EOF")
		return
	default:
		gen := c.gen
		e.feedSlowRead(t.slot, c, n)
		if c.gen != gen {
			return
		}
	}
	t.at += slowReadEvery
	e.timers.push(t)
}

// feedSlowRead gives n bytes read into inbuf to the protocol, behind its leftovers.
func (e *engine) feedSlowRead(slot uint32, c *client, n int) {
	if c.in == 0 {
		e.consume(slot, c, e.inbuf[:n])
		return
	}
	e.bufs.add(&c.in, e.inbuf[:n])
	e.consume(slot, c, e.inbuf[:copy(e.inbuf, e.bufs.get(c.in))])
}

// flood sends the pings that are due.
func (e *engine) flood(t timer, c *client, rate float64) {
	gap := int64(1e9 / rate)
	out := e.outbuf[:0]
	for t.at <= e.now && len(out) < 8<<10 {
		out = conn.AppendMasked(out, ws.OpPing, true, []byte("flood"), [4]byte{9, 8, 7, 6})
		t.at += max(gap, 1)
	}
	e.outbuf = out[:0]
	if c.out == 0 {
		if !e.write(t.slot, c, out) {
			return
		}
	}
	e.timers.push(t)
}
