package lab

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMain is the test's process, or one that a test started to see it die.
func TestMain(m *testing.M) {
	code := m.Run()
	WriteSkipped(os.Stderr)
	os.Exit(code)
}

// patience is how long anything here may take before the test gives up.
const patience = 30 * time.Second

// until waits for what has to come.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it never came: %s", what)
		}
	}
}

// arrived sends n datagrams of size bytes, and returns how many came before the
// last of all, which is repeated until it comes.
func arrived(t *testing.T, from, to *Host, n, size int) int {
	t.Helper()
	l, err := to.ListenPacket("udp", to.Addr(0))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	// Room for all of them: what is lost is lost on the way.
	raw, err := l.(*net.UDPConn).SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 32<<20) })
	}
	if err != nil {
		t.Fatal(err)
	}
	c, err := from.Dial("udp", l.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	go func() {
		for range n {
			_, _ = c.Write(make([]byte, size))
		}
		for {
			if _, err := c.Write([]byte("end")); err != nil {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	b := make([]byte, 1<<16)
	for got := 0; ; got++ {
		_ = l.SetReadDeadline(time.Now().Add(patience))
		switch n, _, err := l.ReadFrom(b); {
		case err != nil:
			t.Fatal(err)
		case string(b[:n]) == "end":
			return got
		}
	}
}

// reaches tells whether a connection can be made and carries a byte.
func reaches(t *testing.T, from, to *Host) bool {
	t.Helper()
	l, err := to.Listen("tcp", to.Addr(0))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			_, _ = c.Write([]byte{1})
			_ = c.Close()
		}
	}()
	done := make(chan bool, 1)
	go func() {
		c, err := from.Dial("tcp", l.Addr().String())
		if err == nil {
			defer c.Close()
			_, err = io.ReadFull(c, make([]byte, 1))
		}
		done <- err == nil
	}()
	select {
	case ok := <-done:
		return ok
	case <-time.After(3 * time.Second): // three attempts of the kernel's
		return false
	}
}

func TestCuts(t *testing.T) {
	t.Parallel()
	n := New(t)
	a, b, c := n.Host("a"), n.Host("b"), n.Host("c")
	see := func(what string, ab, ac bool) {
		t.Helper()
		if got := reaches(t, a, b); got != ab {
			t.Errorf("%s: a reaches b: %t", what, got)
		}
		if got := reaches(t, a, c); got != ac {
			t.Errorf("%s: a reaches c: %t", what, got)
		}
	}
	see("at first", true, true)
	n.Cut(a, b)
	see("a and b cut", false, true)
	n.Heal(a, b)
	see("healed", true, true)
	b.Link().Cut()
	see("b's link cut", false, true)
	b.Link().Heal()
	see("b's link healed", true, true)
	b.Remove()
	if !reaches(t, a, c) {
		t.Error("without b, a does not reach c")
	}
	if _, err := b.Dial("tcp", a.Addr(80)); err == nil {
		t.Error("a host that is removed dials")
	}
	if b = n.Host("b"); !reaches(t, a, b) {
		t.Error("a does not reach a new b")
	}
}

func TestOneWay(t *testing.T) {
	t.Parallel()
	n := New(t)
	a, b := n.Host("a"), n.Host("b")
	l, err := b.ListenPacket("udp", b.Addr(0))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := a.Dial("udp", l.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	// Each round asks first, so that it knows where the answer goes to.
	got := make(chan string, 1000)
	read := func(name string, r func([]byte) (int, error)) {
		for b := make([]byte, 100); ; {
			n, err := r(b)
			if err != nil {
				return
			}
			got <- name + string(b[:n])
		}
	}
	go read("b:", func(b []byte) (int, error) { n, _, err := l.ReadFrom(b); return n, err })
	go read("a:", c.Read)
	for i, round := range []struct {
		cut          func()
		there, comes bool
	}{
		{func() {}, true, true},
		{func() { n.CutOneWay(a, b) }, false, true},
		{func() { n.Heal(a, b); n.CutOneWay(b, a) }, true, false},
		{func() { n.Heal(a, b); a.Uplink().Cut() }, false, true},
		{func() { a.Uplink().Heal(); a.Downlink().Cut() }, true, false},
		{func() { a.Downlink().Heal() }, true, true},
	} {
		round.cut()
		ask, answer := fmt.Sprint("ask", i), fmt.Sprint("answer", i)
		seen := make(map[string]bool)
		for range 50 {
			_, _ = c.Write([]byte(ask))
			_, _ = l.WriteTo([]byte(answer), c.LocalAddr())
			time.Sleep(2 * time.Millisecond)
		}
		for more := true; more; {
			select {
			case s := <-got:
				seen[s] = true
			case <-time.After(100 * time.Millisecond):
				more = false
			}
		}
		if seen["b:"+ask] != round.there || seen["a:"+answer] != round.comes {
			t.Errorf("round %d: there %t, back %t", i, seen["b:"+ask], seen["a:"+answer])
		}
	}
}

func TestLoss(t *testing.T) {
	t.Parallel()
	n := New(t)
	a, b := n.Host("a"), n.Host("b")
	const sent = 2000
	for _, c := range []struct {
		up, down float64
		from, to int // percent that arrive
	}{{0, 0, 100, 100}, {30, 0, 60, 80}, {0, 30, 60, 80}, {30, 30, 40, 60}, {1, 0, 95, 100}} {
		a.Uplink().Loss(c.up)
		b.Downlink().Loss(c.down)
		got := arrived(t, a, b, sent, 100)
		if got < sent*c.from/100 || got > sent*c.to/100 {
			t.Errorf("%v and %v %% lost: %d of %d arrived", c.up, c.down, got, sent)
		}
		if back := arrived(t, b, a, sent, 100); back != sent {
			t.Errorf("%v and %v %% lost: %d of %d arrived the other way", c.up, c.down, back, sent)
		}
	}
}

// carries tells whether a stream of some length gets through.
func carries(t *testing.T, from, to *Host) bool {
	t.Helper()
	l, err := to.Listen("tcp", to.Addr(0))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := from.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const size = 1 << 20
	go func() { _, _ = c.Write(make([]byte, size)) }()
	peer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	_ = peer.SetReadDeadline(time.Now().Add(5 * time.Second))
	_, err = io.ReadFull(peer, make([]byte, size))
	return err == nil
}

func TestSizes(t *testing.T) {
	t.Parallel()
	n := New(t)
	a, b := n.Host("a"), n.Host("b")
	b.Link().BlackHole(1500) // all packets are as large as Ethernet's at most
	if !carries(t, a, b) {
		t.Error("packets are larger than a link's")
	}
	b.Link().BlackHole(1200)
	if carries(t, a, b) {
		t.Error("large packets get through")
	}
	if got := arrived(t, a, b, 100, 1100); got != 100 {
		t.Errorf("%d of 100 small packets got through", got)
	}
	b.Link().BlackHole(0)
	b.MTU(1200)
	if !carries(t, a, b) {
		t.Error("the sender does not learn the MTU")
	}
}

func TestRate(t *testing.T) {
	t.Parallel()
	n := New(t)
	a, b := n.Host("a"), n.Host("b")
	b.Downlink().Rate(1_000_000)
	if got := arrived(t, a, b, 2000, 1000); got == 2000 || got < 20 {
		t.Errorf("%d of 2000 packets went through a narrow link at once", got)
	}
	if got := arrived(t, b, a, 2000, 1000); got != 2000 {
		t.Errorf("%d of 2000 packets went the other way", got)
	}
	b.Downlink().Rate(0)
	if got := arrived(t, a, b, 2000, 1000); got != 2000 {
		t.Errorf("%d of 2000 packets went through a link that is narrow no more", got)
	}
}

// A delay keeps the order, and what else is set for the link.
func TestDelay(t *testing.T) {
	t.Parallel()
	n := New(t)
	a, b := n.Host("a"), n.Host("b")
	a.Uplink().Rate(1_000_000)
	a.Uplink().Delay(200 * time.Millisecond)
	began := time.Now()
	if !reaches(t, a, b) {
		t.Error("a does not reach b")
	}
	if took := time.Since(began); took < 200*time.Millisecond { // the delay is the contract
		t.Errorf("a connection took %v", took)
	}
	if got := arrived(t, a, b, 2000, 1000); got == 2000 || got < 20 {
		t.Errorf("%d of 2000 packets went through a narrow link at once", got)
	}
	a.Uplink().Rate(0)
	if !carries(t, a, b) || !carries(t, b, a) {
		t.Error("a stream does not get through")
	}
	a.Link().Loss(30)
	if got := arrived(t, a, b, 2000, 100); got < 1200 || got > 1600 {
		t.Errorf("30 %% lost: %d of 2000 arrived", got)
	}
	a.Link().Loss(0)
	n.Cut(a, b)
	if reaches(t, a, b) {
		t.Error("a reaches b, which is cut off")
	}
	a.Remove()
	if !reaches(t, n.Host("a"), b) {
		t.Error("a new a does not reach b")
	}
}

func TestMove(t *testing.T) {
	t.Parallel()
	n := New(t)
	a, b := n.Host("a"), n.Host("b")
	old := b.IP()
	b.Move()
	if b.IP() == old || !reaches(t, a, b) || !reaches(t, b, a) {
		t.Errorf("b had %s, has %s, and is not reached", old, b.IP())
	}
	if l, err := b.Listen("tcp", old+":0"); err == nil {
		l.Close()
		t.Error("b still has its old address")
	}
}

func TestCommand(t *testing.T) {
	t.Parallel()
	n := New(t)
	a := n.Host("a")
	out, err := a.Command("ip", "-4", "-o", "address", "show", "eth0").CombinedOutput()
	if err != nil || !strings.Contains(string(out), a.IP()+"/24") {
		t.Errorf("%v: %s", err, out)
	}
	a.Sysctl("net.ipv4.tcp_mtu_probing", "2")
	if out, err = a.Command("cat", "/proc/sys/net/ipv4/tcp_mtu_probing").CombinedOutput(); err != nil || string(out) != "2\n" {
		t.Errorf("%v: %s", err, out)
	}
}

// left is what there is of the namespaces of a process.
func left(t *testing.T, prefix string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(names, prefix+"*"))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// dying is the variable that makes TestDying that process.
const dying = "LAB_TEST_DYING"

// TestDying is no test, but what TestNothingIsLeft starts: it makes a lab with a
// process in it, says so, and waits or panics.
func TestDying(t *testing.T) {
	how := os.Getenv(dying)
	if how == "" {
		return
	}
	n := New(t)
	a := n.Host("a")
	sleep := a.Command("sleep", "1000")
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	fmt.Printf("\nready %s %d\n", owner(), sleep.Process.Pid)
	switch how {
	case "fail":
		t.Fatal("failed")
	case "panic":
		panic("in the test")
	case "panic elsewhere":
		go panic("in a goroutine")
	}
	select {}
}

func TestNothingIsLeft(t *testing.T) {
	need(t)
	for _, how := range []string{"fail", "panic", "panic elsewhere", "kill", "kill all"} {
		t.Run(how, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run=^TestDying$")
			cmd.Env = append(os.Environ(), dying+"="+how)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
			var prefix string
			var inside int
			for lines := bufio.NewScanner(out); lines.Scan(); {
				if _, err := fmt.Sscanf(lines.Text(), "ready %s %d", &prefix, &inside); err == nil {
					break
				}
			}
			if prefix == "" {
				t.Fatal("it did not get ready")
			}
			go func() { _, _ = io.Copy(io.Discard, out) }()
			if how == "kill all" {
				for _, pid := range keepers(t, prefix) {
					_ = syscall.Kill(pid, syscall.SIGKILL)
				}
			}
			if strings.HasPrefix(how, "kill") {
				_ = cmd.Process.Kill()
			}
			_ = cmd.Wait()
			if how == "kill all" {
				if len(left(t, prefix)) == 0 {
					t.Error("nothing was left, so there is nothing to see")
				}
				New(t)
			}
			until(t, "nothing is left", func() bool { return len(left(t, prefix)) == 0 })
			until(t, "the process inside ends", func() bool { s := started(inside); return s == "" })
		})
	}
}

// keepers are the processes that remove the labs of that owner.
func keepers(t *testing.T, prefix string) (pids []int) {
	t.Helper()
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		line, _ := os.ReadFile(file)
		if bytes.Contains(line, []byte("\x00"+prefix)) {
			var pid int
			if _, err := fmt.Sscanf(file, "/proc/%d/", &pid); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	if len(pids) == 0 {
		t.Fatal("there is no keeper")
	}
	return pids
}

// A leftover is one of a process that is gone, or of another one that has its
// number.
func TestLeftovers(t *testing.T) {
	mine := owner()
	other := fmt.Sprintf("%s%d.1-", mark, os.Getpid())
	got := leftovers([]string{names + "/" + mine + "1-a", names + "/" + other + "1-a", other + "2-b", "wsdlab-", "wsdlab-x.y-1", "other-1.2-3", "wsdlab-99999999.5-1-.router"})
	if fmt.Sprint(got) != fmt.Sprint([]string{other, "wsdlab-99999999.5-"}) {
		t.Errorf("leftovers: %q", got)
	}
}

func TestRules(t *testing.T) {
	n := &Net{cuts: map[pair]bool{{"b", "a"}: true, {"a", "b"}: true}, hosts: []*Host{
		{name: "a", up: way{loss: 0.5, hole: 1200}},
		{name: "b", down: way{cut: true}},
	}}
	want := `table inet lab
delete table inet lab
table inet lab {
chain forward { type filter hook forward priority 0; policy accept;
iifname "a" oifname "b" drop
iifname "b" oifname "a" drop
iifname "a" meta length > 1200 drop
iifname "a" numgen random mod 100000 < 500 drop
oifname "b" drop
}
chain output { type filter hook output priority 0; policy accept;
oifname "b" drop
}
}
`
	if got := n.rules(); got != want {
		t.Errorf("rules:\n%s\nwant:\n%s", got, want)
	}
}
