package netpoll

import (
	"errors"
	"net"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Descriptors is how many descriptors this process may have open at once. The
// Go runtime has already raised the soft limit to the hard one.
func Descriptors() (int, error) {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		return 0, os.NewSyscallError("getrlimit", err)
	}
	return int(min(r.Cur, 1<<31-1)), nil
}

// Exhausted says whether err means that the process or the host has no
// descriptor or memory left for one more socket: a reason to refuse the
// newcomer and to pause accepting, not to stop.
func Exhausted(err error) bool {
	return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.ENOMEM) ||
		errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.ENOSPC)
}

// Reserve opens a descriptor that means nothing: closed in time of need, it is
// room for one more.
func Reserve() (int, error) {
	fd, err := opened(unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0))
	return fd, os.NewSyscallError("open", err)
}

func zone(name string) uint32 {
	if name == "" {
		return 0
	}
	if n, err := strconv.ParseUint(name, 10, 32); err == nil {
		return uint32(n)
	}
	if i, err := net.InterfaceByName(name); err == nil {
		return uint32(i.Index)
	}
	return 0
}
