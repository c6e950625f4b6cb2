package main

import (
	"net"
	"os"
	"syscall"
)

// mayControl: the peer is root, or the user that the server runs as.
func mayControl(c net.Conn) bool {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return false
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return false
	}
	allowed := false
	err = raw.Control(func(fd uintptr) {
		peer, err := syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
		allowed = err == nil && (peer.Uid == 0 || int(peer.Uid) == os.Geteuid())
	})
	return allowed && err == nil
}

// signalUpgrade asks a process for an upgrade.
const signalUpgrade = syscall.SIGUSR2
