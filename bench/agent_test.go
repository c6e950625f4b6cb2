package bench

import (
	"context"
	"encoding/json"
	"net"
	"strings"
	"testing"
	"time"

	"wsd/bench/report"
)

// agentsHere are agents in this process, at the other ends of pipes.
func agentsHere(t *testing.T, names ...string) (all []Agent) {
	t.Helper()
	for _, name := range names {
		near, far := net.Pipe()
		ended := make(chan error, 1)
		go func() { ended <- ServeRun(context.Background(), far, selfAsWorker) }()
		t.Cleanup(func() {
			near.Close()
			<-ended
		})
		all = append(all, Agent{Name: name, Here: true, Conn: near})
	}
	return all
}

// What agents did adds up to the plan, and each has its share.
func TestAgents(t *testing.T) {
	t.Parallel()
	s := start(t, &testServer{})
	r, p := loadWith(t, s, Options{Agents: agentsHere(t, "one", "two", "three")}, Plan{Clients: 31, Workers: 2},
		Phase{Kind: Closed, Duration: Duration(200 * time.Millisecond), Payload: numbered},
		Phase{Kind: Open, Rate: 300, Duration: Duration(500 * time.Millisecond), Payload: numbered})
	if r.Workers != 6 || len(r.Agents) != 3 || r.Agents[0].Clients+r.Agents[1].Clients+r.Agents[2].Clients != 31 || r.Agents[1].Host.Kernel == "" {
		t.Errorf("%d workers, %+v", r.Workers, r.Agents)
	}
	wantClean(t, p["closed"])
	wantClean(t, p["open"])
	if p["ramp"].Up != 31 || p["open"].Sent != 150 {
		t.Errorf("%d up, %d requests, want 31 and 150", p["ramp"].Up, p["open"].Sent)
	}
	for name, ph := range p {
		var up int
		var events uint64
		weakest := false
		for _, a := range ph.Agents {
			up += a.Up
			events += a.Events
			weakest = weakest || a.Name == ph.Weakest
		}
		if up != ph.Up || events != ph.Events() || !weakest || ph.ClockError <= 0 {
			t.Errorf("%s: %d up of %d, %d events of %d, weakest %q, clocks ± %v µs", name, up, ph.Up, events, ph.Events(), ph.Weakest, ph.ClockError)
		}
	}
}

// losing closes an agent's connection once the phase gets on: requests have been
// answered at more than rate a second, or more than most in all.
type losing struct {
	noObserver
	phase string
	rate  float64
	most  uint64
	lose  func()
}

func (l *losing) Progress(p *report.Progress) {
	n := p.Counts.Messages
	getsOn := float64(n) >= l.rate*p.Elapsed.Seconds() || n > l.most
	if p.Phase == l.phase && getsOn && l.lose != nil {
		l.lose()
		l.lose = nil
	}
}

// An agent that is lost ends neither the run nor what it had told; publishes do not
// wait for it, and each phase says that it is missing.
func TestAgentLost(t *testing.T) {
	t.Parallel()
	s := start(t, &testServer{})
	hosts := agentsHere(t, "one", "two")
	// One agent alone makes 50 requests a second, 600 in all: both have told of theirs.
	lose := &losing{phase: "open", rate: 65, most: 600, lose: func() { hosts[1].Conn.Close() }}
	plan := &Plan{Targets: []string{s.url()}, Clients: 20, Grace: Duration(5 * time.Second), Phases: []Phase{{Kind: Ramp},
		{Kind: Open, Rate: 100, Duration: Duration(12 * time.Second), Payload: numbered},
		{Kind: Closed, Duration: Duration(awhile), Payload: numbered}}}
	r, err := Run(t.Context(), plan, Options{Agents: hosts, Observer: lose})
	if err != nil {
		t.Fatal(err)
	}
	open, closed := &r.Phases[1], &r.Phases[2]
	if r.Agents[0].Lost != nil || r.Agents[1].Lost == nil || r.Agents[1].Lost.Phase != "open" || r.Agents[1].Lost.At <= 0 ||
		!strings.Contains(r.Agents[1].Lost.Why, "its connection has ended") {
		t.Errorf("%+v", r.Agents)
	}
	if told := open.Agents[1]; !told.Missing || told.Events == 0 || open.Agents[0].Events != 600 || open.Up != 10+told.Up {
		t.Errorf("%+v, %d up", open.Agents, open.Up)
	}
	if !strings.Contains(open.Unreached, "agent two, with 10 of 20 clients, was lost after") ||
		!strings.Contains(closed.Unreached, `agent two, with 10 of 20 clients, is missing: it was lost in phase "open"`) {
		t.Errorf("%q, %q", open.Unreached, closed.Unreached)
	}
	if closed.Up != 10 || closed.Messages == 0 || closed.Faults() != 0 {
		t.Errorf("%d up, %+v", closed.Up, closed.Counts)
	}
	if r.Unreached() == nil {
		t.Error("no error for the exit status")
	}
}

