//go:build !nocluster && !noembed

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"wsd/bench/agents"
	"wsd/cluster/embed"
)

// agent is a wsd bench agent.
type agent struct {
	t       *testing.T
	cmd     *exec.Cmd
	log     output
	address string
	ended   chan error
}

var listensAt = regexp.MustCompile(`msg="waiting for runs" listen=(\S+)`)

// startAgent starts one, through a shell if there is something to do before.
func startAgent(t *testing.T, before string, args ...string) *agent {
	t.Helper()
	cmd := program(t, nil, append([]string{"bench", "agent", "--listen=127.0.0.1:0"}, args...)...)
	if before != "" {
		cmd.Args = append([]string{"sh", "-c", before + `; exec "$0" "$@"`}, cmd.Args...)
		cmd.Path = "/bin/sh"
	}
	a := &agent{t: t, cmd: cmd, ended: make(chan error, 1)}
	cmd.Stderr = &a.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { a.ended <- cmd.Wait() }()
	t.Cleanup(func() {
		cmd.Process.Kill()
		if t.Failed() {
			t.Logf("the agent's log:\n%s", a.log.String())
		}
	})
	until(t, "the agent listens", func() bool {
		found := listensAt.FindStringSubmatch(a.log.String())
		if found != nil {
			a.address = found[1]
		}
		return found != nil
	})
	return a
}

// says waits for a line of the agent's log.
func (a *agent) says(text string) {
	a.t.Helper()
	until(a.t, fmt.Sprintf("the agent says %q", text), func() bool { return strings.Contains(a.log.String(), text) })
}

// workers are the agent's processes.
func (a *agent) workers() (pids []string) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", a.cmd.Process.Pid))
	for _, file := range tasks {
		text, _ := os.ReadFile(file)
		pids = append(pids, strings.Fields(string(text))...)
	}
	return pids
}

// benchOn starts a bench on agents, and waits until its hold has begun.
func benchOn(t *testing.T, url string, on []*agent, args ...string) (cmd *exec.Cmd, stdout, stderr *output) {
	t.Helper()
	cmd = program(t, nil, append([]string{"bench", "--url=" + url + "/ws", "--agents=" + addresses(on), "--clients=20"}, args...)...)
	stdout, stderr = new(output), new(output)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	until(t, "the hold begins", func() bool { return strings.Contains(stderr.String(), "hold: begins") })
	return cmd, stdout, stderr
}

func addresses(on []*agent) string {
	var all []string
	for _, a := range on {
		all = append(all, a.address)
	}
	return strings.Join(all, ",")
}

// Two agents carry out one plan, and are there for the next.
func TestBenchAgents(t *testing.T) {
	t.Parallel()
	url, publish := serveForBench(t)
	on := []*agent{startAgent(t, ""), startAgent(t, "")}
	file := filepath.Join(t.TempDir(), "r.json")
	for range 2 {
		got := runProgram(t, nil, "bench", "--url="+url+"/ws", "--agents="+addresses(on), "--clients=41", "--workers=2", "--hold=10ms", "--rate=500", "--duration=400ms",
			"--publish="+publish, "--publishes=3", "--storm=50%", "--json="+file, "--assert=errors=0,publish.up=41")
		if got.code != exitOK || !strings.Contains(got.stdout, "4 generator processes on 2 hosts") || !strings.Contains(got.stdout, "weakest") ||
			!strings.Contains(got.stdout, "whose clocks are known to ±") {
			t.Fatalf("exit %d\n%s\n%s", got.code, got.stdout, got.stderr)
		}
		r, err := readReport(file)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Agents) != 2 || r.Agents[0].Clients+r.Agents[1].Clients != 41 || r.Workers != 4 {
			t.Errorf("%d workers, agents %+v", r.Workers, r.Agents)
		}
		if open, fan := &r.Phases[2], &r.Phases[3]; open.Messages != 200 || fan.Deliveries != 123 || fan.ToLast.Count() != 3 || fan.ClockError <= 0 {
			t.Errorf("%d answers, %d deliveries, clocks ± %v µs", open.Messages, fan.Deliveries, fan.ClockError)
		}
		for _, a := range on {
			a.says("a run has ended")
		}
	}
	for _, a := range on {
		a.cmd.Process.Signal(os.Interrupt)
		if err := <-a.ended; err != nil || len(a.workers()) != 0 {
			t.Errorf("%v, workers %v", err, a.workers())
		}
	}
}

