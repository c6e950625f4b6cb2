package vm

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestNetem: delay, loss, reordering and duplication close no healthy client. Each
// heartbeat is answered, each message arrives, once and in order.
func TestNetem(t *testing.T) {
	p := start(t, nil)
	well := join(t, p.listen, 100, 20*time.Millisecond)
	published := int64(0)
	for _, c := range []struct {
		name    string
		netem   netem
		counter string // that shows that it happened
	}{
		{"delay", netem{delay: 50 * time.Millisecond, jitter: 10 * time.Millisecond}, ""},
		{"loss", netem{loss: 10}, "Tcp RetransSegs"},
		{"reordering", netem{delay: 10 * time.Millisecond, reorder: 30}, "TcpExt TCPOFOQueue"},
		{"duplication", netem{duplicate: 30}, "TcpExt TCPDSACKOldSent"},
		{"all of them", netem{delay: 20 * time.Millisecond, jitter: 20 * time.Millisecond, loss: 5, duplicate: 5, reorder: 20}, "Tcp RetransSegs"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if testing.Short() && c.name != "all of them" {
				t.Skip("all of them are enough")
			}
			before := 0
			if c.counter != "" {
				before = tcpCounter(t, c.counter)
			}
			impair(t, c.netem)
			began := time.Now()
			well.served("with " + c.name)
			if took := time.Since(began); c.counter == "" && took < c.netem.delay {
				t.Errorf("two heartbeats took %v, with a delay of %v each way", took, c.netem.delay)
			}
			for range 5 {
				p.publish("all", 8<<10)
				published++
			}
			well.informed(published)
			if c.counter != "" {
				if n := tcpCounter(t, c.counter) - before; n == 0 {
					t.Errorf("%s has not risen: nothing happened to the packets", c.counter)
				} else {
					t.Logf("%s rose by %d", c.counter, n)
				}
			}
		})
	}
	well.served("afterwards")
	if s := p.stats(); s.Clients.Open != 100 || len(closes(s.Closed)) > 0 {
		t.Errorf("%d clients are open, closed %v", s.Clients.Open, closes(s.Closed))
	}
}

// closes are the reasons that closed somebody.
func closes(all map[string]uint64) map[string]uint64 {
	some := map[string]uint64{}
	for reason, n := range all {
		if n > 0 {
			some[reason] = n
		}
	}
	return some
}

// TestConntrack: when the kernel tracks connections and its table is full,
// newcomers do not get through to the server, and connected clients notice
// nothing. `wsd tune check` names the table.
func TestConntrack(t *testing.T) {
	p := start(t, nil)
	well := join(t, p.listen, 50, 50*time.Millisecond)
	well.served("before")
	p.stats()
	load(t, "enable_hooks=1", "libcrc32c", "nf_defrag_ipv4", "nf_defrag_ipv6", "nf_conntrack")
	t.Cleanup(func() {
		well.leave()
		until(t, "nothing is tracked", func() bool { return unix.DeleteModule("nf_conntrack", unix.O_NONBLOCK) == nil })
	})
	well.served("and are tracked")
	until(t, "all are tracked", func() bool { return firstNumber(t, "net.netfilter.nf_conntrack_count") >= 50 })
	restore := set(t, "net.netfilter.nf_conntrack_max", itoa(firstNumber(t, "net.netfilter.nf_conntrack_count")+10))
	in, refused, timedOut := outcomes(p.listen, 50, 4*time.Second)
	defer closeAll(in)
	t.Logf("of 50 newcomers %d got in, %d were refused, %d waited", len(in), refused, timedOut)
	if timedOut < 30 || refused > 0 {
		t.Errorf("the table was not full")
	}
	well.served("with the table full")
	out, err := exec.Command(wsd, "tune", "check", "--clients=1000").CombinedOutput()
	if err == nil {
		t.Error("wsd tune check finds that the machine fits")
	}
	found := false
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "net.netfilter.nf_conntrack_max" && strings.Contains(line, "fail") {
			found = true
			t.Logf("wsd tune check: %s", line)
		}
	}
	if !found {
		t.Errorf("wsd tune check does not fail for nf_conntrack_max:\n%s", out)
	}
	restore()
	welcome(t, p.listen)
	well.served("afterwards")
}

// TestKernelTLS: this kernel has it, for who wants to try it here.
func TestKernelTLS(t *testing.T) {
	load(t, "", "tls")
	l, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(l)
	if err := unix.Listen(l, 1); err != nil {
		t.Fatal(err)
	}
	at, err := unix.Getsockname(l)
	if err != nil {
		t.Fatal(err)
	}
	c, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(c)
	if err := unix.Connect(c, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: at.(*unix.SockaddrInet4).Port}); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetsockoptString(c, unix.IPPROTO_TCP, unix.TCP_ULP, "tls"); err != nil {
		t.Errorf("TCP_ULP tls: %v", err)
	}
}
