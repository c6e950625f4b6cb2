package bench

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"wsd/bench/report"
)

// The test binary is also its own worker.
func TestMain(m *testing.M) {
	if os.Getenv("WSD_BENCH_TEST_WORKER") != "" {
		if err := Work(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	flag.Set("test.parallel", "8") // runs wait most of their time; the command line goes before it
	os.Exit(m.Run())
}

func selfAsWorker() (*exec.Cmd, error) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "WSD_BENCH_TEST_WORKER=1")
	return cmd, nil
}

// lossGrace is for plans some of whose answers never come.
const lossGrace = Duration(5 * time.Second)

// load runs a plan against s, ramp first, and returns its phases by name. Where
// answers are to be lost the plan says for how long they are waited for.
func load(t *testing.T, s *testServer, p Plan, phases ...Phase) (*report.Report, map[string]*report.Phase) {
	t.Helper()
	return loadWith(t, s, Options{}, p, phases...)
}

func loadWith(t *testing.T, s *testServer, opt Options, p Plan, phases ...Phase) (*report.Report, map[string]*report.Phase) {
	t.Helper()
	p.Targets = append(p.Targets, s.url())
	p.Phases = append([]Phase{{Kind: Ramp}}, phases...)
	if p.Grace == 0 {
		p.Grace = Duration(20 * time.Second)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if u, ok := opt.Observer.(*until); ok {
		u.cancel = cancel
	}
	opt.Worker = selfAsWorker
	r, err := Run(ctx, &p, opt)
	if err != nil {
		t.Fatal(err)
	}
	byName := make(map[string]*report.Phase)
	for i := range r.Phases {
		byName[r.Phases[i].Name] = &r.Phases[i]
	}
	return r, byName
}

// requests are numbered, so that what happens to each can be told.
const numbered = `{"a":"b","seq":{seq}}`

// awhile is long enough for something to happen in it on a machine that stands still by turns.
const awhile = time.Second

func closedLoop(active int) Phase {
	return Phase{Kind: Closed, Active: active, Duration: Duration(awhile), Payload: numbered}
}

func openLoop(rate float64) Phase {
	return Phase{Kind: Open, Rate: rate, Duration: Duration(300 * time.Millisecond), Payload: numbered}
}

func wantClean(t *testing.T, p *report.Phase) {
	t.Helper()
	if p.Faults() != 0 || p.Late != 0 || p.Unsolicited != 0 || p.Unsent != 0 || p.Retries != 0 {
		t.Errorf("phase %s: %+v", p.Name, p.Counts)
	}
}

// What the generator counted is what the server counted.
func TestCountsAreTheServers(t *testing.T) {
	for _, workers := range []int{1, 3} {
		t.Run(fmt.Sprint(workers), func(t *testing.T) {
			t.Parallel()
			s := start(t, &testServer{})
			depth := closedLoop(20)
			depth.Name, depth.Depth, depth.Bytes, depth.Payload = "deep", 4, 1000, ""
			beats := Phase{Name: "beats", Kind: Open, Interval: Duration(100 * time.Millisecond), Jitter: Duration(20 * time.Millisecond),
				Duration: Duration(500 * time.Millisecond), Payload: "same each time", Expect: "same"}
			r, p := load(t, s, Plan{Clients: 50, Workers: workers}, Phase{Kind: Hold, Duration: Duration(10 * time.Millisecond)},
				closedLoop(30), depth, openLoop(2000), beats)
			if r.Workers != workers {
				t.Errorf("%d workers", r.Workers)
			}
			var sent, messages uint64
			for _, ph := range p {
				wantClean(t, ph)
				sent += ph.Sent
				messages += ph.Messages
			}
			if n := uint64(s.messages.Load()); n != sent || n != messages {
				t.Errorf("server counted %d messages, generator sent %d and has answers to %d", n, sent, messages)
			}
			if s.opened.Load() != 50 || p["ramp"].Handshakes != 50 || p["open"].Up != 50 {
				t.Errorf("server has %d connections, generator %d handshakes, %d up", s.opened.Load(), p["ramp"].Handshakes, p["open"].Up)
			}
			// The schedule says how many, not the server.
			if p["open"].Sent != 600 {
				t.Errorf("open loop of 2000/s for 0.3 s sent %d", p["open"].Sent)
			}
			if n := p["beats"].Sent; n < 150 || n > 300 {
				t.Errorf("50 clients with a beat each 0.1 s for 0.5 s sent %d", n)
			}
			for name, h := range map[string]*report.Hist{
				"connect": p["ramp"].Connect, "upgrade": p["ramp"].Upgrade, "handshake": p["ramp"].Latency} {
				if h.Count() != 50 {
					t.Errorf("%s has %d values", name, h.Count())
				}
			}
		})
	}
}

// A server that takes its time is reported to take that time.
func TestDelay(t *testing.T) {
	t.Parallel()
	const delay = 30 * time.Millisecond
	s := start(t, &testServer{delay: delay})
	_, p := load(t, s, Plan{Clients: 20, Grace: Duration(10 * time.Second)}, openLoop(200), closedLoop(20))
	for _, name := range []string{"open", "closed"} {
		wantClean(t, p[name])
		if low := time.Duration(p[name].Latency.Min()); low < delay {
			t.Errorf("%s: a latency of %v is below the server's delay", name, low)
		}
	}
	// Each client is at its next request after the delay, not before.
	if most := uint64(20 * (awhile/delay + 1)); p["closed"].Messages > most {
		t.Errorf("closed loop had %d answers, %d are possible", p["closed"].Messages, most)
	}
	if u := p["open"].Uncorrected; u.Min() < int64(delay) || u.Count() != p["open"].Latency.Count() {
		t.Errorf("uncorrected: %d values from %v", u.Count(), time.Duration(u.Min()))
	}
}

// Requests that leave late count from when they were due.
func TestLagIsNotForgiven(t *testing.T) {
	t.Parallel()
	s := start(t, &testServer{})
	const late = 200 * time.Millisecond
	results := make(chan *WorkerResult, 2)
	part := Part{Plan: Plan{Targets: []string{s.url()}, Clients: 10, Phases: []Phase{{Kind: Ramp}, openLoop(1000)}}, Workers: 1}
	part.Plan.Phases[1].Duration = Duration(300 * time.Millisecond)
	if err := part.Plan.Complete(); err != nil {
		t.Fatal(err)
	}
	part.Targets, _ = parseTargets(t.Context(), part.Plan.Targets)
	w, err := startLocal(part, func(ev event) {
		if ev.Result != nil {
			results <- ev.Result
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	w.post(command{Start: &startCommand{Phase: 0, At: w.engine.clock.now(), PublishBase: 1}})
	<-results
	// The phase began a while ago: the generator is behind its schedule.
	w.post(command{Start: &startCommand{Phase: 1, At: w.engine.clock.now() - int64(late), PublishBase: 1}})
	r := <-results
	w.post(command{Quit: true})
	if err := w.wait(); err != nil {
		t.Fatal(err)
	}
	if r.Counts.Sent != 300 || r.Counts.Messages != 300 {
		t.Errorf("sent %d, answered %d of 300", r.Counts.Sent, r.Counts.Messages)
	}
	if r.Lag.Max() < int64(late) || r.Latency.Max() < int64(late) {
		t.Errorf("lag up to %v, latency up to %v: both are above %v", time.Duration(r.Lag.Max()), time.Duration(r.Latency.Max()), late)
	}
	for _, q := range []float64{.1, .5, .9, 1} {
		if r.Uncorrected.Quantile(q) > r.Latency.Quantile(q) {
			t.Errorf("at %v the uncorrected latency is the larger one", q)
		}
	}
	whole := report.Report{Phases: []report.Phase{{Name: "x", Kind: Open}}}
	merge(&whole.Phases[0], []*WorkerResult{r})
	if whole.Judge(); len(whole.Limits) == 0 {
		t.Error("a generator that far behind is not called limited")
	}
}

// The end of the context is the end of the phase, and there is a report.
func TestInterrupt(t *testing.T) {
	for _, workers := range []int{1, 2} {
		t.Run(fmt.Sprint(workers), func(t *testing.T) {
			t.Parallel()
			s := start(t, &testServer{})
			ctx, cancel := context.WithCancel(t.Context())
			p := &Plan{Targets: []string{s.url()}, Clients: 10, Workers: workers, Phases: []Phase{
				{Kind: Ramp}, {Name: "long", Kind: Open, Rate: 100, Duration: Duration(time.Hour), Bytes: 20}, {Kind: Hold, Duration: Duration(time.Hour)}}}
			r, err := Run(ctx, p, Options{Worker: selfAsWorker, Observer: &until{ok: answered, cancel: cancel}})
			if err != nil {
				t.Fatal(err)
			}
			if !r.Interrupted || len(r.Phases) != 2 || !r.Phases[1].Interrupted {
				t.Errorf("interrupted %v, %d phases", r.Interrupted, len(r.Phases))
			}
			if long := &r.Phases[1]; long.Messages == 0 || long.Seconds > 60 {
				t.Errorf("%d answers in %v s", long.Messages, long.Seconds)
			}
		})
	}
}

// until ends a run as soon as what ok looks for is seen; it looks once a second.
type until struct {
	noObserver
	begin  func(phase string) // may be nil
	ok     func(p *report.Progress) bool
	cancel func()
}

func (u *until) Begin(phase string) {
	if u.begin != nil {
		u.begin(phase)
	}
}

func (u *until) Progress(p *report.Progress) {
	if u.ok(p) {
		u.cancel()
	}
}

// onHold is what to do as the hold begins.
func onHold(do func()) func(phase string) {
	return func(phase string) {
		if phase == "hold" {
			do()
		}
	}
}

func answered(p *report.Progress) bool { return p.Counts.Messages > 0 }

// A worker that does not start, or ends too soon, ends the run.
func TestWorkerDies(t *testing.T) {
	t.Parallel()
	s := start(t, &testServer{})
	for name, worker := range map[string]func() (*exec.Cmd, error){
		"no such program": func() (*exec.Cmd, error) { return exec.Command("/nowhere/wsd"), nil },
		"ends at once":    func() (*exec.Cmd, error) { return exec.Command("true"), nil },
		"not given":       nil,
	} {
		p := &Plan{Targets: []string{s.url()}, Clients: 4, Workers: 2, Phases: []Phase{{Kind: Ramp}}}
		if _, err := Run(t.Context(), p, Options{Worker: worker}); err == nil || !strings.Contains(err.Error(), "worker") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A run leaves neither goroutines nor descriptors behind.
func TestNothingLeaks(t *testing.T) {
	s := start(t, &testServer{})
	short := closedLoop(20)
	short.Duration = Duration(20 * time.Millisecond)
	once := func(workers int) { load(t, s, Plan{Clients: 20, Workers: workers}, short) }
	once(1)
	once(2)
	settled := func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.conns) == 0 }
	await(t, settled)
	fds := descriptors(t)
	goroutines := runtime.NumGoroutine()
	for range 3 {
		once(1)
		once(2)
	}
	await(t, func() bool {
		return settled() && descriptors(t) <= fds && runtime.NumGoroutine() <= goroutines
	})
}

// descriptors is how many this process has open.
func descriptors(t *testing.T) int {
	t.Helper()
	self, err := proc.Self()
	if err != nil {
		t.Fatal(err)
	}
	n, err := self.FileDescriptorsLen()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Messages larger than any socket buffer go out and come in by pieces.
func TestLargeMessages(t *testing.T) {
	t.Parallel()
	s := start(t, &testServer{})
	large := Phase{Kind: Closed, Bytes: 900_000, Depth: 3, Duration: Duration(awhile)}
	_, p := load(t, s, Plan{Clients: 4, Grace: Duration(20 * time.Second)}, large)
	wantClean(t, p["closed"])
	if c := p["closed"]; c.Messages == 0 || c.Messages != uint64(s.messages.Load()) || c.BytesIn != c.Messages*900_000 {
		t.Errorf("server has %d messages: %+v", s.messages.Load(), c.Counts)
	}
}