// An agent that is killed, or told to stop, is named with when and why, what it had
// told counts, and the others go on.
func TestBenchAgentLost(t *testing.T) {
	t.Parallel()
	url, publish := serveForBench(t)
	for _, c := range []struct {
		signal os.Signal
		why    string
	}{{os.Kill, "its connection has ended"}, {os.Interrupt, "the agent was told to stop"}} {
		on := []*agent{startAgent(t, ""), startAgent(t, "")}
		file := filepath.Join(t.TempDir(), "r.json")
		cmd, stdout, stderr := benchOn(t, url, on, "--hold=4s", "--closed=20", "--duration=200ms", "--publish="+publish, "--publishes=2", "--json="+file)
		on[1].cmd.Process.Signal(c.signal)
		err := cmd.Wait()
		text := fmt.Sprintf("agent %s, with 10 of 20 clients, was lost after", on[1].address)
		if cmd.ProcessState.ExitCode() != exitFailed || !strings.Contains(stderr.String(), text) || !strings.Contains(stderr.String(), c.why) || !strings.Contains(stdout.String(), "LOST") {
			t.Fatalf("%v: %s\n%s\n%s", c.signal, err, stdout, stderr)
		}
		r, err := readReport(file)
		if err != nil {
			t.Fatal(err)
		}
		lost := r.Agents[1].Lost
		if lost == nil || lost.Phase != "hold" || !strings.Contains(lost.Why, c.why) || len(r.Phases) != 4 {
			t.Fatalf("%d phases, %+v", len(r.Phases), lost)
		}
		if closed, fan := &r.Phases[2], &r.Phases[3]; closed.Messages == 0 || closed.Up != 10 || closed.Faults() != 0 || fan.Deliveries != 20 || fan.Unreached == "" {
			t.Errorf("%d up, %+v, %d deliveries, %q", closed.Up, closed.Counts, fan.Deliveries, fan.Unreached)
		}
		on[0].says("a run has ended")
	}
}

// A second run is refused while one goes on; Ctrl-C ends that one at all agents, and
// then they take another.
func TestBenchAgentsBusyAndInterrupted(t *testing.T) {
	t.Parallel()
	url, _ := serveForBench(t)
	on := []*agent{startAgent(t, ""), startAgent(t, "")}
	cmd, stdout, stderr := benchOn(t, url, on, "--hold=1h")
	got := runProgram(t, nil, "bench", "--url="+url+"/ws", "--agents="+on[1].address, "--clients=1")
	if got.code != exitFailed || !strings.Contains(got.stderr, "--agents "+on[1].address+": it is busy with a run from ") || !strings.Contains(got.stderr, "one at a time") {
		t.Errorf("exit %d, %s", got.code, got.stderr)
	}
	for _, a := range on {
		if len(a.workers()) != 1 {
			t.Errorf("workers %v", a.workers())
		}
	}
	cmd.Process.Signal(os.Interrupt)
	if err := cmd.Wait(); err != nil || !strings.Contains(stdout.String(), "interrupted") {
		t.Errorf("%v\n%s\n%s", err, stdout, stderr)
	}
	for _, a := range on {
		a.says("a run has ended")
		if len(a.workers()) != 0 {
			t.Errorf("workers %v are left", a.workers())
		}
	}
	if got := runProgram(t, nil, "bench", "--url="+url+"/ws", "--agents="+addresses(on), "--clients=4", "--hold=0s", "--closed=4", "--duration=1s"); got.code != exitOK {
		t.Errorf("exit %d, %s", got.code, got.stderr)
	}
}

