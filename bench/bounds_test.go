package bench

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"wsd/bench/report"
	"wsd/conn"
)

// What the generator is too late for is sent for a while, and the remainder
// counted: every request that was due is one or the other.
func TestCatchingUpHasABound(t *testing.T) {
	s := start(t, &testServer{})
	for _, c := range []struct {
		ph  Phase
		due uint64
	}{
		{Phase{Kind: Open, Rate: 5e6, Duration: Duration(200 * time.Millisecond), Payload: numbered}, 1_000_000},
		{Phase{Kind: Open, Interval: Duration(20 * time.Microsecond), Duration: Duration(200 * time.Millisecond), Payload: numbered}, 1_000_000},
	} {
		_, r := attacked(t, s.url(), Plan{Clients: 100}, c.ph, nil)
		n := r.Counts.Sent + r.Counts.Unsent
		if r.Counts.Overdue == 0 || r.Counts.Overdue > r.Counts.Unsent || n < c.due*9/10 || n > c.due*11/10 {
			t.Errorf("rate %v: %d due, not %d: %d sent, %d unsent, %d overdue", c.ph.Rate, n, c.due, r.Counts.Sent, r.Counts.Unsent, r.Counts.Overdue)
		}
	}
	_, p := load(t, s, Plan{Clients: 10, Grace: Duration(50 * time.Millisecond)}, Phase{Kind: Open, Rate: 5e6, Duration: Duration(100 * time.Millisecond), Payload: numbered})
	if text := p["open"].Unreached; !strings.Contains(text, "of 500,000 requests that were due were not sent") {
		t.Errorf("%q", text)
	}
}

// An interruption ends even a phase that is catching up, and there are figures.
func TestInterruptCatchingUp(t *testing.T) {
	s := start(t, &testServer{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p := &Plan{Targets: []string{s.url()}, Clients: 10, Grace: Duration(time.Hour), Phases: []Phase{
		{Kind: Ramp}, {Kind: Open, Rate: 1e9, Duration: Duration(200 * time.Millisecond), Payload: numbered}}}
	ended := make(chan *report.Report, 1)
	go func() {
		r, err := Run(ctx, p, Options{Observer: &until{ok: answered, cancel: cancel}})
		if err != nil {
			t.Error(err)
		}
		ended <- r
	}()
	select {
	case r := <-ended:
		if open := &r.Phases[1]; open.Sent == 0 || open.Overdue == 0 || !open.Interrupted {
			t.Errorf("%+v", open.Counts)
		}
	case <-time.After(2 * time.Minute):
		t.Fatal("the run does not end")
	}
}

// A ramp that has a bound says what it did not reach, and nobody goes on
// connecting beside the next phase.
func TestRampOutOfTime(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	n := 0
	s := start(t, &testServer{refuse: func(int) *conn.HTTPError {
		mu.Lock()
		defer mu.Unlock()
		if n++; n > 5 {
			return &conn.HTTPError{Status: 503, Reason: "full"}
		}
		return nil
	}})
	p := &Plan{Targets: []string{s.url()}, Clients: 10, Retries: 100, Phases: []Phase{
		{Kind: Ramp, Duration: Duration(3 * time.Second)}, hold(awhile)}}
	r, err := Run(t.Context(), p, Options{})
	if err != nil {
		t.Fatal(err)
	}
	ramp, after := &r.Phases[0], &r.Phases[1]
	if ramp.Up != 5 || ramp.Failed != 5 || !strings.Contains(ramp.Unreached, "5 of 10 clients are up: its bound of 3s was over") {
		t.Errorf("%d up, %q, %+v", ramp.Up, ramp.Unreached, ramp.Counts)
	}
	if after.Statuses["503"] != 0 || after.Failed != 0 || after.Unreached != "" {
		t.Errorf("connecting goes on: %+v", after.Counts)
	}
	if err := r.Unreached(); err == nil || !strings.Contains(err.Error(), `phase "ramp": 5 of 10`) {
		t.Error(err)
	}
	for name, write := range map[string]func(io.Writer) error{"page": r.WriteHTML, "table": func(w io.Writer) error { r.WriteTable(w); return nil }} {
		var b strings.Builder
		if write(&b); !strings.Contains(b.String(), "5 of 10 clients are up") {
			t.Errorf("the %s does not say so", name)
		}
	}
}

// Without a bound a phase goes on as long as it gets on.
func TestStalls(t *testing.T) {
	var p progress
	const second = int64(time.Second)
	for now := second; now < 3600*second; now += 50 * second {
		if p.stalls(int(now/second), now, 60*second) {
			t.Fatalf("after %d s", now/second)
		}
	}
	last := p.at
	if p.stalls(10, last+60*second, 60*second) || !p.stalls(10, last+61*second, 60*second) || !p.stalled {
		t.Error("no progress for a minute")
	}
	plan := &Plan{HandshakeTimeout: Duration(10 * time.Second)}
	if n := stall(plan, &Phase{Rate: .01, Spread: Duration(time.Minute)}); n < 320*second {
		t.Errorf("a connection each 100 s stalls after %d s", n/second)
	}
	for _, ph := range []Phase{{Kind: Ramp}, {Kind: Storm, Share: 1}, {Kind: Publish, PublishBytes: 100}} {
		plan := Plan{Targets: []string{"ws://a/"}, Clients: 1, Publish: []string{"http://a/"}, Phases: []Phase{ph}}
		if err := plan.Complete(); err != nil || plan.Phases[0].Duration != 0 {
			t.Errorf("%s: bound of %v, %v", ph.Kind, plan.Phases[0].Duration, err)
		}
	}
}

// trickling publishes to one client after the other, some time apart; answer is
// when the publish call is answered.
func trickling(t *testing.T, s *testServer, gap time.Duration, answerLast bool) string {
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := make([]byte, r.ContentLength)
		io.ReadFull(r.Body, body)
		s.mu.Lock()
		var all []net.Conn
		for c := range s.conns {
			all = append(all, c)
		}
		s.mu.Unlock()
		send := func() {
			for _, c := range all {
				time.Sleep(gap)
				c.Write(conn.AppendFrame(nil, ws.OpBinary, body))
			}
		}
		if answerLast {
			send()
		} else {
			go send()
		}
	}))
	t.Cleanup(h.Close)
	return h.URL
}

