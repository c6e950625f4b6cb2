//go:build faults

package netpoll

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// Call is a system call that is about to be made.
type Call struct {
	Name string // as in "recvfrom"; "open" for every one that makes a descriptor
	Fd   int    // -1 if there is none yet
	Size int    // bytes or events it may move, 0 if it moves none
}

// Fault is what becomes of a call. The zero value is nothing.
type Fault struct {
	Errno syscall.Errno // it fails with this
	Size  int           // or moves so many bytes or events at most, if that is not 0
	// Hold: no event follows an EAGAIN or a short call before Rearm. Else one does.
	Hold bool
}

// Possible is how each call may fail on a real kernel, and so what a test may have
// it fail with; calls that are not here do not fail, given the arguments of this
// package. Three rules keep faults to what can happen:
//
//   - Readiness is edge-triggered. A kernel that says EAGAIN, or takes or gives less
//     than asked for, has had no more at that moment; when it has, it says so. So an
//     injected EAGAIN or short call is followed by an event if the descriptor is
//     ready (Mod does that), as though the rest had come a moment later.
//   - Behind the end of a stream no more can come: a socket whose peer has hung up
//     never says EAGAIN, and one that is broken takes and gives nothing short.
//   - Who breaks stays broken: behind an injected ECONNRESET or its like the socket
//     is shut, so that the peer sees its end, and later calls fail as well.
//
// accept4 leaves the connection in the queue; that one is accepted later, as though
// another one had been in front of it. close has closed the descriptor, whatever it
// says. epoll_ctl fails when it adds; it changes and removes in memory that it has.
// epoll_wait without waiting is not interrupted.
var Possible = map[string][]syscall.Errno{
	"accept4":    {unix.EINTR, unix.EAGAIN, unix.ECONNABORTED, unix.EPERM, unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.ENOBUFS},
	"recvfrom":   {unix.EINTR, unix.EAGAIN, unix.ECONNRESET, unix.ETIMEDOUT, unix.ENOMEM},
	"sendto":     {unix.EINTR, unix.EAGAIN, unix.EPIPE, unix.ECONNRESET, unix.ETIMEDOUT, unix.ENOMEM, unix.ENOBUFS},
	"sendmsg":    {unix.EINTR, unix.EAGAIN, unix.EPIPE, unix.ECONNRESET, unix.ETIMEDOUT, unix.ENOMEM, unix.ENOBUFS},
	"epoll_ctl":  {unix.ENOMEM, unix.ENOSPC},
	"epoll_wait": {unix.EINTR},
	"write":      {unix.EINTR},
	"open":       {unix.EMFILE, unix.ENFILE, unix.ENOMEM},
	"setsockopt": {unix.ENOMEM, unix.ENOBUFS, unix.ENOPROTOOPT},
	"bind":       {unix.EADDRINUSE, unix.EACCES},
	"listen":     {unix.EADDRINUSE},
	"shutdown":   {unix.ENOTCONN},
	"close":      {unix.EINTR, unix.EIO},
}

// faults is the fault injector.
var faults struct {
	plan  atomic.Pointer[func(Call) Fault]
	calls atomic.Uint64

	mu      sync.Mutex
	watches map[int]watch
}

// watch is who waits for a descriptor, and for what.
type watch struct {
	epfd  int
	event unix.EpollEvent
}

// SetFaults has plan asked about every system call of this package, but those that
// cannot fail; nil about none. It is called on many goroutines at once, and must
// neither block nor call this package, but for Rearm.
func SetFaults(plan func(Call) Fault) {
	if plan == nil {
		faults.plan.Store(nil)
		return
	}
	faults.plan.Store(&plan)
}

// Calls is how many system calls there were.
func Calls() uint64 { return faults.calls.Load() }

// Rearm has an event follow for what is ready on fd, as when a peer makes room.
func Rearm(fd int) {
	faults.mu.Lock()
	defer faults.mu.Unlock()
	if w, ok := faults.watches[fd]; ok {
		_ = unix.EpollCtl(w.epfd, unix.EPOLL_CTL_MOD, fd, &w.event)
	}
}

