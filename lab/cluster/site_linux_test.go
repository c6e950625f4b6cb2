package cluster

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"wsd/lab"
	"wsd/lab/checker"
)

const (
	port   = 8066
	admin  = 8067
	routes = 6222
	natsAt = 4222
	token  = "0123456789abcdef"
)

// node is a wsd serve on a host of its own.
type node struct {
	name    string
	host    *lab.Host
	program string   // its file; "": that under test
	under   []string // the command that runs it, if any
	cmd     *exec.Cmd
	pid     int // of the process that serves: after an upgrade not cmd's
	clients []*client
	logs    []*checker.Client // theirs
}

func (n *node) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(n.pid, s); err != nil {
		t.Fatal(err)
	}
}

// kill ends the process at once, and waits until it is gone.
func (n *node) kill(t *testing.T) {
	t.Helper()
	n.signal(t, syscall.SIGKILL)
	_ = n.cmd.Wait() // it was killed
}

// site is a cluster of three nodes, each on a host of its own, clients and publishers
// on two others, and perhaps a NATS server on another one.
type site struct {
	*checker.Checker
	t        *testing.T
	net      *lab.Net
	dir      string
	cluster  string
	nodes    []*node
	crowd    *lab.Host // clients
	press    *lab.Host // publishers
	external *lab.Host // nil: the NATS servers inside the nodes
	nats     *exec.Cmd
	died     sync.Map // keys of publishers that have died
	http     *http.Client
}

// build makes a site without nodes.
func build(t *testing.T, external bool) *site {
	t.Helper()
	s := &site{t: t, net: lab.New(t), dir: t.TempDir(), cluster: "shop"}
	s.crowd, s.press = s.net.Host("crowd"), s.net.Host("press")
	s.http = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DialContext: s.press.DialContext, MaxIdleConnsPerHost: 16}}
	s.writeSecrets()
	if external {
		s.external = s.net.Host("nats")
		s.startNATS()
	}
	return s
}

// writeSecrets writes the files that the nodes' flags name.
func (s *site) writeSecrets() {
	s.t.Helper()
	for name, text := range map[string]string{"secret": "0123456789abcdef0123", "token": token} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
}

