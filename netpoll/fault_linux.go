//go:build !faults

package netpoll

import "golang.org/x/sys/unix"

// What follows stands beside the system calls of this package. In a build with the
// tag "faults", for tests, it has them fail (fault_on_linux.go). In any other it is
// constant, and the compiler leaves nothing of it: the code of the callers is what
// it would be without.

// before the call: the error that it is not made for.
func before(string, int) error { return nil }

// after it, when nothing is lost by having made it: the error that is told instead.
func after(_ string, err error) error { return err }

// opened is after for a call that makes a descriptor.
func opened(fd int, err error) (int, error) { return fd, err }

// faultySize is before for a call that moves bytes, and how many it may move.
func faultySize(_ string, _, size int) (int, unix.Errno) { return size, 0 }

// faultyPieces is the same for pieces of bytes.
func faultyPieces(_ int, pieces [][]byte) ([][]byte, error) { return pieces, nil }

// faultyWait is the same for events. ms is the time-out.
func faultyWait(_, room, _ int) (int, unix.Errno) { return room, 0 }

// faultyCtl is before for epoll_ctl. It is told who waits for what.
func faultyCtl(*Poller, int, int, *unix.EpollEvent) error { return nil }

// closing hears of a descriptor that is about to be closed.
func closing(int) {}
