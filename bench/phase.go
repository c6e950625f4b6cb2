package bench

import (
	"math"
	"time"

	"wsd/bench/report"
)

// phaseState is what an engine knows of the phase that it is in.
type phaseState struct {
	spec        *Phase
	template    *template // never nil
	first       *template
	start       int64 // CLOCK_MONOTONIC
	end         int64 // no request leaves after it
	open        bool  // open loop
	closed      bool  // closed loop
	publishing  bool  // messages are being published
	ending      bool  // the coordinator said that it is over
	interrupted bool  // so is the run: no long waits any more
	endKnown    bool  // the coordinator said how much was published
	tickAt      int64

	// number is the last request's; those of this phase are above numberBase.
	number, numberBase uint32
	lastAnswer         int64
	schedule           schedule
	droppedAt          int64 // of a storm
	away               int   // clients not yet back from it
	published          int   // as the coordinator says
	upAtStart          int
	progress           progress

	counts                      report.Counts
	connect, upgrade, handshake report.Hist
	firstTime, back             report.Hist
	// Of the present second; merged into the totals with each tick.
	latency, fanout                             report.Hist
	latencyTotal, fanoutTotal, uncorrected, lag report.Hist
}

// runPhase runs one phase to its end and reports it.
func (e *engine) runPhase(c *startCommand) error {
	e.clock.ahead = c.Ahead
	for e.clock.now() < c.At {
		if err := e.pump(c.At); err != nil {
			return err
		}
	}
	usage := usageNow()
	if err := e.begin(c); err != nil {
		return err
	}
	if err := e.drive(); err != nil {
		return err
	}
	if err := e.awaitAnswers(); err != nil {
		return err
	}
	e.finish(usage)
	return nil
}

// progress tells a phase without a bound, which goes on as long as more clients
// get in, when to stop.
type progress struct {
	best    int   // the most that was reached
	at      int64 // when
	stalled bool  // nothing more was reached for so long that the phase ended
}

// stallAfter is for how long nothing may happen, beyond what the plan makes
// clients wait, before a phase that has no bound is over.
const stallAfter = int64(time.Minute)

// stalls notes how much is reached by now and says whether it is time to stop.
func (p *progress) stalls(reached int, now, timeout int64) bool {
	if p.at == 0 || reached > p.best {
		p.best, p.at = reached, now
	}
	p.stalled = now-p.at > timeout
	return p.stalled
}

// begin sets the engine up for the phase. What happened since the last
// phase's end (a close, say) counts for this one.
func (e *engine) begin(c *startCommand) (err error) {
	spec := &e.part.Plan.Phases[c.Phase]
	ph := &e.phase
	ph.spec, ph.start, ph.end = spec, c.At, c.At+spec.Duration.ns()
	if spec.Duration == 0 {
		ph.end = math.MaxInt64
	}
	ph.open, ph.closed = spec.Kind == Open, spec.Kind == Closed
	ph.publishing = spec.Kind == Publish || spec.PublishRate > 0
	ph.ending, ph.interrupted, ph.endKnown = false, false, false
	ph.progress = progress{}
	ph.published, ph.lastAnswer = 0, 0
	ph.numberBase = ph.number
	ph.tickAt = c.At + tickEvery
	ph.upAtStart = e.up
	e.fanBase, e.fanLog, e.fanMost = c.PublishBase, e.fanLog[:0], spec.publishes()
	e.now = e.clock.now()
	e.dialer.set(spec, e.now)
	if ph.open || ph.closed {
		if ph.template, err = newTemplate(spec); err != nil {
			return err
		}
	}
	if ph.first == nil && e.part.Plan.First != "" {
		if ph.first, err = newTemplate(&Phase{Payload: e.part.Plan.First, Expect: " "}); err != nil {
			return err
		}
	}
	for i := range e.clients[:e.wellBehaved] {
		e.clients[i].seen = e.lastPublished()
	}
	if ph.publishing {
		e.emit(event{Began: true})
	}
	return nil
}

// tick tells the coordinator, once a second, what is going on.
func (e *engine) tick() {
	ph := &e.phase
	if e.now < ph.tickAt {
		return
	}
	ph.tickAt += tickEvery * (1 + (e.now-ph.tickAt)/tickEvery)
	t := e.snapshot()
	e.emit(event{Tick: &t})
}

// snapshot is the present second's tick, and begins the next one's.
func (e *engine) snapshot() Tick {
	ph := &e.phase
	t := Tick{
		At: Duration(e.now - ph.start), Up: e.up, Counts: ph.counts.Clone(),
		Latency: ph.latency.Take(), Fanout: ph.fanout.Take(), LagP99: Duration(ph.lag.Quantile(.99)),
	}
	ph.latencyTotal.Merge(&t.Latency)
	ph.fanoutTotal.Merge(&t.Fanout)
	return t
}

// finish reports the phase and forgets its figures.
func (e *engine) finish(before usage) {
	ph := &e.phase
	e.snapshot()
	e.giveUpConnecting()
	e.countUndelivered()
	seconds := time.Duration(ph.end - ph.start)
	if ph.closed && ph.lastAnswer > ph.end {
		seconds = time.Duration(ph.lastAnswer - ph.start)
	}
	used := usageNow().since(before)
	e.emit(event{Result: &WorkerResult{
		Seconds: seconds.Seconds(), Up: e.up, Stalled: ph.progress.stalled, Counts: ph.counts.Clone(),
		Connect: ph.connect.Take(), Upgrade: ph.upgrade.Take(), Handshake: ph.handshake.Take(),
		First: ph.firstTime.Take(), Latency: ph.latencyTotal.Take(), Uncorrected: ph.uncorrected.Take(),
		Lag: ph.lag.Take(), Fanout: ph.fanoutTotal.Take(), Back: ph.back.Take(),
		Publishes: append([]fanSeen(nil), e.fanLog...),
		CPU:       used.cpu.Seconds(), Wall: used.wall.Seconds(), RSS: used.rss,
		Groups: e.groupResults(),
	}})
	ph.counts = report.Counts{}
	ph.open, ph.closed, ph.publishing = false, false, false
}