// Publishes do not wait for an agent that is lost in their midst.
func TestAgentLostInFanout(t *testing.T) {
	t.Parallel()
	for _, phase := range []Phase{publishPhase(20), {Kind: Open, Rate: 100, Duration: Duration(time.Second), Payload: numbered, PublishRate: 20, PublishBytes: 100}} {
		hosts := agentsHere(t, "one", "two")
		s := start(t, &testServer{skip: func(_, publish int) int {
			if publish == 3 {
				hosts[1].Conn.Close()
			}
			return 1
		}})
		plan := &Plan{Targets: []string{s.url()}, Clients: 10, Publish: []string{s.publisher()}, Grace: Duration(time.Hour), Phases: []Phase{{Kind: Ramp}, phase}}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		r, err := Run(ctx, plan, Options{Agents: hosts})
		if err != nil || r.Interrupted {
			t.Fatalf("%s: %v, %+v", phase.Kind, err, r)
		}
		p := &r.Phases[1]
		if p.Publishes != 20 || p.Agents[0].Up != 5 || p.Deliveries < 20*5 || !strings.Contains(p.Unreached, "agent two") || r.Agents[0].Lost != nil {
			t.Errorf("%s: %d publishes, %d deliveries, %+v, %q", phase.Kind, p.Publishes, p.Deliveries, p.Agents, p.Unreached)
		}
	}
}

// With its last agent a run ends, and has its report.
func TestAllAgentsLost(t *testing.T) {
	t.Parallel()
	s := start(t, &testServer{})
	hosts := agentsHere(t, "one", "two")
	lose := &losing{phase: "hold", lose: func() { hosts[0].Conn.Close(); hosts[1].Conn.Close() }}
	plan := &Plan{Targets: []string{s.url()}, Clients: 4, Phases: []Phase{{Kind: Ramp}, {Kind: Hold, Duration: Duration(time.Hour)}}}
	r, err := Run(t.Context(), plan, Options{Agents: hosts, Observer: lose})
	if err == nil || !strings.Contains(err.Error(), "all agents are lost") || len(r.Phases) != 2 || r.Phases[0].Up != 4 {
		t.Errorf("%v, %+v", err, r)
	}
}

// What an agent lacks is said before the first connection.
func TestAgentLimits(t *testing.T) {
	t.Parallel()
	s := start(t, &testServer{})
	for _, c := range []struct {
		plan Plan
		want string
	}{
		{Plan{Clients: 1}, "1 clients are fewer than the 2 agents"},
		{Plan{Clients: 10, Sources: []string{"198.51.100.1-198.51.100.3"}}, "agent two: none of the sources, 198.51.100.1 to 198.51.100.3, is an address of this host"},
		{Plan{Clients: 1_000_000, Workers: 1}, "agent one: 1 workers hold at most"},
		{Plan{Clients: 10, PIDs: []int{999999999}}, "no process 999999999"},
	} {
		c.plan.Targets, c.plan.Phases = []string{s.url()}, []Phase{{Kind: Ramp}}
		r, err := Run(t.Context(), &c.plan, Options{Agents: agentsHere(t, "one", "two")})
		if r != nil || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
	if n := s.opened.Load(); n != 0 {
		t.Errorf("%d connections", n)
	}
}

// An agent gets nothing that only its coordinator needs.
func TestAgentKnowsNoSecrets(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	asked := make(chan string, 1)
	go func() {
		dec := json.NewDecoder(far)
		for {
			var text json.RawMessage
			if dec.Decode(&text) != nil {
				return
			}
			if strings.Contains(string(text), `"check"`) {
				asked <- string(text)
				far.Close()
			}
		}
	}()
	plan := &Plan{Targets: []string{"ws://127.0.0.1:1/"}, Clients: 1, Publish: []string{"http://127.0.0.1:1/secret"},
		PublishHeader: []string{"Authorization: secret"}, Header: []string{"Cookie: secret"}, Metrics: []string{"http://127.0.0.1:1/secret"}, Phases: []Phase{{Kind: Ramp}}}
	_, err := Run(t.Context(), plan, Options{Agents: []Agent{{Name: "one", Conn: near}}})
	if err == nil || !strings.Contains(err.Error(), "agent one: its connection has ended") {
		t.Error(err)
	}
	if text := <-asked; strings.Contains(text, "secret") {
		t.Error(text)
	}
}
