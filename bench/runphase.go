package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"wsd/bench/report"
)

// phaseRun is the coordinator's view of the phase that is running.
type phaseRun struct {
	*run
	spec    *Phase
	index   int
	start   int64
	before  Sample
	results []*WorkerResult
	missing int // results still to come
	counts  []report.Counts
	known   []lastKnown   // of each worker
	begun   []bool        // of each, if messages are published: it is in the phase
	lostAt  map[int]int64 // agents that were lost in the phase, and when, in ns of it

	// Since the last point.
	latency   report.Hist
	last      Sample
	lastTotal report.Counts
	lastHeard float64
	series    []report.Point
	heard     float64 // seconds of the phase that the counts cover

	fan       *fanRun // nil: nothing is published
	upAtStart []int
}

// lead is how long before its start workers hear of a phase.
func (r *run) lead() int64 {
	if len(r.agents) > 0 {
		lead := agentsLead
		for _, a := range r.agents {
			lead = max(lead, agentsLead+2*a.clock.trip)
		}
		return lead
	}
	if len(r.workers) == 1 {
		return int64(2 * time.Millisecond)
	}
	return int64(50 * time.Millisecond)
}

// phase runs phase i on all workers.
func (r *run) phase(ctx context.Context, i int) (*report.Phase, error) {
	n := len(r.workers)
	r.setClocks(ctx)
	p := &phaseRun{
		run: r, spec: &r.plan.Phases[i], index: i, results: make([]*WorkerResult, n), missing: r.present(),
		counts: make([]report.Counts, n), known: make([]lastKnown, n), upAtStart: append([]int(nil), r.up...),
		begun: make([]bool, n), lostAt: make(map[int]int64),
	}
	p.before = r.sample()
	p.last = p.before
	p.start = r.clock.now() + r.lead()
	for _, w := range r.workers {
		w.post(command{Start: &startCommand{Phase: i, At: p.start, PublishBase: r.published + 1}})
	}
	fanCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	if p.spec.Kind == Publish || p.spec.PublishRate > 0 {
		p.fan = p.startFan(fanCtx)
	}
	err := p.collect(ctx)
	cancel()
	interrupted := ctx.Err() != nil
	if p.fan != nil {
		err = errors.Join(err, p.fan.wait())
		r.published += uint32(len(p.fan.due))
	}
	out := p.finish(interrupted)
	out.ClockError = float64(r.clockError(ctx)) / 1e3
	return out, err
}

// collect hears the workers until all have reported. There is no bound on how
// long a phase takes, but on how long a worker, who has something to say every
// second, may be silent; and on how long it takes to end once interrupted.
func (p *phaseRun) collect(ctx context.Context) error {
	second := time.NewTimer(p.untilPoint())
	defer second.Stop()
	done := ctx.Done()
	var published <-chan struct{}
	if p.fan != nil {
		published = p.fan.done
	}
	var late <-chan time.Time
	for p.missing > 0 {
		select {
		case ev := <-p.events:
			if err := p.hear(ev); err != nil {
				return err
			}
		case <-second.C:
			if err := p.catchUp(); err != nil {
				return err
			}
			p.point()
			if err := p.checkSilence(); err != nil {
				return err
			}
			second.Reset(p.untilPoint())
		case <-published:
			published = nil
			p.end(endCommand{Now: p.spec.Kind == Publish})
		case <-done:
			done = nil
			p.end(endCommand{Now: true, Interrupted: true})
			late = time.After(endsWithin)
		case <-late:
			return fmt.Errorf("%d of %d workers did not report within %s of the interruption", p.missing, len(p.workers), endsWithin)
		}
	}
	return nil
}

// end tells all workers how much was published, and with now that the phase is
// over early.
func (p *phaseRun) end(c endCommand) {
	if p.fan != nil {
		c.Published = p.fan.sent()
	}
	for _, w := range p.workers {
		w.post(command{End: &c})
	}
}

func (p *phaseRun) hear(ev tagged) error {
	if p.lost[ev.worker] {
		return nil
	}
	p.known[ev.worker].hear(p.clock.now(), ev.Tick)
	switch {
	case ev.Error != "":
		return p.fail(ev.worker, ev.Error)
	case ev.Tick != nil:
		p.counts[ev.worker] = ev.Tick.Counts
		p.heard = max(p.heard, time.Duration(ev.Tick.At).Seconds())
		p.up[ev.worker] = ev.Tick.Up
		p.latency.Merge(&ev.Tick.Latency)
		p.latency.Merge(&ev.Tick.Fanout)
	case ev.Began:
		p.begun[ev.worker] = true
		p.fan.began()
	case ev.Fan != nil && p.fan != nil:
		p.fan.reached(ev.worker, ev.Fan)
	case ev.Result != nil:
		p.results[ev.worker] = ev.Result
		p.counts[ev.worker] = ev.Result.Counts
		p.heard = max(p.heard, ev.Result.Seconds)
		p.up[ev.worker] = ev.Result.Up
		p.missing--
	}
	return nil
}

// catchUp hears all that the workers have said so far.
func (p *phaseRun) catchUp() error {
	for {
		select {
		case ev := <-p.events:
			if err := p.hear(ev); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

func (p *phaseRun) finish(interrupted bool) *report.Phase {
	p.lastPoint()
	out := &report.Phase{Name: p.spec.Name, Kind: p.spec.Kind, Interrupted: interrupted, Series: p.series}
	results := p.gathered()
	merge(out, results)
	out.Agents = p.byAgent(results)
	out.FindWeakest()
	if p.fan != nil {
		p.fan.report(out, results)
	}
	account(out, p.base, p.before, p.last, p.emptyRSS)
	out.Unreached = p.unreached(out)
	return out
}
