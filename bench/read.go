package bench

import (
	"errors"
	"strconv"

	"wsd/conn"
	"wsd/netpoll"
)

// readsATurn is how often a client that has more is read before the others
// have their turn: a server that sends without end must not stop the engine.
const readsATurn = 4

// read takes what has come for a client: one system call, or more if the
// buffer was filled or the stream has ended.
func (e *engine) read(slot uint32, c *client, ended bool) {
	for range readsATurn {
		have := 0
		if c.in != 0 {
			have = copy(e.inbuf, e.bufs.get(c.in))
		}
		n, err := netpoll.Read(int(c.fd), e.inbuf[have:])
		if err == netpoll.EAGAIN {
			return
		}
		e.now = e.clock.now()
		if err != nil {
			e.lostConnection(slot, c, errorKind(err))
			return
		}
		if n == 0 {
			e.lostConnection(slot, c, "EOF")
			return
		}
		if !e.consume(slot, c, e.inbuf[:have+n]) || have+n < len(e.inbuf) && !ended {
			return
		}
	}
	e.again = append(e.again, netpoll.MakeToken(slot, c.gen))
}

// readOn goes on with those that had more than their turn's part.
func (e *engine) readOn() {
	n := len(e.again)
	for _, t := range e.again[:n] {
		if c := &e.clients[t.Slot()]; c.gen == t.Generation() {
			e.read(t.Slot(), c, true) // to the end: there is no further event for it
		}
	}
	e.again = e.again[:copy(e.again, e.again[n:])]
}

// consume takes all that is there for a client, leftovers in front. It returns
// whether the connection still stands.
func (e *engine) consume(slot uint32, c *client, in []byte) bool {
	gen := c.gen
	if c.phase == upgrading {
		rest, ok := e.response(slot, c, in)
		if !ok {
			return c.gen == gen
		}
		if len(rest) == 0 {
			return true
		}
		in = rest
	}
	e.cur, e.pinged = slot, 0
	rest, out, err := e.proto.Feed(&c.state, in, e.outbuf[:0], e)
	e.outbuf = out[:0]
	if len(rest) == 0 {
		e.bufs.drop(&c.in)
	} else if !e.keep(slot, c, rest) {
		return false
	}
	if len(out) > 0 && e.pinged > 0 && !e.roomFor(c, pongsAtMost) {
		// RFC 6455, 5.5.3: not every ping has to be answered. Requests in out are
		// none: there was no room for them either.
		e.phase.counts.PongsDropped += uint64(e.pinged)
		out = nil
	}
	if len(out) > 0 && !e.write(slot, c, out) {
		return false
	}
	if err != nil {
		e.lostConnection(slot, c, closeKind(err))
		return false
	}
	return true
}

// keep stores what could not be consumed yet. It returns whether the
// connection still stands.
func (e *engine) keep(slot uint32, c *client, rest []byte) bool {
	switch {
	case c.in != 0 && len(rest) <= cap(e.bufs.get(c.in)):
		e.bufs.set(c.in, rest)
	case e.bufs.full():
		e.overflow(slot, c)
		return false
	case c.in == 0:
		c.in = e.bufs.put(rest)
	default:
		e.bufs.set(c.in, rest)
	}
	return true
}

// write sends p, or keeps what the kernel does not take for flush. A broken
// connection is noticed when it is read. It returns whether the connection
// still stands: it does not if there was no room for what has to be kept.
func (e *engine) write(slot uint32, c *client, p []byte) bool {
	if c.out == 0 {
		n, err := netpoll.Write(int(c.fd), p)
		if n == len(p) {
			return true
		}
		if err != nil && err != netpoll.EAGAIN {
			return true
		}
		p = p[n:]
	}
	if e.bufs.full() {
		e.overflow(slot, c)
		return false
	}
	e.bufs.add(&c.out, p)
	return true
}

// What may wait to be sent to a client: requests, and behind them pongs to a
// server that asks and does not read.
const (
	requestsAtMost = 1 << 20
	pongsAtMost    = 64 << 10
)

// roomFor says whether more may wait for a client that has less than most.
func (e *engine) roomFor(c *client, most int) bool {
	return (c.out == 0 || len(e.bufs.get(c.out)) < most) && !e.bufs.full()
}

// overflow ends a connection for which nothing more can be kept.
func (e *engine) overflow(slot uint32, c *client) {
	e.phase.counts.Overflows++
	e.lostConnection(slot, c, "out of buffers")
}

func (e *engine) flush(c *client) {
	n, err := netpoll.Write(int(c.fd), e.bufs.get(c.out))
	if err == nil {
		e.bufs.cut(&c.out, n)
	}
}

// lostConnection: the connection ended, and not by our plan.
func (e *engine) lostConnection(slot uint32, c *client, kind string) {
	if c.phase != open || c.has(flagFirst) {
		e.failed(slot, c, kind)
		return
	}
	if c.behaviour != wellBehaved {
		e.refused(slot, c, kind)
		return
	}
	counts := &e.phase.counts
	counts.UnexpectedCloses++
	counts.Closes.Add(kind, 1)
	counts.Lost += uint64(e.shut(c))
	e.up--
	c.phase = gone
	if e.part.Plan.Reconnect {
		c.phase = down
		e.enqueue(slot, c)
	}
}

// closeKind is how an end that Feed tells of is counted: by its close code, or
// by what the server did wrong.
func closeKind(err error) string {
	var closed *conn.CloseError
	if !errors.As(err, &closed) {
		return err.Error()
	}
	if closed.Remote {
		return strconv.Itoa(int(closed.Code))
	}
	return "protocol: " + closed.Reason
}
