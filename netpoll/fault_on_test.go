//go:build faults

package netpoll

import (
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// injected has the next call of a name, and none after it, get f.
func injected(t *testing.T, name string, f Fault) *atomic.Bool {
	t.Cleanup(func() { SetFaults(nil) })
	var done atomic.Bool
	SetFaults(func(c Call) (none Fault) {
		if c.Name == name && done.CompareAndSwap(false, true) {
			return f
		}
		return none
	})
	return &done
}

// watchedPair is a connection whose one end a poller watches.
func watchedPair(t *testing.T) (p *Poller, fd int, peer *net.TCPConn) {
	t.Helper()
	ln, err := Listen("127.0.0.1:0", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("tcp", ln.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	for fd, _, err = ln.Accept(); err == EAGAIN; fd, _, err = ln.Accept() {
		time.Sleep(time.Millisecond)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = Close(fd) })
	if p, err = NewPoller(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	if err := p.Add(fd, MakeToken(1, 1), EdgeWrite); err != nil {
		t.Fatal(err)
	}
	return p, fd, c.(*net.TCPConn)
}

// events waits for what is ready, up to a time.
func events(t *testing.T, p *Poller, patience time.Duration) (all uint32) {
	t.Helper()
	list := make([]Event, 4)
	n, _, err := p.Wait(list, patience)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list[:n] {
		all |= e.Events
	}
	return all
}

// TestFaultsAreFollowedByEvents: behind an EAGAIN and behind what is short an event
// comes for the rest, unless it is held.
func TestFaultsAreFollowedByEvents(t *testing.T) {
	for _, f := range []Fault{{Errno: unix.EAGAIN}, {Size: 2}, {Errno: unix.EAGAIN, Hold: true}, {Size: 2, Hold: true}} {
		t.Run(fmt.Sprint(f), func(t *testing.T) {
			p, fd, peer := watchedPair(t)
			if _, err := peer.Write([]byte("hello")); err != nil {
				t.Fatal(err)
			}
			if events(t, p, time.Minute)&unix.EPOLLIN == 0 {
				t.Fatal("nothing is to be read")
			}
			injected(t, "recvfrom", f)
			buf := make([]byte, 100)
			if n, err := Read(fd, buf); n != f.Size || f.Errno != 0 && err != f.Errno {
				t.Fatalf("%d, %v", n, err)
			}
			if f.Hold {
				if got := events(t, p, 0); got != 0 {
					t.Fatalf("event %x", got)
				}
				Rearm(fd)
			}
			if events(t, p, time.Minute)&unix.EPOLLIN == 0 {
				t.Fatal("nothing is to be read behind the fault")
			}
			if n, err := Read(fd, buf); n != 5-f.Size || err != nil {
				t.Fatalf("%d, %v", n, err)
			}
			injected(t, "sendmsg", f)
			if n, err := Writev(fd, [][]byte{[]byte("a"), []byte("bcd")}); n != f.Size || f.Errno != 0 && err != f.Errno {
				t.Fatalf("%d, %v", n, err)
			}
			if f.Hold {
				Rearm(fd)
			}
			if events(t, p, time.Minute)&unix.EPOLLOUT == 0 {
				t.Fatal("nothing can be written behind the fault")
			}
		})
	}
}

// TestFaultsThatCannotBe: a peer that has hung up leaves nothing to wait for, and
// one that is told to be gone is.
func TestFaultsThatCannotBe(t *testing.T) {
	p, fd, peer := watchedPair(t)
	_, _ = peer.Write([]byte("hello"))
	_ = peer.CloseWrite()
	for events(t, p, time.Minute)&unix.EPOLLRDHUP == 0 {
	}
	injected(t, "recvfrom", Fault{Errno: unix.EAGAIN})
	if n, err := Read(fd, make([]byte, 100)); n != 5 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	injected(t, "sendto", Fault{Errno: unix.ECONNRESET})
	if n, err := Write(fd, []byte("x")); n != 0 || err != unix.ECONNRESET {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := Write(fd, []byte("x")); n != 0 || err != unix.EPIPE {
		t.Errorf("then %d, %v", n, err)
	}
	if n, err := peer.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("the peer reads %d, %v", n, err)
	}
}

// TestFaultsInterrupt: EINTR ends in this package.
func TestFaultsInterrupt(t *testing.T) {
	p, fd, peer := watchedPair(t)
	_, _ = peer.Write([]byte("hello"))
	for events(t, p, time.Minute)&unix.EPOLLIN == 0 {
	}
	for name, call := range map[string]func() error{
		"recvfrom":   func() error { _, err := Read(fd, make([]byte, 9)); return err },
		"sendto":     func() error { _, err := Write(fd, []byte("x")); return err },
		"sendmsg":    func() error { _, err := Writev(fd, [][]byte{{1}}); return err },
		"write":      p.Wake,
		"epoll_wait": func() error { _, _, err := p.Wait(make([]Event, 1), time.Minute); return err },
	} {
		done := injected(t, name, Fault{Errno: unix.EINTR})
		if err := call(); err != nil || !done.Load() {
			t.Errorf("%s: %v, called: %v", name, err, done.Load())
		}
	}
}
