//go:build linux

package netpoll

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestToken(t *testing.T) {
	for _, c := range [][2]uint32{{0, 0}, {1, 2}, {1<<32 - 1, 0}, {0, 1<<32 - 1}, {7, 1 << 31}} {
		k := MakeToken(c[0], c[1])
		if k.Slot() != c[0] || k.Generation() != c[1] {
			t.Errorf("MakeToken(%d, %d) gives %d, %d", c[0], c[1], k.Slot(), k.Generation())
		}
	}
}

// noLeak counts this process's descriptors; at the end of the test there must be as many.
func noLeak(t *testing.T) {
	t.Helper()
	before := descriptors(t)
	t.Cleanup(func() {
		for end := time.Now().Add(20 * time.Second); descriptors(t) > before; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Errorf("%d descriptors before, %d after", before, descriptors(t))
				return
			}
		}
	})
}

// descriptors are those that this process has open, without the one that reads.
func descriptors(t *testing.T) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(names) - 1
}

func newPoller(t testing.TB) *Poller {
	t.Helper()
	p, err := NewPoller()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// pair is a connected pair of raw sockets.
func pair(t testing.TB) (a, b int) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return fds[0], fds[1]
}

func TestEventsCarryTokens(t *testing.T) {
	noLeak(t)
	p := newPoller(t)
	events := make([]Event, 16)
	var peers []int
	for i := range uint32(5) {
		a, b := pair(t)
		defer Close(a)
		defer Close(b)
		if err := p.Add(a, MakeToken(i, i*1000+1), Edge); err != nil {
			t.Fatal(err)
		}
		peers = append(peers, b)
	}
	if n, woken, err := p.Wait(events, 0); n != 0 || woken || err != nil {
		t.Fatalf("nothing is ready, Wait says %d %v %v", n, woken, err)
	}
	for _, b := range peers {
		if _, err := Write(b, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	n, _, err := p.Wait(events, time.Second)
	if n != 5 || err != nil {
		t.Fatalf("5 are ready, Wait says %d %v", n, err)
	}
	for i := range events[:n] {
		k := events[i].Token()
		if !events[i].Readable() || events[i].Ended() || events[i].Writable() || k.Generation() != k.Slot()*1000+1 {
			t.Errorf("event %+v", events[i])
		}
	}
	if n, _, _ := p.Wait(events, 0); n != 0 {
		t.Errorf("edge-triggered events came twice: %d", n)
	}
}

func TestEndOfStream(t *testing.T) {
	noLeak(t)
	p := newPoller(t)
	a, b := pair(t)
	defer Close(a)
	if err := p.Add(a, MakeToken(1, 1), Edge); err != nil {
		t.Fatal(err)
	}
	Write(b, []byte("last words"))
	Close(b)
	events := make([]Event, 4)
	n, _, err := p.Park(events)
	if n != 1 || err != nil || !events[0].Ended() || !events[0].Readable() {
		t.Fatalf("%d %v %+v", n, err, events[0])
	}
	buf := make([]byte, 64)
	if n, err := Read(a, buf); err != nil || string(buf[:n]) != "last words" {
		t.Fatalf("%q %v", buf[:n], err)
	}
	if n, err := Read(a, buf); n != 0 || err != nil {
		t.Fatalf("at the end Read says %d %v, want 0 and no error", n, err)
	}
}

func TestWakeAndTick(t *testing.T) {
	noLeak(t)
	p := newPoller(t)
	events := make([]Event, 4)
	for range 3 { // several calls before a Wait are one
		if err := p.Wake(); err != nil {
			t.Fatal(err)
		}
	}
	if n, woken, err := p.Wait(events, 0); n != 0 || !woken || err != nil {
		t.Fatalf("after Wake: %d %v %v", n, woken, err)
	}
	if _, woken, _ := p.Wait(events, 0); woken {
		t.Fatal("woken twice")
	}
	woken := make(chan bool)
	go func() {
		_, w, _ := p.Park(events)
		woken <- w
	}()
	p.Wake()
	if !<-woken {
		t.Fatal("Park returned for nothing")
	}
	if err := p.Tick(time.Millisecond); err != nil {
		t.Fatal(err)
	}
	for range 5 { // each expiry is an event of its own
		if n, w, err := p.Park(events); n != 0 || !w || err != nil {
			t.Fatalf("tick: %d %v %v", n, w, err)
		}
	}
}

// TestLook: it does not wait, and it lets goroutines go on that wait in the
// runtime's poller, which a goroutine that never blocks has nobody look at for
// 10 ms on a single processor.
func TestLook(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	p := newPoller(t)
	a, b := pair(t)
	defer Close(a)
	defer Close(b)
	if err := p.Add(a, MakeToken(1, 1), Edge); err != nil {
		t.Fatal(err)
	}
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	defer out.Close()
	var heard atomic.Int64
	go func() {
		buf := make([]byte, 1)
		for {
			if _, err := in.Read(buf); err != nil {
				return
			}
			heard.Add(1)
		}
	}()
	events := make([]Event, 8)
	if n, woken, err := p.Look(events, false); n != 0 || woken || err != nil {
		t.Fatalf("nothing is ready: %d %v %v", n, woken, err)
	}
	const rounds = 200
	for i := range int64(rounds) {
		if _, err := out.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		for looks := 0; heard.Load() == i; looks++ {
			if looks == 1000 {
				t.Fatal("who waits for input does not get it")
			}
			if n, woken, err := p.Look(events, true); n != 0 || woken || err != nil {
				t.Fatalf("nothing is ready: %d %v %v", n, woken, err)
			}
		}
	}
	Write(b, []byte("x"))
	p.Wake()
	if n, woken, err := p.Look(events, false); n != 1 || !woken || err != nil {
		t.Fatalf("%d %v %v", n, woken, err)
	}
	if !p.held {
		t.Error("no hold runs")
	}
	eventually := time.Now().Add(5 * time.Second)
	for p.held { // Wait sees its end, and the next Look yields of itself
		if p.Wait(events, 0); time.Now().After(eventually) {
			t.Fatal("a hold does not end")
		}
	}
	if n, woken, err := p.Look(events, false); n != 0 || woken || err != nil || !p.held {
		t.Fatalf("%d %v %v, held: %v", n, woken, err, p.held)
	}
}

func TestOwnEventsAreTakenOut(t *testing.T) {
	p := newPoller(t)
	a, b := pair(t)
	defer Close(a)
	defer Close(b)
	c, d := pair(t)
	defer Close(c)
	defer Close(d)
	p.Add(a, MakeToken(1, 1), Edge)
	p.Add(c, MakeToken(2, 1), Edge)
	Write(b, []byte("x"))
	p.Wake()
	Write(d, []byte("x"))
	events := make([]Event, 8)
	n, woken, err := p.Wait(events, time.Second)
	if n != 2 || !woken || err != nil || events[0].Token().Slot() != 1 || events[1].Token().Slot() != 2 {
		t.Fatalf("%d %v %v %v", n, woken, err, events[:n])
	}
}

func TestWriteUntilFullAndDrain(t *testing.T) {
	noLeak(t)
	p := newPoller(t)
	a, b := pair(t)
	defer Close(a)
	defer Close(b)
	chunk := bytes.Repeat([]byte("0123456789abcdef"), 1024)
	total := 0
	for {
		n, err := Write(a, chunk)
		total += n
		if err == EAGAIN {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if n, err := Writev(a, [][]byte{chunk, chunk}); n != 0 || err != EAGAIN {
		t.Fatalf("Writev on a full socket: %d %v", n, err)
	}
	if err := p.Add(a, MakeToken(3, 1), EdgeWrite); err != nil {
		t.Fatal(err)
	}
	events := make([]Event, 4)
	if n, _, _ := p.Wait(events, 0); n != 0 {
		t.Fatalf("a full socket is reported: %+v", events[:n])
	}
	buf := make([]byte, 1<<20)
	for got := 0; got < total; {
		n, err := Read(b, buf)
		if err != nil {
			t.Fatal(err)
		}
		got += n
	}
	if n, _, err := p.Park(events); n != 1 || err != nil || !events[0].Writable() {
		t.Fatalf("a drained socket is not reported: %d %v", n, err)
	}
	if n, err := Writev(a, [][]byte{[]byte("one "), nil, []byte("two")}); n != 7 || err != nil {
		t.Fatalf("Writev: %d %v", n, err)
	}
	n, _ := Read(b, buf)
	if string(buf[:n]) != "one two" {
		t.Fatalf("%q", buf[:n])
	}
}

func TestWriteToTheGone(t *testing.T) {
	a, b := pair(t)
	defer Close(a)
	Close(b)
	if _, err := Write(a, []byte("x")); !errors.Is(err, syscall.EPIPE) { // and no SIGPIPE
		t.Fatalf("%v", err)
	}
}

func TestListenAcceptDial(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0", ":0"} {
		t.Run(addr, func(t *testing.T) {
			noLeak(t)
			l, err := Listen(addr, Options{UserTimeout: 7 * time.Second, NotsentLowat: 4242})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			if _, _, err := l.Accept(); err != EAGAIN {
				t.Fatalf("nobody is there, Accept says %v", err)
			}
			to := netip.MustParseAddrPort(l.Addr())
			local := netip.AddrPort{}
			if addr == ":0" {
				if os.Getenv("WSD_EMULATOR") != "" {
					t.Skip("qemu-user does not have IP_BIND_ADDRESS_NO_PORT, which Dial from an address asks for")
				}
				to = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), to.Port())
				local = netip.MustParseAddrPort("127.0.0.9:0")
			}
			fd, done, err := Dial(local, to)
			if err != nil {
				t.Fatal(err)
			}
			defer Close(fd)
			if !done {
				waitFor(t, fd, EdgeWrite)
			}
			if err := SocketError(fd); err != nil {
				t.Fatal(err)
			}
			in, peer := acceptOne(t, l)
			defer Close(in)
			checkAccepted(t, fd, in, peer)
		})
	}
}

func waitFor(t *testing.T, fd int, in Interest) {
	t.Helper()
	p := newPoller(t)
	if err := p.Add(fd, MakeToken(0, 1), in); err != nil {
		t.Fatal(err)
	}
	events := make([]Event, 1)
	if n, _, err := p.Wait(events, 5*time.Second); n != 1 || err != nil {
		t.Fatalf("%d %v", n, err)
	}
}

func acceptOne(t *testing.T, l *Listener) (int, netip.AddrPort) {
	t.Helper()
	waitFor(t, l.Fd(), Level)
	in, peer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return in, peer
}

// checkAccepted looks at an accepted socket: who is it, and has it the listener's options?
func checkAccepted(t *testing.T, dialed, in int, peer netip.AddrPort) {
	t.Helper()
	sa, err := syscall.Getsockname(dialed)
	if err != nil {
		t.Fatal(err)
	}
	var want netip.AddrPort
	switch sa := sa.(type) {
	case *syscall.SockaddrInet4:
		want = netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *syscall.SockaddrInet6:
		want = netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
	}
	if peer != want {
		t.Errorf("the peer is %v, Accept says %v", want, peer)
	}
	for _, o := range []struct{ name, want int }{{syscall.TCP_NODELAY, 1}, {18 /* TCP_USER_TIMEOUT */, 7000}, {25 /* TCP_NOTSENT_LOWAT */, 4242}} {
		if v, err := syscall.GetsockoptInt(in, syscall.IPPROTO_TCP, o.name); err != nil || v != o.want {
			t.Errorf("TCP option %d is %d (%v), want %d: it is not inherited", o.name, v, err, o.want)
		}
	}
	if v, _ := syscall.GetsockoptInt(in, syscall.SOL_SOCKET, syscall.SO_KEEPALIVE); v != 0 {
		t.Error("keepalive probes are on")
	}
	if _, err := Read(in, make([]byte, 1)); err != EAGAIN {
		t.Errorf("an accepted socket blocks: %v", err)
	}
}

func TestUnixListener(t *testing.T) {
	noLeak(t)
	path := filepath.Join(t.TempDir(), "s")
	l, err := Listen("unix:"+path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Listen("unix:"+path, Options{}); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Fatalf("a socket in use was taken: %v", err)
	}
	probe, _ := acceptOne(t, l) // Listen has looked whether somebody is there
	Close(probe)
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	in, peer := acceptOne(t, l)
	if peer.IsValid() || l.Addr() != "unix:"+path {
		t.Errorf("%v %v", peer, l.Addr())
	}
	Write(in, []byte("hi"))
	Close(in)
	if p, err := io.ReadAll(c); string(p) != "hi" || err != nil {
		t.Fatalf("%q %v", p, err)
	}
	c.Close()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("Close left the socket file behind")
	}
	stale(t, path)
}

