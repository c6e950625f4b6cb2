package netpoll

import (
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Interest says what to watch a descriptor for.
type Interest uint32

const (
	// Edge: one event each time more bytes (or the end of the stream) arrive.
	// Whoever gets it must read until a short read, or remember that it did
	// not. Measured against level-triggered in BenchmarkTrigger: the kernel
	// does not look at the socket again on the next wait.
	Edge Interest = unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET
	// EdgeWrite is Edge, and one event each time a full socket has room again.
	EdgeWrite = Edge | unix.EPOLLOUT
	// Level: an event on each wait while the descriptor is readable; for listeners.
	Level Interest = unix.EPOLLIN
)

// Event is one ready descriptor, in the kernel's own layout.
type Event unix.EpollEvent

// Token is what the descriptor was registered with.
// On amd64 and arm64 the fields Fd and Pad are the kernel's 64 bits of data.
func (e *Event) Token() Token { return MakeToken(uint32(e.Fd), uint32(e.Pad)) }

// Readable: bytes or an end of stream can be read.
func (e *Event) Readable() bool {
	return e.Events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0
}

// Writable: a write that found the socket full can be tried again.
func (e *Event) Writable() bool { return e.Events&unix.EPOLLOUT != 0 }

// Ended: the peer closed its side, or the connection is gone. What it sent
// before can still be read.
func (e *Event) Ended() bool {
	return e.Events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0
}

// Poller is one epoll instance with a wake-up descriptor in it. Wait is for
// one goroutine at a time; everything else may be called from anywhere.
type Poller struct {
	epfd   int
	wakefd int
	tickfd int

	gate   *parkGate // for Park; nil of a fine poller
	holdfd int       // the timer that ends a hold
	held   bool      // it runs
}

// hold is how long Doze may keep the goroutine's processor after a Park.
const hold = 2 * time.Millisecond

// NewPoller makes an epoll instance. It costs four descriptors.
func NewPoller() (*Poller, error) { return makePoller(true) }

func makePoller(park bool) (*Poller, error) {
	epfd, err := opened(unix.EpollCreate1(unix.EPOLL_CLOEXEC))
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	wakefd, err := opened(unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK))
	if err != nil {
		unix.Close(epfd)
		return nil, os.NewSyscallError("eventfd", err)
	}
	p := &Poller{epfd: epfd, wakefd: wakefd, tickfd: -1, holdfd: -1}
	if park {
		if err := p.openParkGate(); err != nil {
			p.Close()
			return nil, err
		}
	}
	// Edge-triggered, so that every write to it is an event of its own and
	// nobody ever has to read the counter back to zero.
	if err := p.ctl(unix.EPOLL_CTL_ADD, wakefd, wakeToken, unix.EPOLLIN|unix.EPOLLET); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// Fd is the epoll descriptor; it is readable while a descriptor in it is ready.
func (p *Poller) Fd() int { return p.epfd }

// Add registers fd. ENOSPC (fs.epoll.max_user_watches) and ENOMEM are the
// errors to expect; the caller keeps fd and has to close it.
func (p *Poller) Add(fd int, t Token, in Interest) error {
	return p.ctl(unix.EPOLL_CTL_ADD, fd, t, uint32(in))
}

// Mod changes what fd is watched for. If the new interest is already true an
// event follows, edge-triggered or not.
func (p *Poller) Mod(fd int, t Token, in Interest) error {
	return p.ctl(unix.EPOLL_CTL_MOD, fd, t, uint32(in))
}

// Del forgets fd. Closing the last copy of a descriptor does the same; Del is
// for descriptors that live on.
func (p *Poller) Del(fd int) error {
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(p.epfd, unix.EPOLL_CTL_DEL, fd, nil))
}

func (p *Poller) ctl(op, fd int, t Token, events uint32) error {
	ev := unix.EpollEvent{Events: events, Fd: int32(t.Slot()), Pad: int32(t.Generation())}
	err := faultyCtl(p, op, fd, &ev)
	if err == nil {
		err = unix.EpollCtl(p.epfd, op, fd, &ev)
	}
	if err != nil {
		return os.NewSyscallError("epoll_ctl", err)
	}
	return nil
}

// Wait fills events with what is ready and returns how many there are, after
// at most timeout (rounded up to milliseconds; negative: no bound). The first
// look does not block and does not tell the Go scheduler, which is what a busy
// loop needs; only when nothing is ready does the goroutine go to sleep in the
// kernel. woken says that Wake was called or a tick fell due since the last Wait.
func (p *Poller) Wait(events []Event, timeout time.Duration) (n int, woken bool, err error) {
	n, err = epollLook(p.epfd, events)
	if n == 0 && err == nil && timeout != 0 {
		n, err = epollBlock(p.epfd, events, timeout)
	}
	if err != nil {
		return 0, false, os.NewSyscallError("epoll_wait", err)
	}
	n, woken = p.dropWake(events[:n])
	return n, woken, nil
}

