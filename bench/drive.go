package bench

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
		e.heed()
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
// leaves nothing out because the generator was late.
func (e *engine) catchUp() error {
	for e.phase.open && !e.phase.ending {
		due := e.sendDue()
		if err := e.pump(e.now); err != nil {
			return err
		}
		if due >= e.phase.end {
			break
		}
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
		return e.dialer.waiting() == 0 && e.dialer.inflight == 0 && e.retrying() == 0
	case Storm:
		return ph.away == 0
	}
	return false
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

// heed looks for the end of the phase, or of what is published in it, among
// the commands.
func (e *engine) heed() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.inbox) > 0 && e.inbox[0].End != nil {
		e.phase.told = true
		e.phase.ending = e.phase.ending || e.inbox[0].End.Now
		e.phase.published = e.inbox[0].End.Published
		e.inbox = e.inbox[1:]
	}
}

// settle waits for answers still to come, for as long as the plan allows.
func (e *engine) settle() error {
	ph := &e.phase
	until := e.now + e.part.Plan.Grace.ns()
	for e.now < until && (e.pend.count > 0 || ph.fans && !ph.told) {
		if err := e.pump(min(until, ph.tickAt)); err != nil {
			return err
		}
		e.heed()
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
	for i := range e.clients[:e.polite] {
		if c := &e.clients[i]; c.phase == open && !c.has(flagFirst) && c.head != 0 {
			n := e.pend.drop(c)
			c.missing += uint16(min(n, 1<<16-1-int(c.missing)))
			e.phase.counts.Lost += uint64(n)
		}
	}
}
