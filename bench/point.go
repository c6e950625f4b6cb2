package bench

import "time"

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
	var total Counts
	up := 0
	for i := range p.counts {
		total.Add(&p.counts[i])
		up += p.up[i]
	}
	counted := p.heard - p.lastHeard // seconds that the counts are about
	rate := func(now, before uint64) float64 { return ratio(float64(now-before), counted) }
	pt := Point{
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
	p.opt.Observer.Progress(&Progress{
		Phase: p.spec, Elapsed: time.Duration(s.At - p.start), Clients: p.plan.Clients, Counts: total, Point: pt,
	})
}