// A program whose environment has WSD_FAULT=calls:SEED:N has one in N of its calls be
// interrupted, say EAGAIN or move less than asked for, at random: no client may
// notice that. (The variable has another use in package server.)
func init() {
	var seed, n uint64
	if k, _ := fmt.Sscanf(os.Getenv("WSD_FAULT"), "calls:%d:%d", &seed, &n); k != 2 || n == 0 {
		return
	}
	var mu sync.Mutex
	rnd := rand.New(rand.NewPCG(seed, 0))
	SetFaults(func(c Call) (f Fault) {
		mu.Lock()
		defer mu.Unlock()
		if rnd.Uint64N(n) > 0 {
			return f
		}
		switch kind := rnd.IntN(3); {
		case kind == 0 && c.Size > 1:
			f.Size = 1 + rnd.IntN(c.Size)
		case kind == 1 && slices.Contains(Possible[c.Name], unix.EAGAIN):
			f.Errno = unix.EAGAIN
		case c.Name != "close" && slices.Contains(Possible[c.Name], unix.EINTR):
			f.Errno = unix.EINTR
		}
		return f
	})
}

func ask(name string, fd, size int) (f Fault) {
	faults.calls.Add(1)
	if plan := faults.plan.Load(); plan != nil {
		f = (*plan)(Call{name, fd, size})
	}
	return f
}

func before(name string, fd int) error {
	if f := ask(name, fd, 0); f.Errno != 0 {
		return f.Errno
	}
	return nil
}

func after(name string, err error) error {
	if f := ask(name, -1, 0); err == nil && f.Errno != 0 {
		return f.Errno
	}
	return err
}

func opened(fd int, err error) (int, error) {
	if f := ask("open", -1, 0); err == nil && f.Errno != 0 {
		unix.Close(fd)
		return -1, f.Errno
	}
	return fd, err
}

func faultySize(name string, fd, size int) (int, unix.Errno) {
	f := ask(name, fd, size)
	if name == "accept4" || f.Errno == unix.EINTR {
		return size, f.Errno
	}
	short := f.Size > 0 && f.Size < size
	switch {
	case f.Errno == 0 && !short:
		return size, 0
	case f.Errno == unix.EAGAIN || f.Errno == 0:
		if ended(fd, name == "recvfrom") {
			return size, 0
		}
		if !f.Hold {
			Rearm(fd)
		}
	case !Exhausted(f.Errno):
		_ = unix.Shutdown(fd, unix.SHUT_RDWR)
	}
	if short {
		size = f.Size
	}
	return size, f.Errno
}

// ended: the descriptor is broken, or, for who reads, its peer has hung up.
func ended(fd int, reads bool) bool {
	look := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
	end := int16(unix.POLLERR | unix.POLLHUP)
	if reads {
		end |= unix.POLLRDHUP
	}
	n, err := unix.Poll(look, 0)
	return n > 0 && err == nil && look[0].Revents&end != 0
}

func faultyPieces(fd int, pieces [][]byte) ([][]byte, error) {
	size := 0
	for _, p := range pieces {
		size += len(p)
	}
	most, errno := faultySize("sendmsg", fd, size)
	if errno != 0 {
		return nil, errno
	}
	if most == size {
		return pieces, nil
	}
	var some [][]byte
	for _, p := range pieces {
		p = p[:min(len(p), most)]
		if most -= len(p); len(p) > 0 {
			some = append(some, p)
		}
	}
	return some, nil
}

func faultyWait(epfd, room, ms int) (int, unix.Errno) {
	f := ask("epoll_wait", epfd, room)
	if f.Size > 0 {
		room = min(room, f.Size)
	}
	if ms == 0 {
		return room, 0
	}
	return room, f.Errno
}

func faultyCtl(p *Poller, op, fd int, ev *unix.EpollEvent) error {
	if op == unix.EPOLL_CTL_ADD {
		if f := ask("epoll_ctl", fd, 0); f.Errno != 0 {
			return f.Errno
		}
	}
	faults.mu.Lock()
	defer faults.mu.Unlock()
	if faults.watches == nil {
		faults.watches = map[int]watch{}
	}
	faults.watches[fd] = watch{p.epfd, *ev}
	return nil
}

func closing(fd int) {
	faults.mu.Lock()
	defer faults.mu.Unlock()
	delete(faults.watches, fd)
}