// Deliveries are waited for while they come, whoever is answered first.
func TestDeliveriesAreWaitedFor(t *testing.T) {
	t.Parallel()
	for _, answerLast := range []bool{false, true} {
		t.Run(fmt.Sprintf("answered last %v", answerLast), func(t *testing.T) {
			t.Parallel()
			s := start(t, &testServer{})
			// A machine that stops for seconds must not look like a server that is silent.
			opt := Options{callTimeout: 5 * time.Second}
			_, p := loadWith(t, s, opt, Plan{Clients: 6, Grace: Duration(5 * time.Second),
				Publish: []string{trickling(t, s, time.Second, answerLast)}}, publishPhase(1))
			wantClean(t, p["publish"])
			if p["publish"].Deliveries != 6 || p["publish"].Unreached != "" {
				t.Errorf("%d delivered, %q", p["publish"].Deliveries, p["publish"].Unreached)
			}
		})
	}
}

// A publish call that is not answered while nothing comes in is given up.
func TestPublishCallStalls(t *testing.T) {
	t.Parallel()
	h := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	defer h.Close()
	s := start(t, &testServer{})
	p := &Plan{Targets: []string{s.url()}, Clients: 2, Publish: []string{h.URL}, Grace: Duration(50 * time.Millisecond),
		Phases: []Phase{{Kind: Ramp}, publishPhase(3)}}
	r, err := Run(t.Context(), p, Options{callTimeout: 200 * time.Millisecond})
	if err == nil || !strings.Contains(err.Error(), "no answer, and nothing delivered") || len(r.Phases) != 2 {
		t.Fatal(err)
	}
	if text := r.Phases[1].Unreached; !strings.Contains(text, "1 of 3 messages were published") {
		t.Errorf("%q", text)
	}
}

// A worker that dies takes its own report along, not what is known of the phase.
func TestFiguresOutliveAWorker(t *testing.T) {
	t.Parallel()
	s := start(t, &testServer{})
	var started []*exec.Cmd
	worker := func() (*exec.Cmd, error) {
		cmd, err := selfAsWorker()
		started = append(started, cmd)
		return cmd, err
	}
	p := &Plan{Targets: []string{s.url()}, Clients: 10, Workers: 2, Groups: []Group{{Behaviour: "half-frame", Count: 2}},
		Phases: []Phase{{Kind: Ramp}, {Kind: Open, Rate: 200, Duration: Duration(time.Hour), Payload: numbered}}}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r, err := Run(t.Context(), p, Options{Worker: worker, Observer: &killer{kill: func() { started[0].Process.Kill() }}})
		if err == nil || len(r.Phases) != 2 {
			t.Errorf("%v, %+v", err, r)
			return
		}
		if open := &r.Phases[1]; open.Messages == 0 || open.Latency.Count() == 0 || open.Up == 0 || !strings.Contains(open.Unreached, "of 2 workers did not report") {
			t.Errorf("%d up, %q, %+v", open.Up, open.Unreached, open.Counts)
		}
	}()
	select {
	case <-ended:
	case <-time.After(2 * time.Minute):
		t.Fatal("the other worker goes on for its hour")
	}
}

type killer struct {
	noObserver
	kill func()
}

func (k *killer) Progress(p *report.Progress) {
	if p.Counts.Messages > 0 {
		k.kill()
	}
}
