package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"sync/atomic"
	"testing"
)

// Net is a router and the hosts around it.
type Net struct {
	t      testing.TB
	prefix string // of its namespaces' names

	// Guarded by mu.
	mu    sync.Mutex
	hosts []*Host
	made  int // hosts so far, removed ones included
	cuts  map[pair]bool
}

// pair is a direction between two hosts, which are named.
type pair struct{ from, to string }

// nets is how many Nets this process has made.
var nets atomic.Int64

// New makes a network without hosts. At the end of t it is removed, with all
// processes in it. Sockets that the test itself has in it are the test's to
// close.
func New(t testing.TB) *Net {
	t.Helper()
	need(t)
	sweepLeftovers()
	n := &Net{t: t, prefix: fmt.Sprintf("%s%d-", owner(), nets.Add(1)), cuts: make(map[pair]bool)}
	keeper, err := keep(n.prefix)
	n.check(err)
	t.Cleanup(func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		for _, h := range n.hosts {
			h.close()
		}
		if err := keeper.sweep(); err != nil {
			t.Errorf("the lab was not removed: %v", err)
		}
	})
	// A container's root may not do this, and a kernel may be built without.
	if err := n.begin(); err != nil {
		Lack(t, err.Error())
	}
	return n
}

// begin makes the router, and has it lose packets of nobody.
func (n *Net) begin() error {
	if _, err := run("", "ip", "netns", "add", n.router()); err != nil {
		return err
	}
	if err := sysctl(n.router(), "net.ipv4.ip_forward", "1"); err != nil {
		return err
	}
	probe := Net{prefix: n.prefix, hosts: []*Host{{name: "nobody", up: way{loss: 1, hole: 1500}}}}
	return probe.apply()
}

// apply has the router use the rules.
func (n *Net) apply() error {
	_, err := run(n.rules(), "nsenter", "--net="+filepath.Join(names, n.router()), "nft", "-f", "-")
	return err
}

// router is the namespace that forwards.
func (n *Net) router() string { return n.prefix + ".router" }

var validName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,14}$`)

// Host adds a host with a link to the router. Its name is a letter and up to 14
// letters, digits and hyphens, all lower case.
func (n *Net) Host(name string) *Host {
	n.t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if !validName.MatchString(name) {
		n.t.Fatalf("lab: no name for a host: %q", name)
	}
	for _, h := range n.hosts {
		if h.name == name {
			n.t.Fatalf("lab: there is a host %s already", name)
		}
	}
	n.made++
	h := &Host{net: n, name: name, ns: n.prefix + name, number: n.made}
	// The router's end has the host's name. Only whole packets go over a link: a
	// veth would else pass on 64 KiB at a time, of which no link loses all.
	n.batch("netns add "+h.ns,
		fmt.Sprintf("-n %s link add name %s type veth peer name eth0 netns %s", n.router(), name, h.ns))
	n.check(quiet(n.router(), name))
	n.check(quiet(h.ns, "eth0"))
	file, err := os.Open(filepath.Join(names, h.ns))
	n.check(err)
	h.file = file
	n.connect(h)
	n.hosts = append(n.hosts, h)
	return h
}

// connect sets both ends of a new link up.
func (n *Net) connect(h *Host) {
	n.t.Helper()
	n.batch("-n "+n.router()+" address add "+h.address(1)+"/24 dev "+h.name,
		"-n "+n.router()+" link set dev "+h.name+" up",
		"-n "+h.ns+" link set dev lo up",
		"-n "+h.ns+" link set dev eth0 up",
		"-n "+h.ns+" address add "+h.IP()+"/24 dev eth0",
		"-n "+h.ns+" route add default via "+h.address(1))
}

// Cut cuts two hosts off from each other. Each still reaches all others.
func (n *Net) Cut(a, b *Host) {
	n.t.Helper()
	n.set(func() { n.cuts[pair{a.name, b.name}], n.cuts[pair{b.name, a.name}] = true, true })
}

// CutOneWay drops what from sends to to. The other direction is left as it is.
func (n *Net) CutOneWay(from, to *Host) {
	n.t.Helper()
	n.set(func() { n.cuts[pair{from.name, to.name}] = true })
}

// Heal undoes Cut and CutOneWay, whichever way. The hosts' links stay as they
// are.
func (n *Net) Heal(a, b *Host) {
	n.t.Helper()
	n.set(func() {
		delete(n.cuts, pair{a.name, b.name})
		delete(n.cuts, pair{b.name, a.name})
	})
}

// set changes what the router's rules are made of, and has it use them.
func (n *Net) set(change func()) {
	n.t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	change()
	n.check(n.apply())
}

// batch runs ip once for each line.
func (n *Net) batch(lines ...string) {
	n.t.Helper()
	for _, line := range lines {
		_, err := run("", append([]string{"ip"}, words(line)...)...)
		n.check(err)
	}
}

func (n *Net) check(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatalf("lab: %v", err)
	}
}
