package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os/exec"
	"runtime"
	"time"

	"wsd/bench/report"
)

// Observer watches a run. Its methods are called from one goroutine.
type Observer interface {
	// Warn tells of something that does not stop the run.
	Warn(text string)
	// Begin names a phase that begins, Progress comes every second of it, End has
	// its figures.
	Begin(phase string)
	Progress(p *report.Progress)
	End(p *report.Phase)
}

// Options are what a run needs of its surroundings.
type Options struct {
	// Worker makes the command of a worker process, which must run Work. It is
	// needed for plans beyond the descriptor limit of one process.
	Worker func() (*exec.Cmd, error)
	// Agents are other hosts. If there are any, all workers are theirs.
	Agents []Agent
	// Observer may be nil.
	Observer Observer
	// Command is the command line, for the report.
	Command []string

	callTimeout time.Duration // tests do not wait as long; 0: callTimeout
}

// run is the coordinator of one run. All but the workers' own goroutines is one
// goroutine, that of Run.
type run struct {
	plan    *Plan
	opt     Options
	clock   clock
	targets []target
	pub     *publisher
	workers []worker
	events  chan tagged
	over    chan struct{} // closed when the run is
	report  *report.Report

	begin     int64
	base      Sample // before the first connection
	emptyRSS  int64  // of the workers, before it
	runID     uint32
	published uint32 // number of the last published message
	up        []int  // per worker, as last told
	pids      []int  // of the server
	processes []report.Process
	warnings  []string

	agents []*agentRun
	found  []report.Agent // what they are
	lost   []bool         // workers that are; agents' alone
}

type tagged struct {
	worker int
	event
}

