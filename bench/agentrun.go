package bench

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"wsd/bench/report"
)

// agentRun is one agent's part in a run.
type agentRun struct {
	*agentLink
	first, workers int // of run.workers
	clients        int
	clock          clockOffset // before the phase that runs
}

// dealAgents gives each agent its share of the plan and asks it whether that fits.
func (r *run) dealAgents(ctx context.Context, sources []netip.Addr, fields []string) (all []Part, err error) {
	n := len(r.opt.Agents)
	if r.plan.Clients < n {
		return nil, fmt.Errorf("%d clients are fewer than the %d agents", r.plan.Clients, n)
	}
	whole := *r.plan
	// What only the coordinator needs, secrets among it, stays here.
	whole.Publish, whole.PublishCommand, whole.PublishHeader, whole.Header = nil, "", nil, nil
	whole.PIDs, whole.Metrics = nil, nil
	var errs []error
	for i, a := range r.opt.Agents {
		link := newAgentLink(a, &r.clock)
		r.agents = append(r.agents, &agentRun{agentLink: link})
		share := split(&whole, i, n)
		share.MaxBuffered = whole.MaxBuffered
		r.agents[i].clients = share.Clients
		c, err := link.check(ctx, &checkRequest{Plan: share, Targets: r.targets, Sources: sources})
		if err != nil {
			errs = append(errs, fmt.Errorf("agent %s: %w", a.Name, err))
			continue
		}
		for _, text := range c.Fatal {
			errs = append(errs, fmt.Errorf("agent %s: %s", a.Name, text))
		}
		for _, text := range c.Warnings {
			r.warn("agent " + a.Name + ": " + text)
		}
		if len(c.Fatal) > 0 {
			continue
		}
		orDefault(&share.MaxBuffered, c.Buffered)
		own := parts(&share, r.targets, c.Sources, r.runID, c.Workers)
		for k := range own {
			own[k].Agent, own[k].Agents = i, n
			own[k].Header, own[k].Protocols = fields, offered(fields)
		}
		r.agents[i].first, r.agents[i].workers = len(all), c.Workers
		r.found = append(r.found, report.Agent{Name: a.Name, Workers: c.Workers, Clients: share.Clients, Host: c.Host})
		all = append(all, own...)
	}
	return all, errors.Join(errs...)
}

// warnLoopback: an agent's 127.0.0.1 is its own.
func (r *run) warnLoopback() {
	elsewhere := slices.ContainsFunc(r.opt.Agents, func(a Agent) bool { return !a.Here })
	for _, t := range r.targets {
		if elsewhere && t.Addr.Addr().IsLoopback() {
			r.warn(fmt.Sprintf("%s is each agent's own host: write the server's address, unless it is there", t.Addr))
			return
		}
	}
}

// startAgents has the agents start their workers.
func (r *run) startAgents(parts []Part, emit func(worker int, ev event)) error {
	for _, a := range r.agents {
		for i := range a.workers {
			r.workers = append(r.workers, &agentWorker{link: a.agentLink, index: i})
		}
		err := a.start(parts[a.first:a.first+a.workers], func(i int, ev event) { emit(a.first+i, ev) })
		if err != nil {
			return fmt.Errorf("agent %s: %w", a.Name, err)
		}
	}
	return nil
}

// agentOf is the agent of a worker, -1 if there are none.
func (r *run) agentOf(worker int) int {
	for i, a := range r.agents {
		if worker >= a.first && worker < a.first+a.workers {
			return i
		}
	}
	return -1
}

// compareClocks measures the agents' clocks, all at once.
func (r *run) compareClocks(ctx context.Context) []clockOffset {
	out := make([]clockOffset, len(r.agents))
	var all sync.WaitGroup
	for i, a := range r.agents {
		all.Go(func() { out[i] = a.measure(ctx) })
	}
	all.Wait()
	return out
}

// setClocks is done before each phase. The workers hear of it with the start.
func (r *run) setClocks(ctx context.Context) {
	for i, c := range r.compareClocks(ctx) {
		r.agents[i].clock = c
		r.agents[i].ahead.Store(c.ahead)
	}
}

// clockError is by how much times between hosts may be wrong in the phase that has
// ended: half a round trip, and what the clocks have moved apart since its start.
func (r *run) clockError(ctx context.Context) (worst time.Duration) {
	for i, c := range r.compareClocks(ctx) {
		before := r.agents[i].clock
		moved := c.ahead - before.ahead
		worst = max(worst, time.Duration(before.error()), time.Duration(c.error()+max(moved, -moved)))
	}
	return worst
}

// agentsLead is how long before its start agents hear of a phase, beside two round
// trips.
const agentsLead = int64(200 * time.Millisecond)

func (r *run) closeAgents() {
	for _, a := range r.agents {
		a.close()
	}
}
