package hosts

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"wsd/bench/report"
	"wsd/lab"
)

// agentPort is where agents listen.
const agentPort = 8068

// waiting starts an agent on a host, whose monotonic clock is ahead, and returns what
// it logs once it listens.
func waiting(t *testing.T, host *lab.Host, secret string, ahead time.Duration) *os.File {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	args := []string{wsd, "bench", "agent", "--listen=" + host.Addr(agentPort), "--secret-file=" + secret}
	if exec.Command("unshare", "--time", "true").Run() == nil { // a kernel may be without
		args = append([]string{"unshare", "--time", fmt.Sprintf("--monotonic=%d", int(ahead.Seconds())), "--"}, args...)
	}
	cmd := host.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = cmd.Wait() }() // the lab kills it
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the log of the agent on %s:\n%s", host.Name(), read(t, log))
		}
	})
	lab.Within(t, 0, "the agent listens", func() bool { return strings.Contains(read(t, log), "waiting for runs") })
	return log
}

func read(t *testing.T, log *os.File) string {
	t.Helper()
	text, err := os.ReadFile(log.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// agentsNet is a server, beside it the coordinator, and two agents on other hosts,
// whose clocks are not those of the server's.
type agentsNet struct {
	server   *server
	one, two *lab.Host
	logs     [2]*os.File
	secret   string
	clients  int
}

func newAgentsNet(t *testing.T) *agentsNet {
	t.Helper()
	n := lab.New(t)
	a := &agentsNet{one: n.Host("one"), two: n.Host("two"), secret: filepath.Join(t.TempDir(), "secret"), clients: lab.Form(200, 5000)}
	if err := os.WriteFile(a.secret, []byte("only for those of this lab"), 0o600); err != nil {
		t.Fatal(err)
	}
	a.server = serve(t, n.Host("server"))
	a.logs = [2]*os.File{waiting(t, a.one, a.secret, 0), waiting(t, a.two, a.secret, 1000*time.Second)}
	return a
}

// run has both agents carry out a plan, and returns what the coordinator reports and
// said. It is called with what has been said so far until it is done.
func (a *agentsNet) run(t *testing.T, during func(said string) (done bool), args ...string) (*report.Report, string, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "report")
	cmd := a.server.host.Command(wsd, append([]string{"bench", "run", "--url=ws://" + a.server.host.Addr(port) + "/ws", fmt.Sprintf("--clients=%d", a.clients),
		"--agents=" + a.one.IP() + "," + a.two.IP(), "--agents-secret-file=" + a.secret, "--grace=" + lab.Slack.String(),
		"--handshake-timeout=" + lab.Slack.String(), "--publish=" + admin + "/v1/publish?all", "--json=" + file}, args...)...)
	var said text
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if during != nil {
		lab.Within(t, 0, "the run gets so far", func() bool { return during(said.String()) })
	}
	err := cmd.Wait()
	f, openErr := os.Open(file)
	if openErr != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	defer f.Close()
	r, readErr := report.Read(f)
	if readErr != nil {
		t.Fatal(readErr)
	}
	return r, said.String(), err
}

// Agents on two hosts, one behind a long link that loses packets, carry out one plan
// against a server on a third: all that was to be sent was, and arrived, and times
// between the hosts are right, as far as their clocks are known.
func TestBenchAgents(t *testing.T) {
	t.Parallel()
	a := newAgentsNet(t)
	a.two.Link().Delay(20 * time.Millisecond)
	a.two.Link().Loss(2)
	r, said, err := a.run(t, nil, "--hold=0s", "--rate=200", "--duration="+lab.Form("3s", "60s"), "--publishes=5", "--assert=loss=0,closes=0,failed=0")
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	open, fan := &r.Phases[1], &r.Phases[2]
	if sent := uint64(lab.Form(600, 12000)); open.Messages != sent || open.Agents[0].Events != sent/2 || open.Agents[1].Events != sent/2 {
		t.Errorf("%d answers, by agent %+v", open.Messages, open.Agents)
	}
	if fan.Deliveries != uint64(5*a.clients) || fan.ToLast.Count() != 5 || fan.Weakest == "" {
		t.Errorf("%d deliveries, %d messages, weakest %q", fan.Deliveries, fan.ToLast.Count(), fan.Weakest)
	}
	// A clock taken for another would be a thousand seconds off.
	if last := time.Duration(fan.ToLast.Max()); last <= 20*time.Millisecond || last > 5*time.Minute || fan.ClockError <= 0 || fan.ClockError > float64(lab.Slack.Microseconds()) {
		t.Errorf("to the last client: %v, with clocks ± %v µs", last, fan.ClockError)
	}
	if len(r.Agents) != 2 || r.Agents[1].Name != a.two.IP() || r.Agents[1].Clients != a.clients/2 {
		t.Errorf("%+v", r.Agents)
	}
	if c := a.server.counts(); c.Opened != a.clients {
		t.Errorf("the server has opened %d clients, not %d", c.Opened, a.clients)
	}
}

// An agent that is cut off ends neither the run nor what it had told. Its workers end,
// and when the link is whole again it takes the next run.
func TestBenchAgentCutOff(t *testing.T) {
	t.Parallel()
	a := newAgentsNet(t)
	cut, progress := false, regexp.MustCompile(`open \d+s`) // the first after some 5 s
	r, said, err := a.run(t, func(said string) bool {
		if !cut && progress.MatchString(said) {
			a.two.Link().Cut()
			cut = true
		}
		return strings.Contains(said, "agent "+a.two.IP()+" is lost")
	}, "--hold=0s", "--rate=100", "--duration="+lab.Form("12s", "60s"), "--publishes=2")
	if err == nil || !strings.Contains(said, "was lost after") {
		t.Fatalf("%v\n%s", err, said)
	}
	lost := r.Agents[1].Lost
	if lost == nil || lost.Phase != "open" || r.Agents[0].Lost != nil {
		t.Fatalf("lost: %+v\n%s", lost, said)
	}
	open, fan := &r.Phases[1], &r.Phases[2]
	if told := open.Agents[1]; !told.Missing || told.Events == 0 || open.Agents[0].Events != uint64(lab.Form(600, 3000)) {
		t.Errorf("by agent: %+v", open.Agents)
	}
	if fan.Deliveries != uint64(a.clients) || fan.Up != a.clients/2 || !strings.Contains(fan.Unreached, "is missing") {
		t.Errorf("%d up, %d deliveries, %q", fan.Up, fan.Deliveries, fan.Unreached)
	}
	a.two.Link().Heal()
	lab.Within(t, 0, "the agent has given the run up", func() bool { return strings.Contains(read(t, a.logs[1]), "ended before its time") })
	if _, said, err := a.run(t, nil, "--hold=0s", "--closed=10", "--duration=1s", "--publishes=1"); err != nil {
		t.Errorf("the next run: %v\n%s", err, said)
	}
}

// text collects what a program says while it runs.
type text struct {
	mu sync.Mutex
	b  strings.Builder
}

func (t *text) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.Write(p)
}

func (t *text) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}
