package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"wsd/bench/peers/fleet"
)

// Server is one contestant. {listen} and {admin} in Argv stand for host:port.
type Server struct {
	Name    string
	Version string
	Argv    []string
	// Action is the same for the server with an application's action, "say"; nil
	// if there is none.
	Action []string
}

// Plan is how servers are compared: what each round does, and where.
type Plan struct {
	Rounds    int           `json:"rounds"`
	Clients   int           `json:"clients"`
	Active    int           `json:"active"` // of them, in closed loops
	Rate      int           `json:"rate"`   // messages a second, all clients together
	Phase     time.Duration `json:"phase_ns"`
	Publishes int           `json:"publishes"`
	Parse     string        `json:"parse"` // how the peers find the action
	ServerCPU int           `json:"server_cpu"`
	BenchCPU  int           `json:"bench_cpu"`
	Listen    string        `json:"listen"`
	Admin     string        `json:"admin"`
}

const (
	action       = `{"actioncode":"say","data":{"room":"lobby","text":"hello to all of you here","at":1764400000}}`
	heartbeat    = `{"actioncode":"heart_beat"}`
	alive        = `"success"`
	handshakes   = 128 // at once
	echoBytes    = 1024
	publishBytes = 128
)

// The load of an application's action.
func (p Plan) actionClients() int { return min(2000, p.Clients) }
func (p Plan) actionRate() int    { return p.Rate / 2 } // and a tenth of it

// driver runs the rounds and collects samples.
type driver struct {
	plan     Plan
	loader   Loader
	log      io.Writer
	samples  map[string][]sample
	problems []string
}

// run goes through all servers in every round, so that what changes on the
// machine over time hits them alike; each round begins one server later. It
// stops early when ctx ends, and what was measured until then stands.
func (d *driver) run(ctx context.Context, servers []Server) {
	d.samples = make(map[string][]sample)
	for r := range d.plan.Rounds {
		for i := range servers {
			if ctx.Err() != nil {
				d.problem("stopped in round %d of %d", r+1, d.plan.Rounds)
				return
			}
			s := servers[(i+r)%len(servers)]
			fmt.Fprintf(d.log, "round %d of %d: %s\n", r+1, d.plan.Rounds, s.Name)
			got, err := d.one(ctx, s, r+1)
			if err != nil {
				d.problem("%s, round %d: %v", s.Name, r+1, err)
				continue
			}
			d.samples[s.Name] = append(d.samples[s.Name], got)
		}
	}
}

func (d *driver) problem(format string, args ...any) {
	p := fmt.Sprintf(format, args...)
	fmt.Fprintln(d.log, "  "+p)
	d.problems = append(d.problems, p)
}

// one measures a server once: many clients first, then fresh processes for the
// echo, whose buffers would otherwise count as memory of idle clients, and the
// action.
func (d *driver) one(ctx context.Context, s Server, round int) (sample, error) {
	p := d.plan
	got := sample{clients: float64(p.Clients)}
	var err error
	got.many, got.empty, err = d.load(ctx, s.Argv, Load{
		Label:   fmt.Sprintf("%s.%d.ws", s.Name, round),
		URL:     "ws://" + p.Listen + "/ws",
		Publish: "http://" + p.Admin + "/v1/publish?all",
		Clients: p.Clients,
		Steps: []Step{
			{Name: "ramp", Kind: Ramp, Concurrency: handshakes},
			{Name: "idle", Kind: Hold, Duration: p.Phase},
			{Name: "closed", Kind: Closed, Active: p.Active, Duration: p.Phase, Payload: heartbeat, Expect: alive},
			{Name: "open", Kind: Open, Rate: p.Rate, Duration: p.Phase, Payload: heartbeat, Expect: alive},
			{Name: "publish", Kind: Publish, Count: p.Publishes, Bytes: publishBytes},
		},
	})
	if err != nil {
		return got, err
	}
	got.echo, _, err = d.load(ctx, s.Argv, Load{
		Label:   fmt.Sprintf("%s.%d.echo", s.Name, round),
		URL:     "ws://" + p.Listen + "/echo",
		Clients: p.Active,
		Steps: []Step{
			{Name: "ramp", Kind: Ramp, Concurrency: handshakes},
			{Name: "echo", Kind: Closed, Active: p.Active, Duration: p.Phase / 2, Bytes: echoBytes},
		},
	})
	if err != nil || s.Action == nil {
		return got, err
	}
	got.action, _, err = d.load(ctx, s.Action, Load{
		Label:   fmt.Sprintf("%s.%d.action", s.Name, round),
		URL:     "ws://" + p.Listen + "/ws",
		Clients: p.actionClients(),
		Steps: []Step{
			{Name: "ramp", Kind: Ramp, Concurrency: handshakes},
			{Name: "busy", Kind: Open, Rate: p.actionRate(), Duration: p.Phase, Payload: action, Expect: alive},
			{Name: "calm", Kind: Open, Rate: max(p.actionRate()/10, 1), Duration: p.Phase, Payload: action, Expect: alive},
		},
	})
	return got, err
}

// load starts the server that argv says, has the loader work on it and stops it again. It
// returns the phases and what the server held in memory before them.
func (d *driver) load(ctx context.Context, argv []string, l Load) (map[string]Phase, float64, error) {
	at := strings.NewReplacer("{listen}", d.plan.Listen, "{admin}", d.plan.Admin)
	launch := fleet.Launch{CPU: d.plan.ServerCPU, Ready: []string{d.plan.Listen, d.plan.Admin}}
	for _, a := range argv {
		launch.Argv = append(launch.Argv, at.Replace(a))
	}
	server, err := fleet.Start(ctx, launch)
	if err != nil {
		return nil, 0, err
	}
	defer server.Stop()
	l.PID = server.PID()

	before, err := meter(l.PID)
	if err != nil {
		return nil, 0, err
	}
	rep, err := d.loader.Load(ctx, l)
	if err != nil {
		return nil, 0, because(ctx, server, err)
	}
	after, err := meter(l.PID)
	if err != nil {
		return nil, 0, err
	}
	d.check(l, rep, before, after)
	return rep.Phases, float64(before.RSS), nil
}

// because finds out whether a load failed for the server's sake. The loader
// may notice a little before the kernel hands the dead process to its parent.
func because(ctx context.Context, server *fleet.Process, err error) error {
	const moment = 500 * time.Millisecond
	if ctx.Err() != nil {
		return ctx.Err()
	}
	select {
	case <-server.Done():
		return fmt.Errorf("the server ended under the load (%w); it said:\n%s", err, server.Log())
	case <-time.After(moment):
		return err
	}
}
