package bench

import (
	"net"
	"strings"
	"testing"
	"time"

	"wsd/bench/report"
	"wsd/conn"
)

// Attempts that fail are counted by what failed, and tried again.
func TestHandshakeFailures(t *testing.T) {
	t.Parallel()
	s := start(t, &testServer{refuse: func(n int) *conn.HTTPError {
		if n <= 3 {
			return &conn.HTTPError{Status: 503, Reason: "full"}
		}
		return nil
	}})
	_, p := load(t, s, Plan{Clients: 5})
	ramp := p["ramp"]
	if ramp.Statuses["503"] != 3 || ramp.Retries != 3 || ramp.Failed != 0 || ramp.Handshakes != 5 || ramp.Up != 5 {
		t.Errorf("%d up, %+v", ramp.Up, ramp.Counts)
	}

	s = start(t, &testServer{hangUp: func(n int) bool { return n%2 == 1 }})
	_, p = load(t, s, Plan{Clients: 10})
	ramp = p["ramp"]
	if ramp.Up != 10 || ramp.Retries == 0 || ramp.Errors["EOF"]+ramp.Errors["ECONNRESET"]+ramp.Errors["EPIPE"] != ramp.Retries {
		t.Errorf("%d up, %+v", ramp.Up, ramp.Counts)
	}
}

// Clients that never get in are given up on; when nobody is in, the run ends
// with the reason, and what there is gets reported.
func TestNobodyListens(t *testing.T) {
	t.Parallel()
	// Port 1: a port given back may be the next one that another test listens on.
	p := &Plan{Targets: []string{"ws://127.0.0.1:1/"}, Clients: 4, Retries: 1, Phases: []Phase{{Kind: Ramp}, closedLoop(4)}}
	r, err := Run(t.Context(), p, Options{})
	if err == nil || !strings.Contains(err.Error(), `phase "ramp": no client could connect, 8 attempts failed: ECONNREFUSED`) {
		t.Error(err)
	}
	if r == nil || len(r.Phases) != 1 {
		t.Fatalf("%+v", r)
	}
	ramp := &r.Phases[0]
	if ramp.Failed != 4 || ramp.Retries != 4 || ramp.Errors["ECONNREFUSED"] != 8 || ramp.Up != 0 {
		t.Errorf("%d up, %+v", ramp.Up, ramp.Counts)
	}
}

// A server that accepts and then says nothing runs into the handshake's time-out.
func TestHandshakeTimeout(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := &Plan{Targets: []string{"ws://" + l.Addr().String() + "/"}, Clients: 2, Retries: 1,
		HandshakeTimeout: Duration(50 * time.Millisecond), Phases: []Phase{{Kind: Ramp}}}
	r, err := Run(t.Context(), p, Options{})
	if err == nil || !strings.Contains(err.Error(), "handshake timed out") {
		t.Fatal(err)
	}
	if ramp := &r.Phases[0]; ramp.Failed != 2 || ramp.Errors["handshake timed out"] != 4 {
		t.Errorf("%+v", ramp.Counts)
	}
}

// A storm drops its share at once, and everybody is back at its end.
func TestStorm(t *testing.T) {
	t.Parallel()
	s := start(t, &testServer{})
	r, p := load(t, s, Plan{Clients: 40},
		Phase{Kind: Storm, Share: .5, Spread: Duration(100 * time.Millisecond)}, closedLoop(40))
	storm := p["storm"]
	if storm.Latency.Count() != 20 || storm.Handshakes != 20 || storm.Up != 40 || storm.Faults() != 0 {
		t.Errorf("%d back, %d up, %+v", storm.Latency.Count(), storm.Up, storm.Counts)
	}
	var b strings.Builder
	if r.WriteTable(&b); !strings.Contains(b.String(), "50 % were back after") {
		t.Errorf("%q", b.String())
	}
	if s.opened.Load() != 60 {
		t.Errorf("server had %d connections, not 40 and 20", s.opened.Load())
	}
	wantClean(t, p["closed"])
}