// startNATS starts Debian's nats-server.
func (s *site) startNATS(args ...string) {
	s.t.Helper()
	if _, err := exec.LookPath("nats-server"); err != nil {
		lab.Lack(s.t, "a cluster with an external NATS needs the command nats-server (package nats-server)")
	}
	s.nats = s.external.Command("nats-server", append([]string{"-a", s.external.IP(), "-p", fmt.Sprint(natsAt)}, args...)...)
	if err := s.nats.Start(); err != nil {
		s.t.Fatal(err)
	}
	until(s.t, "NATS is there", func() bool {
		c, err := s.press.Dial("tcp", s.external.Addr(natsAt))
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// start starts a node, and returns when it is ready.
func (s *site) start(n *node, args ...string) {
	s.t.Helper()
	log, err := os.OpenFile(filepath.Join(s.dir, n.name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	all := []string{"serve", "--admin=" + n.host.Addr(admin), "--admin-token-file=" + filepath.Join(s.dir, "token"),
		"--cluster=" + s.cluster, "--node=" + n.name, "--idempotency-keys=1000000"}
	if s.external != nil {
		all = append(all, "--cluster-nats=nats://"+s.external.Addr(natsAt))
	} else {
		all = append(all, "--cluster-listen="+n.host.Addr(routes), "--cluster-secret-file="+filepath.Join(s.dir, "secret"))
		for _, other := range s.nodes {
			if other != n && other.host != nil {
				all = append(all, "--cluster-peers="+other.host.Addr(routes))
			}
		}
	}
	line := slices.Concat(n.under, []string{cmp.Or(n.program, wsd)}, all, args)
	n.cmd = n.host.Command(line[0], line[1:]...)
	n.cmd.Stdout, n.cmd.Stderr = log, log
	if err := n.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	n.pid = n.cmd.Process.Pid // nsenter and unshare become the program
	until(s.t, n.name+" is ready", func() bool {
		status, _, err := s.ask(n, "GET", "/readyz", "", "")
		return err == nil && status == http.StatusOK
	})
}

// found makes three nodes with clients each, and a checker.
func found(t *testing.T, external bool, args ...string) *site {
	t.Helper()
	s := build(t, external)
	s.populate(args...)
	return s
}

// settleNodes makes the nodes' hosts; nothing runs there yet.
func (s *site) settleNodes() {
	s.t.Helper()
	for _, name := range []string{"n1", "n2", "n3"} {
		s.nodes = append(s.nodes, &node{name: name, host: s.net.Host(s.hostName(name))})
	}
	s.t.Cleanup(s.writeLogs)
}

// populate starts the nodes, whose hosts it makes if there are none, with clients each.
func (s *site) populate(args ...string) {
	s.t.Helper()
	if s.nodes == nil {
		s.settleNodes()
	}
	for _, n := range s.nodes {
		s.start(n, args...)
	}
	s.Checker = checker.New(len(s.nodes), s.publish)
	s.healed()
	for _, n := range s.nodes {
		s.fill(n)
	}
}

// hostName is that of a node's host: two clusters may share a net.
func (s *site) hostName(node string) string {
	if s.cluster == "shop" {
		return node
	}
	return s.cluster + "-" + node
}

// fill connects clients to a node, which subscribe and send heartbeats.
func (s *site) fill(n *node) {
	s.t.Helper()
	for i := range lab.Form(5, 20) {
		c := connect(s.t, s.crowd, n.host.Addr(port))
		c.subscribe(s.t, "news")
		l := c.keep(func() *checker.Client { return s.Client(fmt.Sprint(i), n.name, "news") })
		go c.beat(500 * time.Millisecond)
		n.clients, n.logs = append(n.clients, c), append(n.logs, l)
	}
}

// writeLogs helps to find out what went wrong.
func (s *site) writeLogs() {
	if !s.t.Failed() {
		return
	}
	for _, n := range s.nodes {
		text, _ := os.ReadFile(filepath.Join(s.dir, n.name+".log"))
		s.t.Logf("the log of %s:\n%s", n.name, text)
	}
}

// ask does a request to a node's admin side, from the publishers' host.
func (s *site) ask(n *node, method, path, key, body string) (status int, text []byte, err error) {
	q, err := http.NewRequest(method, "http://"+n.host.Addr(admin)+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	q.Header.Set("Authorization", "Bearer "+token)
	if key != "" {
		q.Header.Set("Idempotency-Key", key)
	}
	r, err := s.http.Do(q)
	if err != nil {
		return 0, nil, err
	}
	defer r.Body.Close()
	text, err = io.ReadAll(r.Body)
	return r.StatusCode, text, err
}

// answer is that to a publish, as far as it is looked at.
type answer struct {
	Matched, Dropped, Expired, Nodes int
	Complete                         bool
	Missing                          []struct{ Node, Why string }
}

func (a *answer) lacks(node, why string) bool {
	return slices.ContainsFunc(a.Missing, func(m struct{ Node, Why string }) bool { return m.Node == node && (why == "" || m.Why == why) })
}

// say publishes at a node.
func (s *site) say(n *node, query, key, text string) (a answer, err error) {
	status, body, err := s.ask(n, "POST", "/v1/publish?"+query, key, text)
	switch {
	case err != nil:
		return a, err
	case status != http.StatusOK:
		return a, fmt.Errorf("%d: %s", status, body)
	}
	if err := json.Unmarshal(body, &a); err != nil {
		return a, err
	}
	if a.Dropped+a.Expired > 0 {
		return a, errors.New("some clients did not get it: " + string(body))
	}
	return a, nil
}

// publish is for the checker.
func (s *site) publish(at int, query, key, text string) (checker.Answer, error) {
	a, err := s.say(s.nodes[at], query, key, text)
	if err != nil {
		return checker.Answer{}, err
	}
	c := checker.Answer{Complete: a.Complete}
	for _, m := range a.Missing {
		c.Missing = append(c.Missing, m.Node)
	}
	return c, nil
}

// publishers begins publishing at each node: to all and to a topic, with keys and
// without.
func (s *site) publishers() {
	pause := lab.Form(50*time.Millisecond, 20*time.Millisecond)
	for i, n := range s.nodes {
		s.Publish(checker.Publisher{Name: s.cluster + "-all-" + n.name, Node: i, Query: "all", Pause: pause, Again: 3})
		s.Publish(checker.Publisher{Name: s.cluster + "-news-" + n.name, Node: i, Query: "topic=news", Pause: pause})
		s.Publish(checker.Publisher{Name: s.cluster + "-once-" + n.name, Node: i, Query: "topic=news", Pause: pause, Keyless: true})
	}
}

// healed waits until each node knows all others to be ready, and a publish at each
// reaches all.
func (s *site) healed() {
	s.t.Helper()
	for _, n := range s.nodes {
		until(s.t, "all is well again at "+n.name, func() bool {
			a, err := s.say(n, "topic=nobody", "", "x")
			_, body, _ := s.ask(n, "GET", "/v1/nodes", "", "")
			return err == nil && a.Complete && a.Nodes == len(s.nodes) && strings.Count(string(body), `"state":"ready"`) == len(s.nodes)
		})
	}
}

// verdict ends publishing and has everything checked: what the first answers said, and
// then that repeats reach all.
func (s *site) verdict() {
	s.t.Helper()
	s.Stop()
	s.settle("what the publishers were told has come")
	s.healed()
	until(s.t, "every message with a key is complete when it is repeated", func() bool { return s.Repeat() == 0 })
	s.settle("what was repeated has come")
	for _, n := range s.nodes {
		served(s.t, n.clients...)
	}
	s.judge()
}

// settle waits for what clients have to get, for as long as anything comes and for a
// while more. What does not come then is in the verdict.
func (s *site) settle(what string) {
	s.t.Helper()
	received, since := -1, time.Now()
	for ; !s.Settled(); time.Sleep(100 * time.Millisecond) {
		if k := s.Tally().Received; k != received {
			received, since = k, time.Now()
		}
		if time.Since(since) > patience/4 {
			s.judge()
			s.t.Fatalf("not within %v after the last message: %s", patience/4, what)
		}
	}
}

// judge says what is wrong, as far as it goes.
func (s *site) judge() {
	s.t.Helper()
	s.t.Logf("%v", s.Tally())
	for i, line := range s.Wrong() {
		if i == 20 {
			s.t.Errorf("and more")
			break
		}
		s.t.Error(line)
	}
}

// under does something to the site while all publish, and has it checked.
func (s *site) under(fault func()) {
	s.t.Helper()
	s.publishers()
	time.Sleep(lab.Form(500*time.Millisecond, 3*time.Second))
	fault()
	s.healed()
	time.Sleep(lab.Form(500*time.Millisecond, 3*time.Second))
	s.verdict()
}
