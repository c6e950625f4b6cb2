package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// serveForBench runs the server and returns its URL and that for publishes.
func serveForBench(t *testing.T) (url, publish string) {
	t.Helper()
	cmd := program(t, nil, "serve", "--listen=127.0.0.1:0", "--admin=127.0.0.1:0", "--echo-path=/echo", "--log-format=json", "--drain-time=0s")
	var log output
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Signal(syscall.SIGTERM); cmd.Wait() })
	var start struct {
		Msg    string
		Listen []string
		Admin  string
	}
	until(t, "the server has started", func() bool {
		for line := range strings.SplitSeq(log.String(), "\n") {
			if json.Unmarshal([]byte(line), &start) == nil && len(start.Listen) > 0 {
				return true
			}
		}
		return false
	})
	return "ws://" + start.Listen[0], "http://" + start.Admin + "/v1/publish?all"
}

// The whole way: server, generator with workers, files, assertions, ratios.
func TestBench(t *testing.T) {
	url, publish := serveForBench(t)
	dir := t.TempDir()
	report, page := filepath.Join(dir, "r.json"), filepath.Join(dir, "r.html")
	args := []string{"bench", "--url=" + url + "/ws", "--clients=40", "--workers=2", "--hold=10ms", "--closed=10", "--rate=500", "--duration=200ms",
		"--publish=" + publish, "--publishes=3", "--storm=50%", "--half-frames=5%", "--json=" + report, "--html=" + page}
	got := runProgram(t, nil, append(args, "--assert=errors=0,publish.up=40,p99<1h")...)
	if got.code != exitOK || !strings.Contains(got.stdout, "deliveries") || !strings.Contains(got.stdout, "ok   errors=0") {
		t.Fatalf("exit %d\n%s\n%s", got.code, got.stdout, got.stderr)
	}
	r, err := readReport(report)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for i := range r.Phases {
		names = append(names, r.Phases[i].Name)
	}
	if s := strings.Join(names, " "); s != "ramp hold closed open publish storm" {
		t.Errorf("phases %s", s)
	}
	if r.Phases[4].Deliveries != 120 || r.Phases[3].Messages != 100 || r.Command[0] != "wsd" {
		t.Errorf("%d deliveries, %d answers, %q", r.Phases[4].Deliveries, r.Phases[3].Messages, r.Command)
	}
	if text, err := os.ReadFile(page); err != nil || !strings.HasSuffix(strings.TrimSpace(string(text)), "</html>") {
		t.Errorf("page of %d bytes, %v", len(text), err)
	}
	if got := runProgram(t, nil, "bench", "compare", report, report); got.code != exitOK || !strings.Contains(got.stdout, "1.000") {
		t.Errorf("compare: exit %d, %s%s", got.code, got.stdout, got.stderr)
	}
	got = runProgram(t, nil, "bench", "--url="+url+"/echo", "--clients=3", "--hold=0s", "--closed=3", "--bytes=1000", "--duration=50ms", "--assert=closed.p99<1ns")
	if got.code != exitFailed || !strings.Contains(got.stdout, "FAIL closed.p99<1ns") || !strings.Contains(got.stderr, "closed.p99<1ns") {
		t.Errorf("exit %d\n%s\n%s", got.code, got.stdout, got.stderr)
	}
}

// A scenario that does not say what to send gets what the flags say.
func TestBenchScenarioFilled(t *testing.T) {
	url, _ := serveForBench(t)
	file := writeFile(t, "s.yaml", "clients: 2\nphases:\n- {kind: ramp}\n- {kind: closed, duration: 50ms}\n")
	for _, args := range [][]string{{"--url=" + url + "/ws"}, {"--url=" + url + "/echo", "--bytes=64"}} {
		got := runProgram(t, nil, append([]string{"bench", "--scenario=" + file, "--assert=errors=0"}, args...)...)
		if got.code != exitOK || !strings.Contains(got.stdout, "answers") {
			t.Errorf("%q: exit %d\n%s\n%s", args, got.code, got.stdout, got.stderr)
		}
	}
}

