package main

import (
	"bytes"
	"debug/elf"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// lineage is a server and those that take over from it.
type lineage struct {
	*running
	file string // the program, to be replaced
	pid  int    // of the one that serves now
}

// found starts a server of the program in file, "" being this test's own, which
// writes its log to a file, as all who take over will.
func found(t *testing.T, file string, env []string, args ...string) *lineage {
	t.Helper()
	log, err := os.OpenFile(filepath.Join(t.TempDir(), "log"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	cmd := exec.Command(file)
	if file == "" {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd = exec.Command(self)
		env = append(env, asProgram+"=1")
	}
	cmd.Args = append([]string{cmd.Path, "serve", "--log-format=json", "--listen=127.0.0.1:0", "--admin=127.0.0.1:0", "--drain-time=0"}, args...)
	mark := fmt.Sprintf("LINEAGE=%d.%s", os.Getpid(), t.Name()) // another run of the tests may be under way
	cmd.Env = append(append(os.Environ(), env...), mark)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := &running{t: t, cmd: cmd, log: new(output), exited: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		close(r.exited)
	}()
	l := &lineage{running: r, file: file, pid: cmd.Process.Pid}
	t.Cleanup(func() {
		l.find("")
		for _, pid := range append(l.others(), l.pid) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		<-r.exited
		if t.Failed() {
			t.Logf("the log:\n%s", l.tail())
		}
	})
	until(t, "the program serves", func() bool { return l.find("serving") != nil || r.over() })
	line := l.find("serving")
	if line == nil {
		t.Fatalf("it ended: %s", l.text())
	}
	r.listen, r.admin = line["listen"].([]any)[0].(string), line["admin"].(string)
	return l
}

// find looks into what all of them have logged.
func (l *lineage) find(msg string) map[string]any {
	l.log.mu.Lock()
	l.log.text.Reset()
	l.log.text.WriteString(l.text())
	l.log.mu.Unlock()
	return l.running.find(msg)
}

func (l *lineage) text() string {
	text, err := os.ReadFile(l.cmd.Stdout.(*os.File).Name())
	if err != nil {
		l.t.Fatal(err)
	}
	return string(text)
}

func (l *lineage) tail() string {
	text := l.text()
	return text[max(0, len(text)-4000):]
}

// others are the processes that took over, or wanted to, and still run.
func (l *lineage) others() (pids []int) {
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	want := "\x00" + l.mark() + "\x00"
	for _, file := range files {
		env, err := os.ReadFile(file)
		if err == nil && strings.Contains("\x00"+string(env), want) {
			if pid, err := strconv.Atoi(strings.Split(file, "/")[2]); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// mark tells the processes of this lineage from all others.
func (l *lineage) mark() string { return l.cmd.Env[len(l.cmd.Env)-1] }

// upgrade runs `wsd upgrade` and returns what it says.
func (l *lineage) upgrade() outcome {
	l.t.Helper()
	return runProgram(l.t, nil, "upgrade", fmt.Sprintf("--pid=%d", l.pid))
}

var tookOver = regexp.MustCompile(`^process (\d+) has taken over from (\d+): (\d+) clients, pause (\S+), version (\S+)\n$`)

// succeed upgrades and follows.
func (l *lineage) succeed() (said []string) {
	l.t.Helper()
	o := l.upgrade()
	said = tookOver.FindStringSubmatch(o.stdout)
	if o.code != exitOK || said == nil || said[2] != fmt.Sprint(l.pid) {
		l.t.Fatalf("upgrade: exit %d, %s%s", o.code, o.stdout, o.stderr)
	}
	l.pid, _ = strconv.Atoi(said[1])
	return said
}

// clientsOf is how many clients a test of upgrades has, unless it is asked for
// another number: UPGRADE_CLIENTS=15000 go test -run TestUpgrades ./cmd/wsd
func clientsOf(t *testing.T) int {
	n, err := strconv.Atoi(os.Getenv("UPGRADE_CLIENTS"))
	if err != nil {
		return 500
	}
	return n
}

// Ten upgrades in a row: no client notices.
func TestUpgrades(t *testing.T) {
	l := found(t, "", nil)
	n := clientsOf(t)
	every := time.Duration(max(n/3, 200)) * time.Millisecond // some 3,000 heartbeats a second at most
	c := gather(t, l.running, n, every, every/10)
	c.churn(l.running)
	c.more(20)
	c.slowest() // connecting took its time
	c.more(20)
	t.Logf("without upgrades: %s", c.slowest())
	for i := range 10 {
		c.more(4)
		before := l.pid
		said := l.succeed()
		if went, err := strconv.Atoi(said[3]); err != nil || went < n || went > n+2 { // who comes and goes may be among them
			t.Errorf("%s clients were handed over, want %d", said[3], n)
		}
		until(t, "the old process ends", func() bool { return gone(before) })
		c.more(4)
		t.Logf("upgrade %d: pause %s; %s", i+1, said[4], c.slowest())
	}
	c.check()
	t.Log(c.totals())
	if code := l.exit(); code != exitOK {
		t.Errorf("the first process ended with %d", code)
	}
	var st struct {
		Accepted uint64            `json:"accepted"`
		Closed   map[string]uint64 `json:"closed"`
	}
	l.stats(&st)
	left := uint64(c.churned.Load())
	for why, k := range st.Closed {
		if k != 0 && (why != "peer" || k != left) {
			t.Errorf("%d clients were closed for %s, and %d left", k, why, left)
		}
	}
	if st.Accepted != uint64(n)+left {
		t.Errorf("the counters were not taken along: %d accepted, want %d and %d", st.Accepted, n, left)
	}
}

// stats asks for the totals.
func (l *lineage) stats(into any) {
	l.t.Helper()
	if _, text := l.http("GET", "/v1/stats", ""); json.Unmarshal([]byte(text), into) != nil {
		l.t.Fatalf("stats: %s", text)
	}
}

// gone reports whether a process has ended, reaped or not.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || bytes.Contains(stat, []byte(") Z "))
}

// faultVariable is what a program built with the tag "faults" obeys: the side and
// the step of a handover at which it is to die, or to hang.
const faultVariable = "WSD_FAULT"

// faultyProgram builds such a program, under the race detector if this test is.
func faultyProgram(t *testing.T) string {
	t.Helper()
	args := []string{"-tags=faults"}
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		args = append(args, "-race")
	}
	return buildProgram(t, filepath.Join(t.TempDir(), "wsd"), args...)
}

// buildProgram builds wsd into file, which it returns.
func buildProgram(t *testing.T, file string, args ...string) string {
	t.Helper()
	cmd := exec.Command("go", append(append([]string{"build", "-o", file}, args...), ".")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	return file
}

// A program that is shipped has no fault points: no variable of the environment
// ends it in mid-upgrade, and no code stands beside its system calls.
func TestShippedProgramHasNoFaults(t *testing.T) {
	shipped := buildProgram(t, filepath.Join(t.TempDir(), "wsd"), "-trimpath")
	for file, want := range map[string]bool{shipped: false, faultyProgram(t): true} {
		program, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got := bytes.Contains(program, []byte(faultVariable)); got != want {
			t.Errorf("%s in a program: %v, want %v", faultVariable, got, want)
		}
		functions := functionsOf(t, file)
		for _, name := range []string{"ask", "after", "opened", "faultySize", "faultyPieces", "faultyWait", "faultyCtl", "closing"} {
			if got := functions["wsd/netpoll."+name]; got != want {
				t.Errorf("netpoll.%s in a program: %v, want %v", name, got, want)
			}
		}
		if !functions["wsd/netpoll.Read"] {
			t.Error("this is no list of functions")
		}
	}
	for _, fault := range []string{"old:started", "new:prepared:hang"} {
		l := found(t, shipped, []string{faultVariable + "=" + fault})
		l.succeed()
	}
}

// functionsOf are the functions in a program that have code of their own.
func functionsOf(t *testing.T, file string) map[string]bool {
	t.Helper()
	f, err := elf.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	symbols, err := f.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, s := range symbols {
		names[s.Name] = true
	}
	return names
}

// A process that is killed at any step loses what docs/upgrade.md says: nothing,
// as long as one of the two has everything.
func TestUpgradeFaults(t *testing.T) {
	t.Parallel() // one of them waits
	type end int
	const (
		oldServes end = iota // the new one is gone, the old one goes on
		newServes            // the old one is gone, nothing is lost
		lost                 // the process that had the clients is gone
	)
	steps := func(what end, side string, names ...string) map[string]end {
		m := map[string]end{}
		for _, name := range names {
			m[side+":"+name] = what
		}
		return m
	}
	program := faultyProgram(t)
	for _, table := range []map[string]end{
		steps(oldServes, "new", "started", "hello", "welcome", "prepared", "state", "restored", "ready", "commit", "ready:hang"),
		steps(lost, "new", "running"),
		steps(lost, "old", "started", "hello", "welcome", "prepared", "drained", "held", "frozen", "state"),
		steps(newServes, "old", "sent", "ready", "commit", "running"),
	} {
		for fault, want := range table {
			t.Run(fault, func(t *testing.T) {
				t.Parallel()
				l := found(t, program, []string{faultVariable + "=" + fault})
				c := gather(t, l.running, 60, 50*time.Millisecond, 5*time.Millisecond)
				until(t, "messages come", func() bool { return c.published.Load() > 5 })
				o := l.upgrade()
				switch want {
				case oldServes:
					if o.code != exitFailed || !strings.Contains(o.stderr, "serves on") {
						t.Errorf("upgrade: exit %d, %s%s", o.code, o.stdout, o.stderr)
					}
					seen := c.published.Load()
					until(t, "messages come again", func() bool { return c.published.Load() > seen+5 || c.failed.Load() != nil })
					if others := l.others(); len(others) != 1 {
						t.Errorf("%d processes are left, want the old one", len(others))
					}
					c.check()
				case newServes:
					until(t, "the old process is dead", l.over)
					c.keepPublishing(l)
				case lost:
					c.lost()
					until(t, "no process is left", func() bool { return len(l.others()) == 0 })
				}
			})
		}
	}
}

// keepPublishing checks a crowd whose server was killed and replaced: what the
// publisher was told lost, it sends again, if no client has got it.
func (c *crowd) keepPublishing(l *lineage) {
	c.t.Helper()
	c.end()
	c.failed.Store(nil)
	until(c.t, "the new process answers publishers", func() bool {
		return c.fans[0].next.Load() > c.published.Load() || c.publishOne() == nil
	})
	if got := c.fans[0].next.Load(); got > c.published.Load() {
		c.published.Store(got) // its answer was lost, it was not
	}
	c.check()
}

// A newer build takes over; one of another state format does not, and neither
// does one that is no program, or has a configuration that cannot be meant.
func TestUpgradeAcrossBuilds(t *testing.T) {
	t.Parallel() // it builds, and waits
	dir := t.TempDir()
	build := func(name, flags string) string {
		return buildProgram(t, filepath.Join(dir, name), "-ldflags", flags)
	}
	file := build("wsd", "-X main.version=v1")
	l := found(t, file, nil)
	c := gather(t, l.running, 50, 50*time.Millisecond, 5*time.Millisecond)
	place := func(with string) {
		if err := os.Rename(with, file); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(why string) {
		t.Helper()
		if o := l.upgrade(); o.code != exitFailed || !strings.Contains(o.stderr, why) {
			t.Errorf("want a refusal with %q; exit %d, %s%s", why, o.code, o.stdout, o.stderr)
		}
	}
	place(build("other", "-X main.version=v9 -X wsd/handoff.format=99 -X wsd/handoff.oldest=99"))
	refused("state formats")
	if err := os.WriteFile(filepath.Join(dir, "none"), []byte("#!/bin/sh\nexit 3\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	place(filepath.Join(dir, "none"))
	refused("exit status 3")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	refused("no such file")
	place(build("newer", "-X main.version=v2"))
	if said := l.succeed(); said[5] != "v2" {
		t.Errorf("version %s took over, want v2", said[5])
	}
	c.check()
}

// SIGUSR2 does the same without an answer.
func TestUpgradeBySignal(t *testing.T) {
	l := found(t, "", nil)
	c := gather(t, l.running, 10, 50*time.Millisecond, 5*time.Millisecond)
	l.signal(signalUpgrade)
	if code := l.exit(); code != exitOK {
		t.Errorf("the old process ended with %d", code)
	}
	line := l.find("handed over")
	if line == nil || line["clients"].(float64) != 10 {
		t.Fatalf("logged: %v", line)
	}
	l.pid = int(line["pid"].(float64))
	c.check()
	l.succeed()
}

// A publish that is repeated with its key after an upgrade is not published again.
func TestUpgradeRemembersKeys(t *testing.T) {
	l := found(t, "", nil)
	p := l.dial("/ws")
	publish := func() string {
		q, err := http.NewRequest("POST", "http://"+l.admin+"/v1/publish?all", strings.NewReader("once"))
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Idempotency-Key", "k1")
		answer, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer.Status + " " + answer.Header.Get("Idempotency-Replayed")
	}
	if got := publish(); got != "200 OK " {
		t.Error(got)
	}
	for range 2 {
		l.succeed()
		if got := publish(); got != "200 OK true" {
			t.Error(got)
		}
	}
	if got := hear(t, p); got != "once" {
		t.Error(got)
	}
	if got := ask(t, p, `{"actioncode":"heart_beat"}`); got != heartBeat {
		t.Errorf("published again: %s", got)
	}
}

func TestUpgradeOfNobody(t *testing.T) {
	if o := runProgram(t, nil, "upgrade", "--pid=999999999"); o.code != exitFailed || !strings.Contains(o.stderr, "--pid 999999999") {
		t.Errorf("exit %d: %s", o.code, o.stderr)
	}
}
