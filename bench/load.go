package bench

import "math"

// schedule is when the requests of an open loop are due.
type schedule struct {
	gap    float64 // mean ns between requests; 0: every client has its own times
	offset float64 // of this worker among its fellows
	k      float64
	next   int64
	turn   int // client whose turn it is
	stride int
}

func (e *engine) beginClosed() {
	for i := range e.clients[:e.wellBehaved] {
		c := &e.clients[i]
		c.clear(flagActive)
		if i < e.phase.spec.Active {
			c.set(flagActive)
		}
	}
	for i := range e.clients[:e.phase.spec.Active] {
		e.enlist(uint32(i), &e.clients[i])
	}
}

// enlist gives a client its part in the phase: at its begin, and when the
// client is (back) up in the midst of it. Who comes after its end has none: what
// is planned for it then would happen in the next phase.
func (e *engine) enlist(slot uint32, c *client) {
	ph := &e.phase
	if c.phase != open || c.has(flagFirst) || e.now >= ph.end {
		return
	}
	if ph.spec.Churn > 0 {
		e.after(e.life(), slot, c, dueDeath)
	}
	switch {
	case ph.closed && c.has(flagActive):
		for range ph.spec.Depth {
			if c.phase != open || e.pend.count >= pendingAtMost {
				break
			}
			e.send(slot, c, 0)
		}
	case ph.open && ph.spec.Interval > 0 && int(slot) < ph.spec.Active:
		e.after(e.rng.Int64N(ph.spec.Interval.ns()), slot, c, dueBeat)
	}
}

// send sends one request that was due at intended, 0 means now, and returns
// when it did.
func (e *engine) send(slot uint32, c *client, intended int64) (sent int64) {
	ph := &e.phase
	sent = e.clock.now()
	if intended == 0 {
		intended = sent
	}
	ph.number++
	e.pend.push(c, intended, sent, ph.number)
	ph.counts.Sent++
	ph.counts.BytesOut += uint64(len(ph.template.payload))
	e.write(slot, c, ph.template.frame(slot, ph.number))
	return sent
}

func (e *engine) beginOpen() {
	ph := &e.phase
	s := &ph.schedule
	*s = schedule{}
	if ph.spec.Interval > 0 {
		e.now = ph.start // so that all have a time in the first interval
		for i := range e.clients[:ph.spec.Active] {
			e.enlist(uint32(i), &e.clients[i])
		}
		return
	}
	s.gap = 1e9 / ph.spec.Rate
	s.offset = s.gap * (float64(e.part.Index) + ratio(float64(e.part.Agent), float64(e.part.Agents))) / float64(e.part.Workers)
	s.stride = coprime(ph.spec.Active)
	s.next = ph.start + int64(s.offset)
}

// coprime is a step that visits all of n, not one neighbour after the other.
func coprime(n int) int {
	for step := max(1, n*618/1000); step > 1; step-- {
		a, b := n, step
		for b != 0 {
			a, b = b, a%b
		}
		if a == 1 {
			return step
		}
	}
	return 1
}

// sendDue sends what the schedule has up to now and returns when the next
// request is due. It looks at the sockets between any two batches: a generator
// that is behind its schedule must not read late on top.
func (e *engine) sendDue() int64 {
	s := &e.phase.schedule
	if s.gap == 0 {
		return math.MaxInt64
	}
	for batch := 0; s.next <= e.now && batch < 64; batch++ {
		if s.next >= e.phase.end {
			return math.MaxInt64
		}
		e.sendScheduled(s.next)
		s.k++
		if e.phase.spec.Poisson {
			s.next += int64(e.rng.ExpFloat64() * s.gap)
		} else {
			s.next = e.phase.start + int64(s.offset+s.k*s.gap)
		}
	}
	return s.next
}

// sendScheduled sends the request due at intended through the next client that
// is up.
func (e *engine) sendScheduled(intended int64) {
	ph := &e.phase
	s := &ph.schedule
	for range ph.spec.Active {
		slot := uint32(s.turn)
		if s.turn += s.stride; s.turn >= ph.spec.Active {
			s.turn -= ph.spec.Active
		}
		if c := &e.clients[slot]; e.canSend(c) {
			e.sendIntended(slot, c, intended)
			return
		}
	}
	ph.counts.Unsent++
}

func (e *engine) sendIntended(slot uint32, c *client, intended int64) {
	e.phase.lag.Record(e.send(slot, c, intended) - intended)
}

// canSend says whether a request can be sent now; one that cannot counts as unsent.
func (e *engine) canSend(c *client) bool {
	return c.phase == open && !c.has(flagFirst) && e.pend.count < pendingAtMost && e.roomFor(c, requestsAtMost)
}

// beat sends a client's own heartbeat and sets the time of the next.
func (e *engine) beat(t timer, c *client) {
	ph := &e.phase
	if !ph.open || t.at >= ph.end {
		return
	}
	if e.canSend(c) {
		e.sendIntended(t.slot, c, t.at)
	} else {
		ph.counts.Unsent++
	}
	gap := ph.spec.Interval.ns()
	if ph.spec.Poisson {
		gap = int64(e.rng.ExpFloat64() * float64(gap))
	} else if j := ph.spec.Jitter.ns(); j > 0 {
		gap += e.rng.Int64N(2*j) - j
	}
	t.at += max(gap, 1)
	e.timers.push(t)
}