// A coordinator that is gone, without a word, ends the run at its agents.
func TestBenchCoordinatorLost(t *testing.T) {
	t.Parallel()
	url, _ := serveForBench(t)
	a := startAgent(t, "")
	cmd, _, _ := benchOn(t, url, []*agent{a}, "--hold=1h")
	cmd.Process.Kill()
	cmd.Wait()
	a.says("the coordinator has said nothing for")
	until(t, "its workers have ended", func() bool { return len(a.workers()) == 0 })
	if got := runProgram(t, nil, "bench", "--url="+url+"/ws", "--agents="+a.address, "--clients=4", "--hold=0s", "--closed=4", "--duration=1s"); got.code != exitOK {
		t.Errorf("exit %d, %s", got.code, got.stderr)
	}
}

// What is wrong with agents is said with the flag, and what to do.
func TestBenchAgentsRefused(t *testing.T) {
	t.Parallel()
	secret, other := writeFile(t, "secret", "0123456789abcdef"), writeFile(t, "other", "fedcba9876543210")
	closed := startAgent(t, "", "--secret-file="+secret)
	poor := startAgent(t, "ulimit -n 200")
	nobody := freePort(t)
	for _, c := range []struct {
		args, want []string
	}{
		{[]string{"--agents=" + nobody}, []string{"--agents " + nobody, "no agent listens there", "wsd bench agent"}},
		{[]string{"--agents=" + closed.address}, []string{"--agents " + closed.address, "secret", "--agents-secret-file"}},
		{[]string{"--agents=" + closed.address, "--agents-secret-file=" + other}, []string{"--agents " + closed.address, "secret"}},
		{[]string{"--agents-secret-file=" + other}, []string{"--agents-secret-file has no effect without --agents"}},
		{[]string{"--agents=" + poor.address, "--clients=1000", "--workers=1"}, []string{"agent " + poor.address, "1 workers hold at most", "ulimit -n"}},
		{[]string{"--agents=" + otherVersion(t)}, []string{"its version is v0.0.1, this one is", "the same program on all hosts"}},
		{[]string{"agent", "--listen=0.0.0.0:0"}, []string{"--listen 0.0.0.0:0", "--secret-file", "--agents-secret-file"}},
		{[]string{"agent", "--listen=0.0.0.0:0", "--secret-file=" + writeFile(t, "short", "abc")}, []string{"--secret-file", "16 bytes"}},
		{[]string{"agent", "--listen=nowhere"}, []string{`--listen "nowhere"`, "host:port"}},
		{[]string{"agent", "--listen=" + poor.address}, []string{"--listen " + poor.address, "in use"}},
	} {
		got := runProgram(t, nil, append([]string{"bench"}, c.args...)...)
		if got.code != exitFailed {
			t.Errorf("%q: exit %d, %s", c.args, got.code, got.stderr)
		}
		for _, w := range c.want {
			if !strings.Contains(got.stderr, w) {
				t.Errorf("%q: %q does not say %q", c.args, got.stderr, w)
			}
		}
	}
	url, _ := serveForBench(t)
	got := runProgram(t, nil, "bench", "--url="+url+"/ws", "--agents="+closed.address, "--agents-secret-file="+secret, "--clients=4", "--hold=0s", "--closed=4", "--duration=1s")
	if got.code != exitOK {
		t.Errorf("exit %d, %s", got.code, got.stderr)
	}
}

// otherVersion is where an agent of another version listens.
func otherVersion(t *testing.T) string {
	t.Helper()
	server, err := embed.Start(embed.Config{Name: "old", Clients: "127.0.0.1:0", MaxPayload: leastPayload})
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect("", nats.InProcessServer(server))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() {
		ended <- agents.Serve(ctx, nc, "v0.0.1", func(context.Context, string, io.ReadWriteCloser) { t.Error("it took the run") })
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		nc.Close()
		server.Stop()
	})
	until(t, "the agent takes offers", func() bool { return nc.NumSubscriptions() > 0 })
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return server.ClientsAddr()
}
