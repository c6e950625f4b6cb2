package bench

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"strconv"
	"time"

	"wsd/conn"
	"wsd/netpoll"
)

// A handshake: dialNext → dial → request (at once on loopback, or when
// decided) → answered by response → established → joined.

// dialer decides who connects when.
type dialer struct {
	queue    []uint32 // slots that want to connect, from head on
	head     int
	inflight int // handshakes under way
	limit    int
	gap      float64 // ns between connects; 0: no rate
	start    int64   // connect number k is due at start + k*gap
	k        float64
}

func (d *dialer) waiting() int { return len(d.queue) - d.head }

// next is when a connect is due, if one could be made.
func (d *dialer) next() (at int64, ok bool) {
	if d.waiting() == 0 || d.inflight >= d.limit {
		return 0, false
	}
	return d.start + int64(d.k*d.gap), true
}

// set gives the dialer the manner of a phase.
func (d *dialer) set(ph *Phase, now int64) {
	d.limit, d.gap, d.start, d.k = max(1, ph.Concurrency), 0, now, 0
	if ph.Kind == Ramp && ph.Rate > 0 {
		d.gap = 1e9 / ph.Rate
	}
}

func (e *engine) enqueue(slot uint32, c *client) {
	if c.phase != down || c.has(flagQueued) {
		return
	}
	c.set(flagQueued)
	e.dialer.queue = append(e.dialer.queue, slot)
}

// dialNext starts the connects that are due.
func (e *engine) dialNext() {
	d := &e.dialer
	for {
		at, ok := d.next()
		if !ok || at > e.now {
			return
		}
		slot := d.queue[d.head]
		if d.head++; d.head == len(d.queue) {
			d.queue, d.head = d.queue[:0], 0
		}
		if d.gap > 0 {
			d.k++
			e.phase.lag.Record(e.now - at)
		}
		c := &e.clients[slot]
		c.clear(flagQueued)
		if c.phase == down {
			e.dial(slot, c)
			e.now = e.clock.now()
		}
	}
}

// route spreads clients over targets, and those of a target over sources.
func (e *engine) route(slot uint32, c *client) (t *target, source netip.AddrPort) {
	i := e.part.Index + int(slot)*e.part.Workers
	t = &e.targets[i%len(e.targets)]
	if len(e.sources) > 0 {
		i = i/len(e.targets) + int(c.tries) // another one if this one's ports are used up
		source = netip.AddrPortFrom(e.sources[i%len(e.sources)], 0)
	}
	return t, source
}

func (e *engine) dial(slot uint32, c *client) {
	c.gen++
	c.state = conn.State{}
	c.since = e.now
	c.phase = dialing
	c.missing = 0
	e.dialer.inflight++
	t, source := e.route(slot, c)
	fd, _, err := netpoll.Dial(source, t.addr)
	c.fd = int32(fd)
	if err == nil {
		err = e.poll.Add(fd, netpoll.MakeToken(slot, c.gen), netpoll.EdgeWrite)
	}
	if err != nil {
		e.failed(slot, c, errorKind(err))
		return
	}
	if c.manners != slowHandshake {
		e.after(e.part.Plan.HandshakeTimeout.ns(), slot, c, dueDeadline)
	}
	c.manners.dialed(c)
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
	req := conn.AppendRequest(e.outbuf[:0], t.host, t.path, e.nonce(slot, c.gen), e.part.Plan.Header...)
	e.outbuf = req[:0]
	if c.manners == slowHandshake {
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
	if c.manners == slowHandshake {
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

// response looks at what came in answer to the request. It returns what is
// left for the frames, and whether the client is open.
func (e *engine) response(slot uint32, c *client, in []byte) (rest []byte, ok bool) {
	n, status, err := conn.CheckResponse(in, e.nonce(slot, c.gen))
	switch {
	case err != nil:
		if status != 0 {
			bump(&e.phase.counts.Statuses, strconv.Itoa(status), 1)
		}
		e.failed(slot, c, err.Error())
		return nil, false
	case n == 0:
		e.keep(c, in)
		return nil, false
	}
	e.bufs.drop(&c.in)
	e.established(slot, c)
	return in[n:], c.phase == open
}

// established: the server switched protocols.
func (e *engine) established(slot uint32, c *client) {
	e.phase.upgrade.Record(e.now - c.marked())
	e.phase.handshake.Record(e.now - c.since)
	c.phase = open
	c.tries = 0
	if c.manners != polite {
		e.begun(slot, c)
		return
	}
	e.phase.counts.Handshakes++
	if e.part.Plan.First == "" {
		e.joined(slot, c)
		return
	}
	c.set(flagFirst)
	e.sendFirst(slot, c)
}

// joined: the client is fully there, its first answer included.
func (e *engine) joined(slot uint32, c *client) {
	e.dialer.inflight--
	e.up++
	if c.has(flagReturning) {
		c.clear(flagReturning)
		e.phase.back.Record(e.now - e.phase.droppedAt)
		e.phase.away--
	}
	c.seen = e.lastPublished()
	e.enlist(slot, c)
}

// expire ends a handshake that took too long.
func (e *engine) expire(slot uint32, c *client) {
	if c.phase == dialing || c.phase == upgrading || c.has(flagFirst) {
		e.failed(slot, c, "handshake timed out")
	}
}

// failed ends an attempt to connect; another follows unless there were too many.
func (e *engine) failed(slot uint32, c *client, kind string) {
	if c.manners != polite {
		e.refused(slot, c, kind)
		return
	}
	bump(&e.phase.counts.Errors, kind, 1)
	e.dialer.inflight--
	e.release(c)
	if int(c.tries) >= e.part.Plan.Retries {
		c.phase = gone
		e.phase.counts.Failed++
		if c.has(flagReturning) {
			c.clear(flagReturning)
			e.phase.away--
		}
		return
	}
	c.tries++
	e.phase.counts.Retries++
	c.phase = down
	pause := int64(50*time.Millisecond) << min(c.tries, 6)
	e.after(pause/2+e.rng.Int64N(pause), slot, c, dueDial)
}

// release gives back what a connection holds: descriptor, buffers, requests.
// The peer sees a reset; after shut, an orderly end.
func (e *engine) release(c *client) (outstanding int) {
	if c.fd >= 0 {
		netpoll.Abort(int(c.fd))
	}
	return e.forget(c)
}

// shut is release with an orderly end of the stream.
func (e *engine) shut(c *client) (outstanding int) {
	if c.fd >= 0 {
		netpoll.Close(int(c.fd))
	}
	return e.forget(c)
}

func (e *engine) forget(c *client) (outstanding int) {
	c.fd = -1
	c.gen++
	c.clear(flagFirst)
	e.bufs.drop(&c.in)
	e.bufs.drop(&c.out)
	return e.pend.drop(c)
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
