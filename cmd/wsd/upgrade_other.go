//go:build !linux

package main

import (
	"net"
	"syscall"
)

// Only Linux has what a handover takes; the server does not run elsewhere.

func mayControl(net.Conn) bool { return false }

const signalUpgrade = syscall.SIGUSR2