// openParkGate makes what Park and Doze need beside the epoll instance.
func (p *Poller) openParkGate() (err error) {
	if p.gate, err = newParkGate(p.epfd); err != nil {
		return err
	}
	p.holdfd, err = p.timer(holdToken)
	return err
}

// Doze is Wait for events that are microseconds apart: it sleeps in the kernel and
// keeps the goroutine's processor. Two things make that cheap. The scheduler is not
// told of the sleep: its monitor would look every 20 µs whether to take the
// processor away, which at 20,000 heartbeats a second is a sixth of all CPU. And the
// sleep has no time-out: the kernel would program a timer for each, on a virtual
// machine another sixth. Instead one timer, started by Park, ends all sleeps, so
// that other goroutines wait 2 ms at most for the processor. After that, and before
// the first Park, Doze returns nothing at once.
func (p *Poller) Doze(events []Event) (n int, woken bool, err error) {
	if !p.held {
		return 0, false, nil
	}
	n, err = epollHold(p.epfd, events)
	if err != nil {
		return 0, false, os.NewSyscallError("epoll_wait", err)
	}
	n, woken = p.dropWake(events[:n])
	return n, woken, nil
}

// Park is Wait without a bound, with the goroutine parked in the Go runtime's
// own poller, where it holds no processor and no thread. A Tick bounds it. Even
// if it has something at once, other goroutines get a turn.
func (p *Poller) Park(events []Event) (n int, woken bool, err error) {
	runtime.Gosched()
	for n == 0 && !woken { // the end of a hold is nobody's event
		if n, err = p.gate.wait(events); err != nil {
			return 0, false, os.NewSyscallError("epoll_wait", err)
		}
		n, woken = p.dropWake(events[:n])
	}
	if !p.held {
		err = p.wind(hold)
	}
	return n, woken, err
}

// wind starts the timer that ends the hold, d from now.
func (p *Poller) wind(d time.Duration) error {
	p.held = true
	once := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}
	return os.NewSyscallError("timerfd_settime", unix.TimerfdSettime(p.holdfd, 0, &once, nil))
}

// Look is Wait without waiting, for a loop that has other work to do. Every 2 ms,
// as with Doze, and at once if yield is set, other goroutines get a turn first,
// those included that wait for input in the Go runtime's poller.
func (p *Poller) Look(events []Event, yield bool) (n int, woken bool, err error) {
	if p.held && !yield {
		return p.Wait(events, 0)
	}
	// A timer that is due at once makes the poller readable, which is what ends
	// aside. Starting it again takes that event back.
	if err = p.wind(1); err == nil {
		err = os.NewSyscallError("epoll_ctl", p.gate.aside())
	}
	if err == nil {
		err = p.wind(hold)
	}
	if err != nil {
		return 0, false, err
	}
	return p.Wait(events, 0)
}

// dropWake takes the poller's own events out, each of which comes once at most.
func (p *Poller) dropWake(events []Event) (n int, woken bool) {
	for i := range events {
		switch t := events[i].Token(); {
		case t < holdToken:
			if n < i { // order is fairness: close the gap, do not swap
				events[n] = events[i]
			}
			n++
		case t == holdToken:
			p.held = false
		case t == tickToken:
			woken = true
			// The kernel does not wind a periodic timer up again before its
			// count is read.
			var count [8]byte
			_, _ = unix.Read(p.tickfd, count[:])
		default:
			woken = true
		}
	}
	return n, woken
}

// Wake makes the present or the next Wait return. Any goroutine may call it;
// calls that come before that Wait are one.
func (p *Poller) Wake() error {
	one := [8]byte{1}
	for {
		err := before("write", p.wakefd)
		if err == nil {
			_, err = unix.Write(p.wakefd, one[:])
		}
		if err != unix.EINTR {
			return os.NewSyscallError("write", err)
		}
	}
}

// Close closes the epoll instance, not the descriptors in it.
func (p *Poller) Close() error {
	unix.Close(p.wakefd)
	for _, timer := range []int{p.tickfd, p.holdfd} {
		if timer >= 0 {
			unix.Close(timer)
		}
	}
	if p.gate != nil {
		p.gate.close()
	}
	return os.NewSyscallError("close", unix.Close(p.epfd))
}

// Tick makes Wait return (as if woken) every interval from now on, for the
// life of the poller. It is called at most once.
func (p *Poller) Tick(interval time.Duration) error {
	fd, err := p.timer(tickToken)
	if err != nil {
		return err
	}
	p.tickfd = fd
	every := unix.NsecToTimespec(int64(interval))
	err = unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Interval: every, Value: every}, nil)
	return os.NewSyscallError("timerfd_settime", err)
}

// timer makes a timer, not running yet, whose expiry is an event with token t.
func (p *Poller) timer(t Token) (int, error) {
	fd, err := opened(unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK))
	if err != nil {
		return -1, os.NewSyscallError("timerfd_create", err)
	}
	if err := p.ctl(unix.EPOLL_CTL_ADD, fd, t, unix.EPOLLIN|unix.EPOLLET); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}