// stale: a file that nobody listens on is replaced.
func stale(t *testing.T, path string) {
	t.Helper()
	fd, _ := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	syscall.Bind(fd, &syscall.SockaddrUnix{Name: path})
	syscall.Close(fd)
	l, err := Listen("unix:"+path, Options{})
	if err != nil {
		t.Fatalf("a stale socket is in the way: %v", err)
	}
	l.Close()
}

func TestListenErrors(t *testing.T) {
	l, err := Listen("127.0.0.1:0", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, addr := range []string{"", "8066", "127.0.0.1:http-alt-x", "127.0.0.1:70000", "unix:", "unix:/nowhere/at/all", "no such host:1", l.Addr()} {
		bad, err := Listen(addr, Options{})
		if err == nil {
			bad.Close()
			t.Errorf("Listen(%q) works", addr)
		} else if !strings.Contains(err.Error(), addr) {
			t.Errorf("Listen(%q): %v does not name the address", addr, err)
		}
	}
}

func TestInherit(t *testing.T) {
	noLeak(t)
	l, err := Listen("127.0.0.1:0", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	fd, err := Dup(l.Fd())
	if err != nil {
		t.Fatal(err)
	}
	again, err := Inherit(fd)
	if err != nil || again.Addr() != l.Addr() {
		t.Fatalf("%v %v", again, err)
	}
	again.Close()
	a, b := pair(t)
	defer Close(a)
	defer Close(b)
	if _, err := Inherit(a); err == nil {
		t.Error("a connected socket passes for a listener")
	}
}

func TestWatcherCallsOnceUntilRearmed(t *testing.T) {
	noLeak(t)
	w, err := NewWatcher(func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	p := newPoller(t)
	calls := make(chan struct{}, 10)
	if err := w.Watch(p, func() { calls <- struct{}{} }); err != nil {
		t.Fatal(err)
	}
	p.Wake()
	<-calls
	p.Wake() // not rearmed: nobody calls, but it is not lost either
	if err := w.Rearm(p); err != nil {
		t.Fatal(err)
	}
	<-calls
	events := make([]Event, 1)
	if _, woken, _ := p.Wait(events, 0); !woken {
		t.Error("the wake-up is gone")
	}
	if err := w.Forget(p); err != nil {
		t.Fatal(err)
	}
	if len(calls) != 0 {
		t.Errorf("%d calls too many", len(calls))
	}
}

// A program that this one starts, as a live upgrade does, gets none of its
// descriptors: a loop's, or the watcher's.
func TestNoDescriptorIsInherited(t *testing.T) {
	w, err := NewWatcher(func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	p, err := NewPoller()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range open {
		fd, _ := strconv.Atoi(entry.Name())
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC != 0 {
			continue // it was the folder's
		}
		if name, _ := os.Readlink("/proc/self/fd/" + entry.Name()); strings.HasPrefix(name, "anon_inode:") {
			t.Errorf("descriptor %d, %s, is handed to every program that is started", fd, name)
		}
	}
}

func TestExhausted(t *testing.T) {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS, os.NewSyscallError("epoll_ctl", syscall.ENOSPC)} {
		if !Exhausted(e) {
			t.Errorf("%v is a want of descriptors or memory", e)
		}
	}
	for _, e := range []error{nil, syscall.ECONNABORTED, EAGAIN, io.EOF} {
		if Exhausted(e) {
			t.Errorf("%v is not", e)
		}
	}
}
