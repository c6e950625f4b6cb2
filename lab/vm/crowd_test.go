package vm

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"wsd/server"
)

// TestCrowd holds very many clients in one process, on a kernel that nobody has
// touched but `wsd tune apply`: idle, with heartbeats, through a publish to all, a
// live upgrade, and another publish. Nobody is refused, closed or missed.
func TestCrowd(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv("WSD_CLIENTS"))
	if err != nil {
		t.Fatalf("WSD_CLIENTS: %v", err)
	}
	clients := itoa(n)
	tune(t, n)
	p := start(t, nil, "--max-clients="+clients, "--strict", "--idle-timeout=24h", "--handshake-timeout=2m", "--pending-age=10m")
	c := &conductor{t: t, p: p, clients: n, empty: p.memory(), upgrade: make(chan string, 1)}
	c.bench()
	for left := n; left > 0; {
		before := left
		until(t, "more are gone", func() bool { left = int(p.stats().Clients.Connected); return left < before })
	}
}

// tune prepares the machine by the program's own advice, for as long as the test
// runs. What it cannot set is the limit of descriptors, which is a process's.
func tune(t *testing.T, n int) {
	t.Helper()
	clients := itoa(n)
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	untouched := settings(t)
	if out, err := exec.Command(wsd, "tune", "check", "--load-generator", "--clients", clients).CombinedOutput(); err == nil && uint64(n) > files.Max {
		t.Errorf("the machine fits before it was tuned:\n%s", out)
	}
	out, err := exec.Command(wsd, "tune", "apply", "--load-generator", "--clients", clients).CombinedOutput()
	t.Logf("wsd tune apply:\n%s", out)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if out, err := exec.Command(wsd, "tune", "revert").CombinedOutput(); err != nil || settings(t) != untouched {
			t.Errorf("wsd tune revert: %v\n%s\nthe settings are\n%s, were\n%s", err, out, settings(t), untouched)
		}
	})
	most, err := strconv.ParseUint(sysctl(t, "fs.nr_open"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: most, Max: most}); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(wsd, "tune", "check", "--load-generator", "--clients", clients).CombinedOutput(); err != nil {
		t.Fatalf("the machine does not fit after it was tuned: %v\n%s", err, out)
	}
}

// settings are those that the crowd's size decides.
func settings(t *testing.T) (all string) {
	t.Helper()
	for _, name := range []string{
		"fs.nr_open", "fs.file-max", "fs.epoll.max_user_watches", "net.core.somaxconn", "net.core.netdev_max_backlog", "net.ipv4.tcp_mem",
		"net.ipv4.tcp_max_syn_backlog", "net.ipv4.tcp_max_orphans", "net.ipv4.ip_local_port_range",
	} {
		all += name + " " + sysctl(t, name) + "\n"
	}
	return all
}

// conductor answers the generator's publish calls, so that what happens to the
// server falls into a phase that the generator knows.
type conductor struct {
	t       *testing.T
	p       *process
	clients int
	empty   int // resident bytes before the first client
	calls   atomic.Int32
	upgrade chan string // what `wsd upgrade` said
}

