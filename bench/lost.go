package bench

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"wsd/bench/report"
)

// fail takes a worker's end. It ends the run, unless the worker is an agent's: then
// the others go on, and the report says who is missing. The error ends the run.
func (p *phaseRun) fail(worker int, why string) error {
	agent := p.agentOf(worker)
	if agent < 0 {
		return errors.New(why)
	}
	if p.lost[worker] {
		return nil
	}
	p.lost[worker] = true
	p.up[worker] = 0
	if p.results[worker] == nil {
		p.missing--
	}
	if p.fan != nil {
		p.fan.lose(worker, p.begun[worker])
	}
	if a := &p.report.Agents[agent]; a.Lost == nil {
		now := p.clock.now()
		a.Lost = &report.Lost{Phase: p.spec.Name, At: time.Duration(now - p.begin).Seconds(), Why: why}
		p.lostAt[agent] = max(0, now-p.start)
		p.warn(fmt.Sprintf("agent %s is lost: %s; the others go on", a.Name, why))
	}
	for _, gone := range p.lost {
		if !gone {
			return nil
		}
	}
	return errors.New("all agents are lost")
}

// lostText says which agents are missing in the phase, "" if none is.
func (p *phaseRun) lostText() string {
	var all []string
	for i := range p.report.Agents {
		a := &p.report.Agents[i]
		if a.Lost == nil {
			continue
		}
		clients := fmt.Sprintf("%s of %s clients", report.CountText(uint64(a.Clients)), report.CountText(uint64(p.plan.Clients)))
		if at, here := p.lostAt[i]; here {
			all = append(all, fmt.Sprintf("agent %s, with %s, was lost after %.1f s (%s): its figures end with what it had told",
				a.Name, clients, time.Duration(at).Seconds(), a.Lost.Why))
		} else {
			all = append(all, fmt.Sprintf("agent %s, with %s, is missing: it was lost in phase %q", a.Name, clients, a.Lost.Phase))
		}
	}
	return strings.Join(all, "; ")
}

// byAgent is what each agent did in the phase.
func (p *phaseRun) byAgent(results []*WorkerResult) (all []report.AgentPhase) {
	for i, a := range p.agents {
		out := report.AgentPhase{Name: a.Name, Missing: p.report.Agents[i].Lost != nil}
		var latency, lag report.Hist
		for k := a.first; k < a.first+a.workers; k++ {
			r := results[k]
			out.Up += r.Up
			out.Events += r.Counts.Events()
			out.Faults += r.Counts.Faults()
			out.Unsent += r.Counts.Unsent
			out.CPUShare = max(out.CPUShare, ratio(r.CPU, r.Wall))
			latency.Merge(mainHist(p.spec.Kind, r))
			lag.Merge(&r.Lag)
		}
		out.P99, out.Lag = float64(latency.Quantile(.99))/1e3, float64(lag.Quantile(.99))/1e3
		all = append(all, out)
	}
	return all
}
