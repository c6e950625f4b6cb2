package upgrade

import (
	"errors"
	"net"
	"syscall"
)

// peerOf returns the user and the process at the other end of c: who connected,
// or who listens.
func peerOf(c net.Conn) (uid, pid int, err error) {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return 0, 0, errors.ErrUnsupported
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return 0, 0, err
	}
	failed := raw.Control(func(fd uintptr) {
		var peer *syscall.Ucred
		if peer, err = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED); err == nil {
			uid, pid = int(peer.Uid), int(peer.Pid)
		}
	})
	return uid, pid, errors.Join(failed, err)
}
