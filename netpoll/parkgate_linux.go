package netpoll

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// parkGate is how a goroutine waits for a poller in the Go runtime's own one. An
// epoll descriptor is itself readable, so the runtime could watch the poller's;
// but it watches for good, and would wake a thread at every event that comes
// while the loop is at work. So an epoll instance stands between the two and
// lets one event through each time somebody waits (EPOLLONESHOT), none else.
//
//	sockets ─► poller ─► park gate ─► Go runtime ─► goroutine
type parkGate struct {
	inner int // the poller's epoll descriptor
	fd    int
	file  *os.File // owns fd
	raw   syscall.RawConn
	pass  func(uintptr) bool // step, bound once
	blink func(uintptr) bool // stepAside, likewise

	// Of the wait under way.
	events  []Event
	waiting bool
	n       int
	err     error
}

func newParkGate(inner int) (*parkGate, error) {
	fd, err := opened(unix.EpollCreate1(unix.EPOLL_CLOEXEC))
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	g := &parkGate{inner: inner, fd: fd}
	g.pass, g.blink = g.step, g.stepAside
	if err := g.open(); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return g, nil
}

func (g *parkGate) open() (err error) {
	if err = after("epoll_ctl", unix.EpollCtl(g.fd, unix.EPOLL_CTL_ADD, g.inner, &unix.EpollEvent{Events: unix.EPOLLONESHOT})); err != nil {
		return os.NewSyscallError("epoll_ctl", err)
	}
	// What makes os.NewFile tell the runtime's poller about a descriptor.
	if err = unix.SetNonblock(g.fd, true); err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	g.file = os.NewFile(uintptr(g.fd), "epoll")
	g.raw, err = g.file.SyscallConn()
	return err
}

// admit opens the park gate for one event. If the poller is readable already, that
// passes at once: nothing is lost in between.
func (g *parkGate) admit() error {
	return unix.EpollCtl(g.fd, unix.EPOLL_CTL_MOD, g.inner, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT})
}

// wait parks the goroutine until the poller has events.
func (g *parkGate) wait(events []Event) (int, error) {
	g.events, g.waiting = events, false
	if err := g.raw.Read(g.pass); err != nil {
		return 0, err
	}
	return g.n, g.err
}

// step looks whether the wait is over, and if not leaves the park gate open for the
// one event that wakes the goroutine. Taking that event shuts it again.
func (g *parkGate) step(uintptr) bool {
	if g.waiting {
		var passed [1]Event
		if n, err := epollLook(g.fd, passed[:]); n > 0 && err == nil {
			g.waiting = false
		}
	}
	if !g.waiting {
		if g.n, g.err = epollLook(g.inner, g.events); g.n > 0 || g.err != nil {
			return true
		}
		g.err = g.admit()
		g.waiting = true
	}
	g.n = 0
	return g.err != nil
}

// aside parks the goroutine once, so that the scheduler runs others that can go on,
// those included that wait in the runtime's poller: Gosched alone would not make it
// look there. The poller must have an event, or be about to: that ends it.
func (g *parkGate) aside() error {
	g.waiting = false
	if err := g.raw.Read(g.blink); err != nil {
		return err
	}
	return g.err
}

func (g *parkGate) stepAside(uintptr) bool {
	if g.waiting {
		var passed [1]Event
		_, _ = epollLook(g.fd, passed[:])
		return true
	}
	g.waiting, g.err = true, g.admit()
	return g.err != nil
}

func (g *parkGate) close() { g.file.Close() }
