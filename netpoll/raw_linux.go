package netpoll

// The system calls of the hot path, made without telling the Go scheduler:
// they never block (the sockets are non-blocking, the wait has no time-out), so
// there is no processor to give away, and the bookkeeping for that would cost
// about as much as the parsing of a heartbeat (BenchmarkRead in this package).
// The buffers are not seen by the race detector here; they belong to one loop.

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// epollLook is epoll_wait with no waiting.
func epollLook(epfd int, events []Event) (int, error) { return epollRaw(epfd, events, 0) }

// epollHold is epoll_wait without a time-out, with the goroutine's processor in
// hand. A signal ends it: the Go runtime sends one when it wants the processor,
// for a collection say.
func epollHold(epfd int, events []Event) (int, error) { return epollRaw(epfd, events, -1) }

// epollRaw is epoll_wait without telling the scheduler. ms is 0 or -1, no bound.
func epollRaw(epfd int, events []Event, ms int) (int, error) {
	room, errno := faultyWait(epfd, len(events), ms)
	var n uintptr
	if errno == 0 {
		n, _, errno = unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epfd),
			uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(room), uintptr(ms), 0, 0)
	}
	switch errno {
	case 0:
		return int(n), nil
	case unix.EINTR:
		return 0, nil
	}
	return 0, errno
}

// epollBlock is epoll_wait that may sleep. A signal ends the sleep early, with
// nothing ready: the caller's loop comes round again.
func epollBlock(epfd int, events []Event, timeout time.Duration) (int, error) {
	ms := -1
	if timeout >= 0 {
		ms = int((timeout + time.Millisecond - 1) / time.Millisecond)
	}
	raw := unsafe.Slice((*unix.EpollEvent)(unsafe.Pointer(unsafe.SliceData(events))), len(events))
	room, errno := faultyWait(epfd, len(raw), ms)
	if errno != 0 {
		return 0, nil
	}
	n, err := unix.EpollWait(epfd, raw[:room], ms)
	if err == unix.EINTR {
		return 0, nil
	}
	return n, err
}

// Read receives what is there into p, which must not be empty. n == 0 with a
// nil error is the end of the stream; [EAGAIN] means nothing is there.
func Read(fd int, p []byte) (int, error) {
	for {
		most, errno := faultySize("recvfrom", fd, len(p))
		var n uintptr
		if errno == 0 {
			n, _, errno = unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd),
				uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(most), unix.MSG_DONTWAIT, 0, 0)
		}
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// Write sends p and returns how much of it the kernel took; less than all of
// it comes with a nil error, none of it with [EAGAIN]. It raises no SIGPIPE.
func Write(fd int, p []byte) (int, error) {
	for {
		most, errno := faultySize("sendto", fd, len(p))
		var n uintptr
		if errno == 0 {
			n, _, errno = unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd),
				uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(most), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		}
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// accept4 leaves the peer's address in sa.
func accept4(fd int, sa *unix.RawSockaddrAny) (int, error) {
	for {
		size := uint32(unsafe.Sizeof(*sa))
		_, errno := faultySize("accept4", fd, 0)
		var n uintptr
		if errno == 0 {
			n, _, errno = unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd),
				uintptr(unsafe.Pointer(sa)), uintptr(unsafe.Pointer(&size)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
		}
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return -1, errno
		}
	}
}

func (l *Listener) peer() (addr rawAddr) {
	switch l.sa.Addr.Family {
	case unix.AF_INET:
		sa := (*unix.RawSockaddrInet4)(unsafe.Pointer(&l.sa))
		return rawAddr{v4: sa.Addr, port: sa.Port, family: unix.AF_INET}
	case unix.AF_INET6:
		sa := (*unix.RawSockaddrInet6)(unsafe.Pointer(&l.sa))
		return rawAddr{v6: sa.Addr, port: sa.Port, family: unix.AF_INET6}
	}
	return rawAddr{}
}
