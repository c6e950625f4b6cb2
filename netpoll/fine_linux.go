package netpoll

import (
	"errors"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sysEpollPwait2 has the same number on every architecture (Linux 5.11).
const sysEpollPwait2 = 441

// brief is how long WaitFine may sleep without telling the Go scheduler. The
// scheduler's own bookkeeping costs more than so short a sleep is worth, and
// nothing that needs this processor (a collection, say) is held up for longer.
const brief = time.Millisecond

// NewFinePoller makes a Poller that is waited for with WaitFine (or Wait), not
// with Park: the Go runtime's poller does not know it, and so is not woken,
// thread and all, by every event that a busy loop is awake for anyway.
func NewFinePoller() (*Poller, error) { return makePoller(false) }

// WaitFine is Wait for a load generator's schedule: its timeout is kept to the
// nanosecond rather than rounded up to a millisecond, and a short sleep is one
// system call, not two. A timeout of more than a millisecond is cut to whole ones,
// so that it returns early. On a kernel without epoll_pwait2 it is Wait.
func (p *Poller) WaitFine(events []Event, timeout time.Duration) (n int, woken bool, err error) {
	if timeout <= 0 || timeout > brief {
		// Whole milliseconds only, so as to wake early rather than late; the
		// caller's next wait is the short one.
		return p.Wait(events, timeout.Truncate(time.Millisecond))
	}
	ts := unix.NsecToTimespec(int64(timeout))
	r, _, errno := unix.RawSyscall6(sysEpollPwait2, uintptr(p.epfd),
		uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)),
		uintptr(unsafe.Pointer(&ts)), 0, 0)
	switch errno {
	case 0:
		n, woken = p.dropWake(events[:int(r)])
		return n, woken, nil
	case unix.EINTR:
		return 0, false, nil
	case unix.ENOSYS:
		return p.Wait(events, timeout)
	}
	return 0, false, os.NewSyscallError("epoll_pwait2", errno)
}

// FineTimers makes sleeps of the calling thread end when they are due instead
// of up to 50 µs later (PR_SET_TIMERSLACK). The caller has locked itself to it.
func FineTimers() error {
	return os.NewSyscallError("prctl", unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0))
}

// Monotonic is CLOCK_MONOTONIC in nanoseconds: the one clock that all
// processes of a host share.
func Monotonic() (int64, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0, os.NewSyscallError("clock_gettime", err)
	}
	return ts.Nano(), nil
}

// ErrnoName is the symbol of a system call's error, as in "ECONNRESET", or "".
func ErrnoName(err error) string {
	var errno unix.Errno
	if !errors.As(err, &errno) {
		return ""
	}
	return unix.ErrnoName(errno)
}
