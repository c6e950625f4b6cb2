//go:build !nocluster && !noembed

package main

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"wsd/cluster/embed"
	"wsd/lab/checker"
)

// faultTime is how long a fault lasts; CLUSTER_LONG makes it longer than all time-outs.
func faultTime() time.Duration {
	if os.Getenv("CLUSTER_LONG") != "" {
		return 60 * time.Second
	}
	return 5 * time.Second
}

// under has clients and publishers at each of the nodes, does what to them, and checks
// that afterwards, with incomplete publishes repeated, everybody has everything once.
func under(t *testing.T, nodes []*lineage, what func(c *clusterChecker)) {
	t.Helper()
	c := newChecker(t, nodes...)
	for i, n := range nodes {
		for range 3 {
			c.listen(n.running, fmt.Sprintf("n%d", i+1))
		}
	}
	pause := faultTime() / 1000 // longer faults have no more messages to repeat
	for i := range nodes {
		c.publish(i, "all", pause)
		c.publish(i, "topic=news", pause)
	}
	time.Sleep(300 * time.Millisecond)
	what(c)
	time.Sleep(300 * time.Millisecond)
	c.check()
	healed(t, nodes)
}

// healed waits until all nodes are ready, to all.
func healed(t *testing.T, nodes []*lineage) {
	t.Helper()
	until(t, "all nodes are there again", func() bool {
		for _, n := range nodes {
			if _, body := n.http("GET", "/v1/nodes", ""); strings.Count(body, `"state":"ready"`) != len(nodes) {
				return false
			}
		}
		return true
	})
}

