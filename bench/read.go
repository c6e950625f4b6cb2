package bench

import (
	"errors"
	"strconv"

	"wsd/conn"
	"wsd/netpoll"
)

// read takes what has come for a client: one system call, or more if the
// buffer was filled or the stream has ended.
func (e *engine) read(slot uint32, c *client, ended bool) {
	for {
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
	e.cur = slot
	rest, out, err := e.proto.Feed(&c.state, in, e.outbuf[:0], e)
	e.outbuf = out[:0]
	if len(rest) > 0 {
		e.keep(c, rest)
	} else if c.in != 0 {
		e.bufs.drop(&c.in)
	}
	if len(out) > 0 {
		e.write(c, out)
	}
	if err != nil {
		e.lostConnection(slot, c, closeKind(err))
		return false
	}
	return true
}

// keep stores what could not be consumed yet.
func (e *engine) keep(c *client, rest []byte) {
	if c.in == 0 {
		c.in = e.bufs.put(rest)
		return
	}
	e.bufs.all[c.in] = append(e.bufs.all[c.in][:0], rest...)
}

// write sends p, or keeps what the kernel does not take for flush. A broken
// connection is noticed when it is read.
func (e *engine) write(c *client, p []byte) {
	if c.out == 0 {
		n, err := netpoll.Write(int(c.fd), p)
		if n == len(p) {
			return
		}
		if err != nil && err != netpoll.EAGAIN {
			return
		}
		p = p[n:]
	}
	e.bufs.add(&c.out, p)
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
	if c.manners != polite {
		e.refused(slot, c, kind)
		return
	}
	counts := &e.phase.counts
	counts.UnexpectedCloses++
	bump(&counts.Closes, kind, 1)
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
