package bench

import (
	"wsd/netpoll"
)

// beginRamp queues all clients that are not there, those of the groups last.
func (e *engine) beginRamp() {
	n := 0
	for i := range e.clients {
		c := &e.clients[i]
		if c.phase == open {
			continue
		}
		if i < e.wellBehaved {
			if n++; e.phase.spec.Count > 0 && n > e.phase.spec.Count {
				continue
			}
		}
		if c.phase == gone {
			c.phase, c.tries = down, 0
		}
		e.enqueue(uint32(i), c)
	}
}

// beginStorm resets the connections of a share of the clients, all at once,
// and lets each come back after its random pause.
func (e *engine) beginStorm() {
	ph := &e.phase
	want := int(float64(e.up)*ph.spec.Share + .5)
	ph.droppedAt, ph.away = e.now, 0
	for _, i := range e.rng.Perm(e.wellBehaved) {
		c := &e.clients[i]
		if ph.away == want {
			break
		}
		if c.phase != open || c.has(flagFirst) {
			continue
		}
		e.drop(c)
		c.set(flagReturning)
		ph.away++
		if spread := ph.spec.Spread.ns(); spread > 0 {
			e.after(e.rng.Int64N(spread), uint32(i), c, dueDial)
		} else {
			e.enqueue(uint32(i), c)
		}
	}
}

// drop ends a connection of ours, as if the client had vanished. Requests that
// it has outstanding are its own business, not lost.
func (e *engine) drop(c *client) {
	e.release(c)
	if c.phase == open && c.behaviour == wellBehaved {
		e.up--
	}
	c.phase = down
}

// beginChurn gives every client that is there a length of life.
func (e *engine) beginChurn() {
	if e.phase.spec.Churn == 0 || e.phase.open && e.phase.spec.Interval > 0 || e.phase.closed {
		return // none, or enlist did it
	}
	for i := range e.clients[:e.wellBehaved] {
		e.enlist(uint32(i), &e.clients[i])
	}
}

// endChurn spares those that are to die after the phase's end.
func (e *engine) endChurn() {
	if e.phase.spec.Churn > 0 {
		e.timers.filter(func(t timer) bool { return t.what != dueDeath })
	}
}

func (e *engine) life() int64 {
	return int64(e.rng.ExpFloat64() * float64(e.phase.spec.Churn.ns()))
}

// die closes a client in good order; another takes its place.
func (e *engine) die(slot uint32, c *client) {
	if c.phase != open || c.has(flagFirst) {
		return
	}
	e.outbuf = e.proto.AppendClose(&c.state, e.outbuf[:0], 1000, "")
	netpoll.Write(int(c.fd), e.outbuf)
	e.shut(c)
	e.up--
	c.phase = down
	e.enqueue(slot, c)
}