// A node that stands still holds nobody up, is missing, and gets by a repeat what it
// has missed.
func TestClusterNodeStops(t *testing.T) {
	nodes := startLineages(t, 3)
	under(t, nodes, func(c *clusterChecker) {
		if err := syscall.Kill(nodes[1].pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		time.Sleep(faultTime())
		if err := syscall.Kill(nodes[1].pid, syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
	})
}

// A node that is killed is missing; started again with its name, it is there. Its clients
// have got what was answered as complete before.
func TestClusterNodeKilled(t *testing.T) {
	nodes := startLineages(t, 3)
	victim := nodes[2]
	c := newChecker(t, nodes[:2]...)
	for i, n := range nodes[:2] {
		for range 3 {
			c.listen(n.running, fmt.Sprintf("n%d", i+1))
		}
	}
	var lost []*checker.Client
	for range 3 {
		lost = append(lost, c.listen(victim.running, "n3"))
	}
	for i := range nodes[:2] {
		c.publish(i, "all", 2*time.Millisecond)
	}
	time.Sleep(time.Second)
	for _, l := range lost {
		l.Ends()
	}
	_ = syscall.Kill(victim.pid, syscall.SIGKILL)
	<-victim.exited
	until(t, "it is missed", func() bool {
		_, body := nodes[0].http("POST", "/v1/publish?all&nodes=true", "x")
		return strings.Contains(body, `"complete":false`) && strings.Contains(body, `"missing":[{"node":"n3"`)
	})
	again := exec.Command(victim.cmd.Path, victim.cmd.Args[1:]...)
	again.Env = victim.cmd.Env
	r := serveAs(t, again)
	nodes[2] = &lineage{running: r}
	healed(t, nodes)
	until(t, "its earlier life is forgotten", func() bool {
		_, body := nodes[0].http("POST", "/v1/publish?all", "x")
		return strings.Contains(body, `"complete":true,"nodes":3`)
	})
	c.check()
}

// natsServer is an external one, as far as the nodes can tell.
func natsServer(t *testing.T, address string) (stop func()) {
	t.Helper()
	if program, err := exec.LookPath("nats-server"); err == nil {
		host, port, _ := net.SplitHostPort(address)
		cmd := exec.Command(program, "-a", host, "-p", port)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		stop = sync.OnceFunc(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	} else {
		s, err := embed.Start(embed.Config{Cluster: "nats", Listen: "127.0.0.1:0", Clients: address, MaxPayload: 1 << 20, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		stop = sync.OnceFunc(s.Stop)
	}
	t.Cleanup(stop)
	until(t, "NATS is there", func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return stop
}

// startExternal starts nodes with an external NATS, each by its own way to it.
func startExternal(t *testing.T, ways ...string) (nodes []*lineage) {
	for i, way := range ways {
		nodes = append(nodes, found(t, "", nil, "--cluster=shop", fmt.Sprintf("--node=n%d", i+1), "--cluster-nats=nats://"+way, manyKeys))
	}
	healed(t, nodes)
	return nodes
}

// NATS away: clients are served, answers say who is missing, and all heals when it is back.
func TestClusterNATSRestarts(t *testing.T) {
	address := freePort(t)
	stop := natsServer(t, address)
	nodes := startExternal(t, address, address, address)
	under(t, nodes, func(c *clusterChecker) {
		stop()
		until(t, "the others are missed", func() bool {
			_, body := nodes[0].http("POST", "/v1/publish?all", "x")
			return strings.Contains(body, `"why":"partitioned"`)
		})
		if _, body := nodes[0].http("GET", "/readyz", ""); !strings.Contains(body, `"cluster":"partitioned"`) || !strings.Contains(body, `"ready"`) {
			t.Errorf("ready: %s", body)
		}
		time.Sleep(faultTime())
		natsServer(t, address)
	})
}

// proxy passes bytes on between a node and NATS, until it is cut: then it keeps them.
type proxy struct {
	l  net.Listener
	to string

	mu    sync.Mutex
	cut   chan struct{} // closed while bytes pass
	conns []net.Conn
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{l: l, to: to, cut: make(chan struct{})}
	close(p.cut)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			p.mu.Lock()
			p.conns = append(p.conns, in)
			p.mu.Unlock()
			go p.serve(in)
		}
	}()
	return p
}

func (p *proxy) serve(in net.Conn) {
	defer in.Close()
	p.pass()
	out, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	defer out.Close()
	go p.copy(in, out)
	p.copy(out, in)
}

func (p *proxy) pass() {
	p.mu.Lock()
	cut := p.cut
	p.mu.Unlock()
	<-cut
}

func (p *proxy) copy(to io.WriteCloser, from io.Reader) {
	defer to.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		p.pass()
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (p *proxy) hold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = make(chan struct{})
}

func (p *proxy) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.cut)
}

// A node whose link is cut for some time is missing to the others, as they are to it,
// and what is late does not come after what is younger.
func TestClusterLinkCut(t *testing.T) {
	address := freePort(t)
	natsServer(t, address)
	way := newProxy(t, address)
	nodes := startExternal(t, address, way.l.Addr().String(), address)
	under(t, nodes, func(c *clusterChecker) {
		for _, d := range []time.Duration{time.Second, faultTime()} {
			way.hold()
			time.Sleep(d)
			way.release()
			healed(t, nodes)
		}
	})
}

// Two clusters on one NATS do not hear of each other.
func TestTwoClusters(t *testing.T) {
	address := freePort(t)
	natsServer(t, address)
	a := found(t, "", nil, "--cluster=a", "--node=n1", "--cluster-nats=nats://"+address)
	b := found(t, "", nil, "--cluster=b", "--node=n1", "--cluster-nats=nats://"+address)
	c := b.dial("/ws")
	if status, body := a.http("POST", "/v1/publish?all", strings.Repeat("x", 900<<10)); status != 413 || !strings.Contains(body, "max_payload") {
		t.Errorf("more than NATS takes: %d %s", status, body)
	}
	if _, body := a.http("POST", "/v1/publish?all", "x"); !strings.Contains(body, `"matched":0`) || !strings.Contains(body, `"complete":true,"nodes":1`) {
		t.Errorf("published in the one: %s", body)
	}
	if got := ask(t, c, `{"actioncode":"heart_beat"}`); got != heartBeat {
		t.Errorf("a client of the other got %s", got)
	}
}

// What is wrong at the start is an error that names the flag and the cure.
func TestClusterStartErrors(t *testing.T) {
	used := freePort(t)
	first := found(t, "", nil, "--cluster=shop", "--node=n1", "--cluster-listen="+used)
	_ = first
	secret, other := writeFile(t, "secret", "0123456789abcdef0123"), writeFile(t, "other", "fedcba98765432100000")
	small, err := embed.Start(embed.Config{Name: "small", Clients: "127.0.0.1:0", MaxPayload: 64 << 10, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(small.Stop)
	guarded := freePort(t)
	found(t, "", nil, "--cluster=shop", "--node=n1", "--cluster-listen="+guarded, "--cluster-secret-file="+secret)
	for _, c := range []struct {
		args string
		want []string
	}{
		{"--cluster shop", []string{"--cluster-listen", "--cluster-nats"}},
		{"--cluster shop --cluster-listen :6222", []string{"--cluster-listen :6222", "--cluster-secret-file"}},
		{"--cluster-listen 127.0.0.1:6222", []string{"--cluster-listen", "without --cluster"}},
		{"--cluster-buckets 131072", []string{"--cluster-buckets", "without --cluster"}},
		{"--cluster-subscribe-wait 1s", []string{"--cluster-subscribe-wait", "without --cluster"}},
		{"--cluster-forget 1m", []string{"--cluster-forget", "without --cluster"}},
		{"--cluster shop --cluster-listen 127.0.0.1:0 --cluster-buckets 0", []string{"--cluster-buckets 0"}},
		{"--cluster shop --cluster-listen 127.0.0.1:0 --cluster-buckets 100000", []string{"--cluster-buckets 100000", "power of two"}},
		{"--cluster shop --cluster-listen 127.0.0.1:0 --cluster-subscribe-wait 0", []string{"--cluster-subscribe-wait 0"}},
		{"--cluster shop --cluster-listen 127.0.0.1:0 --cluster-forget 0", []string{"--cluster-forget 0"}},
		{"--cluster a.b --cluster-listen 127.0.0.1:0", []string{"--cluster", `"a.b"`}},
		{"--cluster shop --cluster-listen 127.0.0.1:0 --node a.b", []string{"--node", `"a.b"`}},
		{"--cluster shop --cluster-listen " + used, []string{"--cluster-listen " + used, "address already in use"}},
		{"--cluster shop --node n1 --cluster-listen 127.0.0.1:0 --cluster-peers " + used, []string{"--node n1", "give each its own name"}},
		{"--cluster shop --node n2 --cluster-listen 127.0.0.1:0 --cluster-secret-file " + other + " --cluster-peers " + guarded, []string{"--cluster-secret-file " + other, "trust"}},
		{"--cluster shop --cluster-nats nats://127.0.0.1:1", []string{"--cluster-nats nats://127.0.0.1:1", "no NATS server answers"}},
		{"--cluster shop --cluster-nats nats://" + small.ClientsAddr(), []string{"--cluster-nats nats://" + small.ClientsAddr(), "max_payload is 65536 bytes", "set max_payload: 8MB"}},
		{"--cluster shop --cluster-nats nats://127.0.0.1:1 --cluster-peers a:1", []string{"--cluster-peers", "--cluster-nats"}},
		{"--cluster shop --cluster-listen 127.0.0.1:0 --cluster-secret-file /nowhere", []string{"--cluster-secret-file", "/nowhere"}},
		{"--cluster shop --cluster-listen 127.0.0.1:0 --cluster-tls-cert x", []string{"--cluster-tls-cert", "--cluster-tls-key"}},
	} {
		o := runProgram(t, nil, append([]string{"serve", "--listen=127.0.0.1:0", "--admin=none"}, strings.Fields(c.args)...)...)
		for _, want := range c.want {
			if o.code == exitOK || !strings.Contains(o.stderr, want) {
				t.Errorf("%s: exit %d, want %s in: %s", c.args, o.code, want, o.stderr)
			}
		}
	}
}
