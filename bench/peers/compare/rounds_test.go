package main

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"wsd/bench/peers/fleet"
)

// scripted is a Loader that notes whom it was sent to and reports the same
// each time, or fails for one server.
type scripted struct {
	asked  []string
	fail   string
	cancel func() // called at the fourth load
}

func (s *scripted) Load(_ context.Context, l Load) (Report, error) {
	s.asked = append(s.asked, l.Label)
	if s.cancel != nil && len(s.asked) == 4 {
		s.cancel()
	}
	if s.fail != "" && strings.HasPrefix(l.Label, s.fail) {
		return Report{}, errors.New("no such luck")
	}
	rep := Report{Phases: make(map[string]Phase)}
	for _, step := range l.Steps {
		rep.Phases[step.Name] = Phase{Seconds: 1, Count: 10, ServerRSS: 1 << 30}
	}
	return rep, nil
}

func fakeServers(t *testing.T) []Server {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(fakeWsd, "1")
	argv := []string{self, "serve", "--listen", "{listen}", "--admin", "{admin}"}
	return []Server{{Name: "a", Argv: argv, Action: argv}, {Name: "b", Argv: argv}, {Name: "c", Argv: argv}}
}

func testDriver(t *testing.T, s *scripted) *driver {
	return &driver{
		// Addresses where no outgoing connection takes a port away.
		plan:   Plan{Rounds: 2, Clients: 10, Active: 5, Rate: 10, Phase: time.Second, Publishes: 1, ServerCPU: -1, Listen: "127.0.68.1:18266", Admin: "127.0.68.1:18267"},
		loader: s,
		log:    t.Output(),
	}
}

// Servers take turns, each round begins one later, and each has two runs, or three
// if it has an action.
func TestInterleaved(t *testing.T) {
	s := &scripted{fail: "b"}
	d := testDriver(t, s)
	servers := fakeServers(t)
	d.run(t.Context(), servers)
	want := strings.Fields("a.1.ws a.1.echo a.1.action b.1.ws c.1.ws c.1.echo b.2.ws c.2.ws c.2.echo a.2.ws a.2.echo a.2.action")
	if !slices.Equal(s.asked, want) {
		t.Errorf("loads %v, want %v", s.asked, want)
	}
	r := d.result(servers)
	if got := names(r); !slices.Equal(got, []string{"a", "c"}) {
		t.Errorf("measured %v, want a and c", got)
	}
	for i, has := range []bool{true, false} {
		if _, ok := r.Servers[i].Figures["action_cpu_us"]; ok != has {
			t.Errorf("%s has an action: %v", r.Servers[i].Name, ok)
		}
	}
	for _, p := range []string{"b, round 1: no such luck", "b, round 2: no such luck"} {
		if !slices.Contains(r.Problems, p) {
			t.Errorf("problems %q lack %q", r.Problems, p)
		}
	}
}

// What was measured before an interrupt stands, and the result says so.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := &scripted{cancel: cancel}
	d := testDriver(t, s)
	servers := fakeServers(t)
	d.run(ctx, servers)
	r := d.result(servers)
	if len(r.Servers) == 0 || r.Servers[0].Name != "a" || len(s.asked) > 4 {
		t.Errorf("measured %v with loads %v", names(r), s.asked)
	}
	if !slices.Contains(r.Problems, "stopped in round 1 of 2") {
		t.Errorf("problems %q", r.Problems)
	}
}

// A server that dies under the load is an error with its last words.
func TestServerDies(t *testing.T) {
	d := testDriver(t, nil)
	d.loader = killer{}
	d.plan.Rounds = 1
	d.run(t.Context(), fakeServers(t)[:1])
	if len(d.problems) != 1 || !strings.Contains(d.problems[0], "ended under the load") {
		t.Errorf("problems %q", d.problems)
	}
}

type killer struct{}

func (killer) Load(_ context.Context, l Load) (Report, error) {
	p, err := os.FindProcess(l.PID)
	if err != nil {
		return Report{}, err
	}
	if err := p.Kill(); err != nil {
		return Report{}, err
	}
	return Report{}, errors.New("connection reset")
}

func TestCheck(t *testing.T) {
	before := reading{at: time.Unix(0, 0)}
	after := reading{Usage: fleet.Usage{CPU: time.Second}, host: 3 * time.Second, at: time.Unix(10, 0)}
	l := Load{Label: "x", Steps: []Step{{Name: "one"}, {Name: "two"}}}
	clean := Report{CPU: time.Second, Phases: map[string]Phase{"one": {ServerCPU: 0.5}, "two": {ServerCPU: 0.5}}}
	for want, change := range map[string]func(r *Report, after *reading){
		"":                 func(*Report, *reading) {},
		"bottleneck: slow": func(r *Report, _ *reading) { r.Limits = []string{"slow"} },
		"x, two: lost 3":   func(r *Report, _ *reading) { r.Phases["two"] = Phase{Bad: map[string]float64{"lost": 3}} },
		"says that the server used 1.70 s, /proc says 1s": func(r *Report, _ *reading) { r.Phases["two"] = Phase{ServerCPU: 1.2} },
		"other programs used 40 %":                        func(_ *Report, a *reading) { a.host = 6 * time.Second },
	} {
		var d driver
		d.log = t.Output()
		r, a := clean, after
		r.Phases = map[string]Phase{"one": clean.Phases["one"], "two": clean.Phases["two"]}
		change(&r, &a)
		d.check(l, r, before, a)
		if got := strings.Join(d.problems, "; "); !strings.Contains(got, want) || (want == "") != (got == "") {
			t.Errorf("want %q: %q", want, got)
		}
	}
}