// bench runs the generator and looks at what it saw.
func (c *conductor) bench() {
	c.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		c.t.Fatal(err)
	}
	calls := &http.Server{Handler: c}
	go calls.Serve(l)
	defer calls.Close()
	seconds := 5
	if testing.Short() {
		seconds = 2
	}
	plan := fmt.Sprintf(`
payload: '{"actioncode":"heart_beat"}'
expect: '"success"'
phases:
- {name: ramp, kind: ramp, concurrency: 256}
- {name: idle, kind: hold, duration: %[1]ds}
- {name: beats, kind: open, rate: 200, duration: %[1]ds}
- {name: publish, kind: publish, count: 1}
- {name: upgrade, kind: hold, duration: %[2]ds}
- {name: publish again, kind: publish, count: 1}
- {name: beats again, kind: open, rate: 200, duration: %[1]ds}
`, seconds, 2+c.clients/10000)
	if err := os.WriteFile("/tmp/plan.yaml", []byte(plan), 0o644); err != nil {
		c.t.Fatal(err)
	}
	cmd := exec.Command(wsd, "bench", "--url=ws://"+c.p.listen+"/ws", "--clients="+itoa(c.clients), "--workers=1", "--scenario=/tmp/plan.yaml",
		"--handshake-timeout=2m", "--grace=3m", "--pid="+itoa(c.p.pid), "--publish=http://"+l.Addr().String(),
		"--json=/tmp/crowd.json", "--html=/tmp/crowd.html", "--assert=failed=0,loss=0,closes=0,duplicates=0")
	cmd.Stderr = struct{ io.Writer }{os.Stderr} // no terminal: a line now and then
	out, err := cmd.Output()
	c.t.Logf("wsd bench:\n%s", out)
	for _, name := range []string{"crowd.json", "crowd.html"} {
		emit(c.t, "/tmp/"+name, name)
	}
	if err != nil {
		c.t.Errorf("wsd bench: %v", err)
	}
}

// ServeHTTP is a publish. The first one is followed by an upgrade, for which the
// next waits.
func (c *conductor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	message, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if c.calls.Add(1) == 2 {
		fmt.Print(<-c.upgrade)
	}
	c.report("before the publish")
	began := time.Now()
	got, err := c.p.send("all", message)
	fmt.Printf("a publish of %d bytes to all: %+v after %.1f s\n", len(message), got, time.Since(began).Seconds())
	if got.Accepted { // the generator counts who has it
		for under := (server.Stats{PublishesUnderWay: 1}); err == nil && under.PublishesUnderWay > 0; time.Sleep(time.Second) {
			err = c.p.ask("GET", "/v1/stats", nil, &under)
		}
	} else if err == nil && (got.Matched != c.clients || got.Sent+got.Queued != c.clients || got.Dropped != 0) {
		c.t.Errorf("a publish to all: %+v, want all %d sent", got, c.clients)
	}
	if err != nil {
		c.t.Errorf("a publish to all: %v", err)
	}
	c.report("after the publish")
	if c.calls.Load() == 1 {
		go c.replace()
	}
}

// report tells what the server has, of its own.
func (c *conductor) report(when string) {
	rss := c.p.memory()
	fmt.Printf("%s: %.1f MiB resident, %.1f MiB before the first client: %d B each\n",
		when, float64(rss)/(1<<20), float64(c.empty)/(1<<20), (rss-c.empty)/c.clients)
	var s server.Stats
	if err := c.p.ask("GET", "/v1/stats", nil, &s); err != nil {
		c.t.Errorf("%s: %v", when, err)
	}
	maps.DeleteFunc(s.Closed, func(_ string, n uint64) bool { return n == 0 })
	fmt.Printf("%s: %d connected, queue %+v, closed %v\n", when, s.Clients.Connected, s.Queue, s.Closed)
}

// replace has the server upgraded: from then on its successor is the server.
func (c *conductor) replace() {
	out, err := exec.Command(wsd, "upgrade", "--pid", itoa(c.p.pid)).CombinedOutput()
	if err == nil {
		_, err = fmt.Sscanf(string(out), "process %d has taken over", &c.p.pid)
	}
	if err != nil {
		c.t.Errorf("wsd upgrade: %v", err)
	}
	c.upgrade <- string(out)
}

// memory is what the server has of its own in RAM, in bytes.
func (p *process) memory() int {
	p.t.Helper()
	for line := range strings.Lines(p.file("smaps_rollup")) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "Rss:" {
			n, _ := strconv.Atoi(f[1])
			return n << 10
		}
	}
	p.t.Error("smaps_rollup has no Rss")
	return 0
}

// emit hands a file out, over the console: see run.sh.
func emit(t *testing.T, file, name string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Error(err)
		return
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(text)
	_ = z.Close()
	for line := packed.Bytes(); len(line) > 0; {
		n := min(len(line), 3000)
		fmt.Printf("file %s %s\n", name, base64.StdEncoding.EncodeToString(line[:n]))
		line = line[n:]
	}
}