// A run that fails leaves its files as they were.
func TestBenchFilesOfAFailedRun(t *testing.T) {
	dir := t.TempDir()
	old := filepath.Join(dir, "old.html")
	if err := os.WriteFile(old, []byte("before"), 0o640); err != nil {
		t.Fatal(err)
	}
	got := runProgram(t, nil, "bench", "--url=ws://127.0.0.1:1/", "--pid=999999999", "--json="+filepath.Join(dir, "new.json"), "--html="+old)
	names, _ := os.ReadDir(dir)
	text, _ := os.ReadFile(old)
	if got.code != exitFailed || len(names) != 1 || string(text) != "before" {
		t.Errorf("exit %d, %d files, %q", got.code, len(names), text)
	}
	link := filepath.Join(dir, "link.html")
	if err := os.Symlink(old, link); err != nil {
		t.Fatal(err)
	}
	got = runProgram(t, nil, "bench", "--url=ws://127.0.0.1:1/", "--clients=1", "--retries=1", "--hold=0s", "--json=/dev/null", "--html="+link)
	info, err := os.Lstat(link)
	if err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v", err)
	}
	info, err = os.Stat(old)
	if err != nil || info.Size() < 1000 || info.Mode().Perm() != 0o640 {
		t.Errorf("exit %d, %+v, %v", got.code, info, err)
	}
}

// A first Ctrl-C ends the phase and there is a report all the same.
func TestBenchInterrupted(t *testing.T) {
	t.Parallel() // it waits
	url, _ := serveForBench(t)
	cmd := program(t, nil, "bench", "--url="+url+"/ws", "--clients=5", "--hold=1h")
	var stdout, stderr output
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, "the hold begins", func() bool { return strings.Contains(stderr.String(), "hold: begins") })
	cmd.Process.Signal(os.Interrupt)
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, stderr.String())
	}
	if s := stdout.String(); !strings.Contains(s, "interrupted") || !strings.Contains(s, "hold") {
		t.Errorf("%s", s)
	}
}

func TestBenchUsage(t *testing.T) {
	for _, c := range []struct {
		args, want []string
		code       int
	}{
		{[]string{"--storm=150%"}, []string{"--storm", `"150%"`}, exitUsage},
		{[]string{"--slow-readers=1%@0"}, []string{"--slow-readers", `"1%@0"`}, exitUsage},
		{[]string{"--ping-floods=x"}, []string{"--ping-floods", `"x"`}, exitUsage},
		{[]string{"--rate=nan"}, []string{"--rate", `"nan"`}, exitUsage},
		{[]string{"--rate=inf"}, []string{"--rate", `"inf"`}, exitUsage},
		{[]string{"--rate=-1"}, []string{"--rate", `"-1"`}, exitUsage},
		{[]string{"--publish-rate=NaN"}, []string{"--publish-rate", `"NaN"`}, exitUsage},
		{[]string{"--storm=nan%"}, []string{"--storm", `"nan%"`}, exitUsage},
		{[]string{"--ping-floods=1@inf"}, []string{"--ping-floods", `"1@inf"`}, exitUsage},
		{[]string{"--json=x", "--html=x"}, []string{"--json and --html"}, exitFailed},
		{[]string{"--clients=-1"}, []string{"--clients", `"-1"`}, exitUsage},
		{[]string{"--assert=speed<1"}, []string{"--assert", `"speed"`, "p99"}, exitFailed},
		{[]string{"--url=wss://x/"}, []string{"wss://x/", "TLS"}, exitFailed},
		{[]string{"--url=127.0.0.1:8066"}, []string{`"127.0.0.1:8066"`, "want ws://host:port/path"}, exitFailed},
		{[]string{"--url=ws://127.0.0.1:1/", "--json=/nonexistent/r.json"}, []string{"--json", "/nonexistent/r.json"}, exitFailed},
		{[]string{"--url=ws://127.0.0.1:1/", "--html=/nonexistent/r.html"}, []string{"--html", "/nonexistent/r.html"}, exitFailed},
		{[]string{"--url=ws://127.0.0.1:1/", "--pid=999999999"}, []string{"no process 999999999"}, exitFailed},
		{[]string{"--clients=2000000000", "--source=127.0.0.0/8"}, []string{"memory will be needed", "fewer clients"}, exitFailed},
		{[]string{"--source=x"}, []string{`"x"`, "127.0.1.0/24"}, exitFailed},
		{[]string{"--scenario=" + writeFile(t, "s.yaml", "clients: 1\nphase: []\n")}, []string{"--scenario", "s.yaml", `"phase"`}, exitFailed},
	} {
		got := runProgram(t, nil, append([]string{"bench"}, c.args...)...)
		if got.code != c.code {
			t.Errorf("%q: exit %d, %s", c.args, got.code, got.stderr)
		}
		for _, w := range c.want {
			if !strings.Contains(got.stderr, w) {
				t.Errorf("%q: %q does not say %q", c.args, got.stderr, w)
			}
		}
	}
}
