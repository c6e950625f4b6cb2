package bench

import "net/netip"

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

// set gives the dialer the limit and the rate of a phase.
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
	e.dialer.push(slot)
}

// push puts a slot at the end. What was taken from the front makes room, so
// that a queue that is never empty does not grow for ever.
func (d *dialer) push(slot uint32) {
	if d.head > 1024 && d.head > len(d.queue)/2 {
		d.queue, d.head = d.queue[:copy(d.queue, d.queue[d.head:])], 0
	}
	d.queue = append(d.queue, slot)
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