// Churn replaces clients without an error on either side.
func TestChurn(t *testing.T) {
	t.Parallel()
	s := start(t, &testServer{})
	churn := closedLoop(20)
	churn.Churn = Duration(100 * time.Millisecond)
	_, p := load(t, s, Plan{Clients: 20}, churn, Phase{Kind: Ramp, Name: "again"}, Phase{Kind: Hold, Duration: Duration(50 * time.Millisecond)})
	if p["closed"].Handshakes == 0 || p["closed"].Faults() != 0 {
		t.Errorf("%+v", p["closed"].Counts)
	}
	if p["hold"].Up != 20 || p["hold"].Faults() != 0 {
		t.Errorf("%d up, %+v", p["hold"].Up, p["hold"].Counts)
	}
	await(t, func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.conns) == 0 })
	for _, err := range s.ended {
		if ce, ok := err.(*conn.CloseError); ok && ce.Code != 1000 {
			t.Errorf("server saw %v", err)
		}
	}
}

// Clients that the server closed come back if the plan says so.
func TestReconnect(t *testing.T) {
	t.Parallel()
	s := start(t, &testServer{})
	back := &until{
		begin: onHold(func() { s.each(func(c net.Conn, _ int) { c.Close() }) }),
		ok:    func(p *report.Progress) bool { return p.Phase == "hold" && p.Counts.Handshakes == 6 },
	}
	_, p := loadWith(t, s, Options{Observer: back}, Plan{Clients: 6, Reconnect: true}, hold(time.Minute))
	if hold := p["hold"]; hold.UnexpectedCloses != 6 || hold.Handshakes != 6 || hold.Up != 6 {
		t.Errorf("%d up, %+v", hold.Up, hold.Counts)
	}
}

// Every source and every target gets its part.
func TestRoutes(t *testing.T) {
	t.Parallel()
	s := start(t, &testServer{})
	var mu = &s.mu
	_, p := load(t, s, Plan{Clients: 12, Sources: []string{"127.0.3.1-127.0.3.3"}, Targets: []string{s.url()}},
		Phase{Kind: Hold, Duration: Duration(10 * time.Millisecond)})
	wantClean(t, p["ramp"])
	e, err := newEngine(Part{Plan: Plan{Clients: 12}, Workers: 1,
		Targets: make([]target, 2), Sources: loopbackSources(3 * clientsPerSource)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer e.close()
	mu.Lock()
	defer mu.Unlock()
	seen := make(map[string]int)
	for i := range e.clients {
		to, from := e.route(uint32(i), &e.clients[i])
		which := "a"
		if to == &e.targets[1] {
			which = "b"
		}
		seen[which+from.Addr().String()]++
	}
	if len(seen) != 6 {
		t.Errorf("12 clients over 2 targets and 3 sources: %v", seen)
	}
}

// What does not fit is said before anything is connected, with what to do.
func TestPreflight(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		plan Plan
		want []string
	}{
		{Plan{Targets: []string{"ws://127.0.0.1:1/"}, Clients: 200000, Sources: []string{"127.0.0.1"}}, []string{"do not fit", "local ports", "use ", "sources"}},
		{Plan{Targets: []string{"ws://127.0.0.1:1/"}, Clients: 10, Sources: []string{"192.0.2.1"}}, []string{"192.0.2.1", "no address of this machine"}},
		{Plan{Targets: []string{"ws://127.0.0.1:1/"}, Clients: 10000000, Workers: 1}, []string{"1 workers", "descriptor"}},
		{Plan{Targets: []string{"wss://127.0.0.1:1/"}, Clients: 1}, []string{"wss://", "TLS"}},
		{Plan{Targets: []string{"http://127.0.0.1:1/"}, Clients: 1}, []string{"http://", "ws://host:port/path"}},
		{Plan{Clients: 1}, []string{"URL"}},
		{Plan{Targets: []string{"ws://127.0.0.1:1/"}, Clients: 1, Sources: []string{"here"}}, []string{`"here"`, "127.0.1.0/24"}},
		{Plan{Targets: []string{"ws://127.0.0.1:1/"}, Clients: 1, Groups: []Group{{Behaviour: "nice", Count: 1}}}, []string{`"nice"`, "slow-reader"}},
	} {
		c.plan.Phases = []Phase{{Kind: Ramp}}
		_, err := Run(t.Context(), &c.plan, Options{})
		if err == nil {
			t.Errorf("%+v was run", c.plan)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%q does not say %q", err, w)
			}
		}
	}
}

// A metrics page that says nothing of the process is told before the run.
func TestMetricsThatSayNothing(t *testing.T) {
	if w := checkMetrics([]string{"http://127.0.0.1:1/metrics"}); len(w) != 1 || !strings.Contains(w[0], "http://127.0.0.1:1/metrics") {
		t.Errorf("%q", w)
	}
}
