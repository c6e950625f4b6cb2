package bench

import "math"

// due is when the next request of an open loop is due, of those that the
// generator is late with; sendDue has sent what was due of a schedule.
func (e *engine) due() int64 {
	next := e.sendDue()
	if at, ok := e.timers.next(); ok && e.phase.spec.Interval > 0 {
		next = min(next, at)
	}
	return next
}

// overdue is how many requests were due before end and have not left.
func (e *engine) overdue(end int64) (n uint64) {
	ph := &e.phase
	if s := &ph.schedule; s.gap > 0 && s.next < end {
		n = uint64(math.Ceil(float64(end-s.next) / s.gap))
	}
	if ph.spec.Interval > 0 {
		for _, t := range e.timers.heap {
			if t.what == dueBeat && t.at < end && e.clients[t.slot].gen == t.gen {
				n += uint64((end-t.at-1)/ph.spec.Interval.ns()) + 1
			}
		}
	}
	return n
}