// Run carries out the plan and reports. When ctx ends, so does the phase that
// is running, and what there is gets reported. An error means that there is no
// report, or that it ends before the plan.
func Run(ctx context.Context, plan *Plan, opt Options) (*report.Report, error) {
	r := &run{
		plan: plan, opt: opt, runID: rand.Uint32(),
		events: make(chan tagged, 1024), over: make(chan struct{}),
	}
	if opt.Observer == nil {
		r.opt.Observer = noObserver{}
	}
	// A publisher and a sampler run beside the engine, also on one processor:
	// the kernel then shares it between threads, better than Go would.
	if runtime.GOMAXPROCS(0) < 2 {
		runtime.GOMAXPROCS(2)
	}
	defer r.stop()
	parts, err := r.prepare(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.startWorkers(ctx, parts); err != nil {
		return nil, err
	}
	err = r.phases(ctx)
	r.report.Seconds = float64(r.clock.now()-r.begin) / 1e9
	r.report.Judge()
	return r.report, err
}

// prepare checks the plan against the machine before anything is connected.
func (r *run) prepare(ctx context.Context) (all []Part, err error) {
	if err := r.plan.Complete(); err != nil {
		return nil, err
	}
	if r.clock, err = newClock(); err != nil {
		return nil, err
	}
	sources, fields, err := r.resolve(ctx)
	if err != nil {
		return nil, err
	}
	unseen := r.servers()
	if len(r.opt.Agents) > 0 {
		all, err = r.dealAgents(ctx, sources, fields)
		err = errors.Join(errors.Join(checkProcesses(r.pids)...), err)
	} else {
		all, err = r.dealHere(sources, fields)
	}
	for _, w := range checkMetrics(r.plan.Metrics) {
		r.warn(w)
	}
	r.warnLoopback()
	if unseen != "" {
		r.warn(unseen)
	}
	if err != nil {
		return nil, err
	}
	shown, err := r.plan.planText()
	if err != nil {
		return nil, err
	}
	r.begin = r.clock.now()
	r.up, r.lost = make([]int, len(all)), make([]bool, len(all))
	r.report = &report.Report{
		Schema: report.Schema, Command: shownCommand(r.opt.Command), Started: time.Now().UTC(), Host: hostFacts(),
		Plan: shown, Workers: len(all), Agents: r.found, Servers: r.processes, Limits: []string{}, Warnings: r.warnings,
	}
	return all, nil
}

// dealHere gives the workers on this host their parts.
func (r *run) dealHere(sources []netip.Addr, fields []string) ([]Part, error) {
	n, err := r.plan.workers()
	if err != nil {
		return nil, err
	}
	fatal, warnings := preflight(r.plan, r.pids, r.targets, sources, n)
	for _, w := range warnings {
		r.warn(w)
	}
	whole := *r.plan
	orDefault(&whole.MaxBuffered, buffered())
	all := parts(&whole, r.targets, sources, r.runID, n)
	for i := range all {
		all[i].Header, all[i].Protocols = fields, offered(fields)
	}
	return all, errors.Join(fatal...)
}

// warn tells the observer, and the report.
func (r *run) warn(text string) {
	r.opt.Observer.Warn(text)
	if r.report != nil {
		r.report.Warnings = append(r.report.Warnings, text)
		return
	}
	r.warnings = append(r.warnings, text)
}

// present is how many workers there are that are not lost.
func (r *run) present() (n int) {
	for _, gone := range r.lost {
		if !gone {
			n++
		}
	}
	return n
}

// sample looks at the server and the machine, which with agents is neither's, if
// the server is elsewhere.
func (r *run) sample() Sample {
	s := sample(r.pids, r.plan.Metrics, &r.clock)
	if len(r.agents) > 0 && len(r.pids) == 0 {
		s.has &^= hasKernel | hasProcessors
	}
	return s
}

// resolve finds addresses and reads secrets, once for all workers. fields are
// those of the handshake.
func (r *run) resolve(ctx context.Context) (sources []netip.Addr, fields []string, err error) {
	if sources, err = parseSources(r.plan.Sources); err != nil {
		return nil, nil, err
	}
	if r.targets, err = parseTargets(ctx, r.plan.Targets, sources...); err != nil {
		return nil, nil, err
	}
	if len(sources) == 0 && len(r.opt.Agents) == 0 {
		sources = chooseSources(r.plan, r.targets)
	}
	all, err := parseFields(r.plan.Header)
	if err != nil {
		return nil, nil, err
	}
	host, fields, err := splitHost(all)
	if err != nil {
		return nil, nil, err
	}
	for i := range r.targets {
		if host != "" {
			r.targets[i].Host = host
		}
	}
	r.pub, err = newPublisher(r.plan)
	return sources, fields, err
}

// startWorkers starts one in this process, or several of their own, and waits
// until all are ready.
func (r *run) startWorkers(ctx context.Context, parts []Part) error {
	emit := func(worker int, ev event) {
		select {
		case r.events <- tagged{worker, ev}:
		case <-r.over: // nobody needs it any more, and no worker must block
		}
	}
	if len(r.agents) > 0 {
		return errors.Join(r.startAgents(parts, emit), r.awaitWorkers(ctx, len(parts)))
	}
	for i, part := range parts {
		if err := ctx.Err(); err != nil {
			return err
		}
		w, err := r.startWorker(part, len(parts) == 1, func(ev event) { emit(i, ev) })
		if err != nil {
			return err
		}
		r.workers = append(r.workers, w)
	}
	return r.awaitWorkers(ctx, len(parts))
}

// awaitWorkers returns when all are ready.
func (r *run) awaitWorkers(ctx context.Context, n int) error {
	timeout := time.After(30 * time.Second)
	for ready := 0; ready < n; {
		select {
		case ev := <-r.events:
			if ev.Error != "" {
				if a := r.agentOf(ev.worker); a >= 0 {
					return fmt.Errorf("agent %s: %s", r.agents[a].Name, ev.Error)
				}
				return errors.New(ev.Error)
			}
			if ev.Ready != nil {
				ready++
				r.emptyRSS += ev.Ready.RSS
			}
		case <-ctx.Done():
			return ctx.Err()
		case <-timeout:
			return fmt.Errorf("%d of %d workers did not start within 30 s", n-ready, n)
		}
	}
	r.base = r.sample()
	return nil
}

func (r *run) startWorker(part Part, local bool, emit func(event)) (worker, error) {
	if local {
		return startLocal(part, emit)
	}
	if r.opt.Worker == nil {
		return nil, errors.New("more than one worker, and Options.Worker does not say how to start them")
	}
	cmd, err := r.opt.Worker()
	if err != nil {
		return nil, err
	}
	return startRemote(cmd, part, emit)
}

func (r *run) stop() {
	close(r.over)
	for _, a := range r.opt.Agents[len(r.agents):] { // those that were not asked
		a.Conn.Close()
	}
	for _, w := range r.workers {
		w.post(command{Quit: true})
	}
	for _, w := range r.workers {
		w.wait()
	}
	r.closeAgents()
}

func (r *run) phases(ctx context.Context) error {
	for i := range r.plan.Phases {
		if ctx.Err() != nil {
			r.report.Interrupted = true
			return nil
		}
		r.opt.Observer.Begin(r.plan.Phases[i].Name)
		p, err := r.phase(ctx, i)
		if p != nil {
			r.report.Phases = append(r.report.Phases, *p)
			r.opt.Observer.End(p)
		}
		if err != nil {
			return fmt.Errorf("phase %q: %w", r.plan.Phases[i].Name, err)
		}
		if p != nil && p.Kind == Ramp && p.Up == 0 && p.Failed > 0 {
			return fmt.Errorf("phase %q: no client could connect%s; the phases after it were left out", p.Name, p.Counts.Refusal())
		}
	}
	r.report.Interrupted = ctx.Err() != nil
	return nil
}

// noObserver is the observer of those who want none.
type noObserver struct{}

func (noObserver) Warn(string)               {}
func (noObserver) Begin(string)              {}
func (noObserver) Progress(*report.Progress) {}
func (noObserver) End(*report.Phase)         {}
