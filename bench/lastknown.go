package bench

import (
	"fmt"
	"time"

	"wsd/bench/report"
)

// How long a worker may be silent in a phase, and how long all may take to end
// one that is interrupted. Both are for what should never happen.
const (
	silentAtMost = time.Minute
	endsWithin   = 10 * time.Second
)

// lastKnown is what a worker has said of a phase so far; it stands in for the
// worker's result if that never comes.
type lastKnown struct {
	at              int64 // when it last said something
	tick            Tick  // its last, with the latencies of all of them
	latency, fanout report.Hist
}

func (l *lastKnown) hear(now int64, t *Tick) {
	l.at = now
	if t != nil {
		l.tick = *t
		l.latency.Merge(&t.Latency)
		l.fanout.Merge(&t.Fanout)
	}
}

// checkSilence is an error if a worker should have spoken long ago.
func (p *phaseRun) checkSilence() error {
	now := p.clock.now()
	for i := range p.known {
		since := max(p.known[i].at, p.start)
		if p.results[i] != nil || p.lost[i] || now-since <= int64(silentAtMost) {
			continue
		}
		if err := p.fail(i, fmt.Sprintf("worker %d has said nothing for %s", i, silentAtMost)); err != nil {
			return err
		}
	}
	return nil
}

// gathered are the workers' results; of one that did not report, what it
// had said until then.
func (p *phaseRun) gathered() []*WorkerResult {
	all := make([]*WorkerResult, len(p.results))
	for i, r := range p.results {
		if all[i] = r; r == nil {
			l := &p.known[i]
			all[i] = &WorkerResult{Seconds: time.Duration(l.tick.At).Seconds(), Up: l.tick.Up, Counts: l.tick.Counts,
				Latency: l.latency, Fanout: l.fanout}
		}
	}
	return all
}
