package bench

import "time"

// drive does what the phase's kind says until it is over.
func (e *engine) drive() error {
	ph := &e.phase
	switch {
	case ph.spec.Kind == Ramp:
		e.beginRamp()
	case ph.spec.Kind == Storm:
		e.beginStorm()
	case ph.closed:
		e.beginClosed()
	case ph.open:
		e.beginOpen()
	}
	e.beginChurn()
	for !e.over() {
		until := min(ph.end, ph.tickAt)
		if ph.open {
			until = min(until, e.sendDue())
		}
		if err := e.pump(until); err != nil {
			return err
		}
		e.checkEnd()
		e.tick()
	}
	e.endChurn()
	if err := e.catchUp(); err != nil {
		return err
	}
	ph.end = min(ph.end, e.now)
	return nil
}

// catchUp sends what was due before the end and has not left: an open loop
// leaves nothing out because the generator was a little late. What would take
// longer than late answers are waited for is given up, and counted.
func (e *engine) catchUp() error {
	ph := &e.phase
	until := e.now + e.part.Plan.Grace.ns()
	for ph.open && !ph.ending {
		if e.due() >= ph.end || e.now >= until {
			break
		}
		if err := e.pump(e.now); err != nil {
			return err
		}
		e.checkEnd()
		e.tick()
	}
	if ph.open {
		n := e.overdue(min(ph.end, e.now))
		ph.counts.Overdue += n
		ph.counts.Unsent += n
		// Heartbeats still set are overdue or the next phase's, which sets its own.
		e.timers.filter(func(t timer) bool { return t.what != dueBeat })
	}
	return nil
}

// over says whether the phase has reached its goal or its time.
func (e *engine) over() bool {
	ph := &e.phase
	if ph.ending || e.now >= ph.end {
		return true
	}
	switch ph.spec.Kind {
	case Ramp:
		return e.dialer.waiting() == 0 && e.dialer.inflight == 0 && e.retrying() == 0 ||
			ph.spec.Duration == 0 && ph.progress.stalls(e.up, e.now, stall(&e.part.Plan, ph.spec))
	case Storm:
		return ph.away == 0 || ph.spec.Duration == 0 && ph.progress.stalls(-ph.away, e.now, stall(&e.part.Plan, ph.spec))
	}
	return false
}

// stall is how long nobody may get in before connecting is given up.
func stall(p *Plan, ph *Phase) int64 {
	n := stallAfter + 2*p.HandshakeTimeout.ns() + ph.Spread.ns()
	if ph.Rate > 0 {
		n += int64(min(2e9/ph.Rate, 1e18))
	}
	return n
}

// giveUpConnecting ends the attempts of a ramp or storm that is over: the next
// phase is not to run beside them.
func (e *engine) giveUpConnecting() {
	if k := e.phase.spec.Kind; k != Ramp && k != Storm {
		return
	}
	for i := range e.clients[:e.wellBehaved] {
		c := &e.clients[i]
		waits := c.phase == down && (c.has(flagQueued) || c.has(flagReturning) || c.tries > 0)
		if waits || c.phase == dialing || c.phase == upgrading || c.has(flagFirst) {
			e.abandon(c)
		}
	}
	e.dialer.queue, e.dialer.head = e.dialer.queue[:0], 0
	for i := e.wellBehaved; i < len(e.clients); i++ { // those of groups go on
		if c := &e.clients[i]; c.has(flagQueued) {
			e.dialer.push(uint32(i))
		}
	}
}

// abandon gives up on a client that is not up.
func (e *engine) abandon(c *client) {
	if c.phase != down {
		e.dialer.inflight--
		e.release(c)
	} else {
		c.gen++ // no attempt that was set for later
	}
	c.clear(flagQueued)
	c.clear(flagReturning)
	c.phase = gone
	if !e.phase.interrupted {
		e.phase.counts.Failed++
	}
}

// retrying is how many clients wait for another attempt.
func (e *engine) retrying() (n int) {
	for _, t := range e.timers.heap {
		if t.what == dueDial && e.clients[t.slot].gen == t.gen {
			n++
		}
	}
	return n
}

// checkEnd looks for the end of the phase, or of what is published in it, among
// the commands. That the worker is to quit stays there for run.
func (e *engine) checkEnd() {
	ph := &e.phase
	e.mu.Lock()
	defer e.mu.Unlock()
	for len(e.inbox) > 0 && e.inbox[0].End != nil {
		end := e.inbox[0].End
		ph.endKnown = true
		ph.ending, ph.interrupted = ph.ending || end.Now, ph.interrupted || end.Interrupted
		ph.published = end.Published
		e.inbox = e.inbox[1:]
	}
	if len(e.inbox) > 0 && e.inbox[0].Quit {
		ph.ending, ph.interrupted, ph.endKnown = true, true, true
	}
}

// interruptedWait is the longest wait for answers once a run is interrupted.
const interruptedWait = int64(time.Second)

// awaitAnswers waits for answers still to come, for as long as the plan allows, and
// for what is published as long as the coordinator does, who knows whether more
// comes in.
func (e *engine) awaitAnswers() error {
	ph := &e.phase
	began, grace := e.now, e.part.Plan.Grace.ns()
	for e.pend.count > 0 && e.now < began+grace || ph.publishing && !ph.endKnown {
		if ph.interrupted && e.now > began+interruptedWait {
			break
		}
		until := began + grace
		if e.now >= until {
			until = ph.tickAt
		}
		if err := e.pump(min(until, ph.tickAt)); err != nil {
			return err
		}
		e.checkEnd()
		e.tick()
	}
	e.giveUp()
	return nil
}

// giveUp counts requests without an answer as lost.
func (e *engine) giveUp() {
	if !e.phase.open && !e.phase.closed {
		return
	}
	for i := range e.clients[:e.wellBehaved] {
		if c := &e.clients[i]; c.phase == open && !c.has(flagFirst) && c.head != 0 {
			n := e.pend.drop(c)
			c.missing += uint16(min(n, 1<<16-1-int(c.missing)))
			e.phase.counts.Lost += uint64(n)
		}
	}
	e.phase.numberBase = e.phase.number // whatever comes of them before the next phase is late
}
