package bench

import (
	"time"

	"wsd/bench/report"
)

// untilPoint is how long it is until the next point: a little after the
// workers' own ticks, so that it has whole seconds. On a machine that is too
// busy to sample every second some are left out.
func (p *phaseRun) untilPoint() time.Duration {
	const after = int64(100 * time.Millisecond)
	passed := p.clock.now() - p.start - after
	if passed < 0 {
		return time.Duration(tickEvery - passed)
	}
	return time.Duration(tickEvery - passed%tickEvery)
}

// lastPoint is a phase's last sample. It is a point of the series if it stands
// for more than a moment, whose rates would be nonsense.
func (p *phaseRun) lastPoint() {
	n := len(p.series)
	brief := p.heard-p.lastHeard < .5
	p.point()
	if n > 0 && brief {
		p.series = p.series[:n]
	}
}

// point closes one second: it samples the server and tells the observer.
func (p *phaseRun) point() {
	s := p.sample()
	var total report.Counts
	up := 0
	for i := range p.counts {
		total.Add(&p.counts[i])
		up += p.up[i]
	}
	counted := p.heard - p.lastHeard // seconds that the counts are about
	rate := func(now, before uint64) float64 { return ratio(float64(now-before), counted) }
	pt := report.Point{
		At: float64(s.At-p.begin) / 1e9, Up: up,
		Handshakes: rate(total.Handshakes, p.lastTotal.Handshakes),
		Messages:   rate(total.Messages, p.lastTotal.Messages),
		Deliveries: rate(total.Deliveries, p.lastTotal.Deliveries),
		Errors:     rate(total.Faults(), p.lastTotal.Faults()),
		P50:        float64(p.latency.Quantile(.5)) / 1e3, P99: float64(p.latency.Quantile(.99)) / 1e3,
		ServerCPU: (s.has & p.last.has).per(hasCPU, s.CPUSeconds-p.last.CPUSeconds, float64(s.At-p.last.At)/1e9), ServerRSS: s.has.of(hasRSS, s.RSSBytes),
		KernelBytes: (s.has & p.base.has).of(hasKernel, s.SlabBytes+s.SocketBytes-p.base.SlabBytes-p.base.SocketBytes),
	}
	p.series = append(p.series, pt)
	p.last, p.lastTotal, p.lastHeard = s, total, p.heard
	p.latency.Reset()
	elapsed := time.Duration(s.At - p.start)
	p.opt.Observer.Progress(&report.Progress{
		Phase: p.spec.Name, Elapsed: elapsed, Done: p.spec.done(elapsed, up, p.plan.Clients, total.Deliveries), Counts: total, Point: pt,
	})
}

// done is how far a phase is, from 0 to 1: a ramp or storm by its clients, one
// that publishes by its deliveries, any other by its time.
func (ph *Phase) done(elapsed time.Duration, up, clients int, deliveries uint64) float64 {
	switch ph.Kind {
	case Ramp, Storm:
		return ratio(float64(up), float64(clients))
	case Publish:
		return ratio(float64(deliveries), float64(ph.Count*up))
	}
	return ratio(float64(elapsed), float64(ph.Duration))
}
