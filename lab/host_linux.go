package lab

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Host is a network namespace with one link.
type Host struct {
	// Set once.
	net    *Net
	name   string
	ns     string
	number int      // of its network, 10.X.Y.0/24
	file   *os.File // the namespace

	moves atomic.Int32 // how often it got another address

	// Guarded by Net.mu.
	up, down         way
	upRate, downRate int      // bits per second; 0: no bound
	delayed          *delayed // nil: the link is a veth
}

// Name returns the name it was given.
func (h *Host) Name() string { return h.name }

// Link returns both directions of the host's link, Uplink what the host sends,
// Downlink what it gets.
func (h *Host) Link() Link     { return Link{h, true, true} }
func (h *Host) Uplink() Link   { return Link{h, true, false} }
func (h *Host) Downlink() Link { return Link{h, false, true} }

func (h *Host) address(last int) string {
	return fmt.Sprintf("10.%d.%d.%d", h.number>>8, h.number&255, last)
}

// IP returns the host's IPv4 address.
func (h *Host) IP() string { return h.address(2 + int(h.moves.Load())) }

// Addr returns the host's address with a port, as Dial and Listen want it.
func (h *Host) Addr(port int) string { return net.JoinHostPort(h.IP(), strconv.Itoa(port)) }

// Move takes the host's address away and gives it another one, as a phone's
// network does. Whoever talks to the old one is not told. A host can move 200
// times.
func (h *Host) Move() {
	h.net.t.Helper()
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	old := h.IP()
	if h.moves.Add(1) > 200 {
		h.net.t.Fatalf("lab: %s has had all its addresses", h.name)
	}
	// With the address goes the route through its network, and that by way of it.
	h.net.batch("-n "+h.ns+" address del "+old+"/24 dev eth0",
		"-n "+h.ns+" address add "+h.IP()+"/24 dev eth0",
		"-n "+h.ns+" route add default via "+h.address(1))
}

// MTU sets the size of the largest IP packet that the router sends to the host.
// It answers larger ones with an ICMP message that says so. The host itself does
// not know. It is 1500 at first.
func (h *Host) MTU(size int) {
	h.net.t.Helper()
	h.net.batch(fmt.Sprintf("-n %s link set dev %s mtu %d", h.net.router(), h.name, size))
}

// Sysctl sets one of the host's own kernel settings, as in
// "net.ipv4.tcp_mtu_probing".
func (h *Host) Sysctl(key, value string) {
	h.net.t.Helper()
	h.net.check(sysctl(h.ns, key, value))
}

func sysctl(ns, key, value string) error {
	_, err := run(value, "nsenter", "--net="+filepath.Join(names, ns), "tee", "/proc/sys/"+strings.ReplaceAll(key, ".", "/"))
	return err
}

// Command is [exec.Command] inside the host. The process has the test's files
// and rights; only its network is the host's. It is killed at the end, if it still
// runs.
func (h *Host) Command(name string, args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"--net=" + filepath.Join(names, h.ns), "--", name}, args...)...)
}

// Do calls f on a thread that is inside the host. Sockets that f makes are the
// host's, and stay so. Goroutines that f starts are not inside.
func (h *Host) Do(f func() error) error { return inside(h.file, f) }

// inside calls f on a thread that is in a namespace.
func inside(ns *os.File, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := os.Open("/proc/thread-self/ns/net")
		if err == nil {
			defer home.Close()
			err = enter(ns)
		}
		if err != nil {
			runtime.UnlockOSThread()
			done <- fmt.Errorf("lab: entering a namespace: %w", err)
			return
		}
		err = f()
		// A thread that does not find home stays locked, and ends here.
		if enter(home) == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

// enter moves this thread. It fails if the file was closed, even just now: who
// dials may not know that the host is removed.
func enter(ns *os.File) error {
	raw, err := ns.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = unix.Setns(int(fd), unix.CLONE_NEWNET) })
	return cmp.Or(err, failed)
}

// Dial connects from inside the host. The address has to be one of numbers: names
// are not looked up. It takes a thread until it is connected, for a minute at
// most.
func (h *Host) Dial(network, addr string) (net.Conn, error) {
	return h.DialContext(context.Background(), network, addr)
}

// DialContext is Dial with a context, for http.Transport and the like.
func (h *Host) DialContext(ctx context.Context, network, addr string) (conn net.Conn, err error) {
	err = h.Do(func() (err error) {
		conn, err = (&net.Dialer{Timeout: time.Minute}).DialContext(ctx, network, addr)
		return err
	})
	return conn, err
}

// Listen listens inside the host.
func (h *Host) Listen(network, addr string) (l net.Listener, err error) {
	err = h.Do(func() (err error) {
		l, err = net.Listen(network, addr)
		return err
	})
	return l, err
}

// ListenPacket is [net.ListenPacket] inside the host.
func (h *Host) ListenPacket(network, addr string) (c net.PacketConn, err error) {
	err = h.Do(func() (err error) {
		c, err = net.ListenPacket(network, addr)
		return err
	})
	return c, err
}

// HTTP returns a client whose connections begin inside the host, one for each
// request, which has a minute.
func (h *Host) HTTP() *http.Client {
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{DialContext: h.DialContext, DisableKeepAlives: true}}
}

// Remove takes the host away as if its power had failed: first the link, so that
// nothing goes out any more, then its processes, which are killed. Its name
// is free again, its network is not used a second time. Sockets that the test
// itself has in it are the test's to close.
func (h *Host) Remove() {
	n := h.net
	n.t.Helper()
	n.batch("-n " + n.router() + " link del dev " + h.name)
	n.set(func() {
		for i := range n.hosts {
			if n.hosts[i] == h {
				n.hosts = append(n.hosts[:i:i], n.hosts[i+1:]...)
				break
			}
		}
		for p := range n.cuts {
			if p.from == h.name || p.to == h.name {
				delete(n.cuts, p)
			}
		}
	})
	h.close()
	_, err := run("", "sh", "-c", sweep, "sh", strconv.Itoa(os.Getpid()), h.ns)
	n.check(err)
}

// close gives back what this process has of the host.
func (h *Host) close() {
	h.delayed.close()
	h.file.Close()
}

// quiet makes an interface send packets as they go over a wire, one at a time.
func quiet(ns, dev string) error {
	_, err := run("", "ip", "-n", ns, "link", "set", "dev", dev, "gso_max_segs", "1", "gso_max_size", "1514")
	return err
}

func words(line string) []string { return strings.Fields(line) }
