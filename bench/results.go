package bench

import "wsd/bench/report"

// optional is h, nil if it is empty: a report leaves it out.
func optional(h *report.Hist) *report.Hist {
	if h.Count() == 0 {
		return nil
	}
	return h
}

// merge adds the workers' results up.
func merge(p *report.Phase, results []*WorkerResult) {
	var sum WorkerResult
	for _, r := range results {
		p.Seconds = max(p.Seconds, r.Seconds)
		p.Up += r.Up
		p.Counts.Add(&r.Counts)
		for to, from := range map[*report.Hist]*report.Hist{
			&sum.Connect: &r.Connect, &sum.Upgrade: &r.Upgrade, &sum.Handshake: &r.Handshake,
			&sum.First: &r.First, &sum.Latency: &r.Latency, &sum.Uncorrected: &r.Uncorrected,
			&sum.Lag: &r.Lag, &sum.Fanout: &r.Fanout, &sum.Back: &r.Back,
		} {
			to.Merge(from)
		}
		p.Generator.CPUSeconds += r.CPU
		p.Generator.CPUShare = max(p.Generator.CPUShare, ratio(r.CPU, r.Wall))
		p.Generator.RSSBytes += r.RSS
		addGroups(p, r.Groups)
	}
	p.Connect, p.Upgrade, p.First = optional(&sum.Connect), optional(&sum.Upgrade), optional(&sum.First)
	p.Uncorrected, p.Lag, p.Fanout = optional(&sum.Uncorrected), optional(&sum.Lag), optional(&sum.Fanout)
	p.Latency = optional(mainHist(p.Kind, &sum))
}

// mainHist is the histogram that a phase of this kind is about.
func mainHist(kind string, r *WorkerResult) *report.Hist {
	switch kind {
	case Ramp:
		return &r.Handshake
	case Publish:
		return &r.Fanout
	case Storm:
		return &r.Back
	}
	return &r.Latency
}

func addGroups(p *report.Phase, groups []report.Group) {
	for i := range groups {
		if i == len(p.Groups) {
			p.Groups = append(p.Groups, report.Group{})
		}
		p.Groups[i].Behaviour = groups[i].Behaviour
		p.Groups[i].Merge(&groups[i])
	}
}

// account sets the phase against what the server, the machine and the
// generator used: base was before the first connection, a and b are the ends.
func account(p *report.Phase, base, a, b Sample, emptyRSS int64) {
	wall := float64(b.At-a.At) / 1e9
	events, up := float64(p.Events()), float64(p.Up)
	both := a.has & b.has
	if b.Gone > a.Gone { // what a process took along is in a, not in b
		both &^= hasCPU | hasSwitches | hasWaits
	}
	cpu, waits := b.CPUSeconds-a.CPUSeconds, max(0, b.WaitSeconds-a.WaitSeconds)
	p.Server = report.Server{
		CPUSeconds: both.of(hasCPU, cpu), CPUShare: both.per(hasCPU, cpu, wall), CPUPerEvent: both.per(hasCPU, cpu*1e6, events),
		RSSBytes: b.has.of(hasRSS, b.RSSBytes), RSSPerClient: (base.has & b.has).per(hasRSS, b.RSSBytes-base.RSSBytes, up),
		Switches:    both.of(hasSwitches, b.Switches-a.Switches),
		WaitSeconds: both.of(hasWaits, waits), WaitShare: both.per(hasWaits, waits, wall),
	}
	kernel, slab, sockets := base.has&b.has, b.SlabBytes-base.SlabBytes, b.SocketBytes-base.SocketBytes
	p.Machine = report.Machine{
		SlabBytes: kernel.of(hasKernel, slab), SocketBytes: kernel.of(hasKernel, sockets), KernelPerClient: kernel.per(hasKernel, slab+sockets, up),
		BusySeconds: both.of(hasProcessors, b.BusySeconds-a.BusySeconds), SoftirqSeconds: both.of(hasProcessors, b.SoftSeconds-a.SoftSeconds),
	}
	p.Generator.CPUPerEvent = ratio(p.Generator.CPUSeconds*1e6, events)
	p.Generator.RSSPerClient = ratio(float64(p.Generator.RSSBytes-emptyRSS), up)
}

func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}
