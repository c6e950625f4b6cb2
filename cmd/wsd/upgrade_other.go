//go:build !linux

package main

import (
	"net"
	"os/exec"
	"syscall"
)

// Only Linux has what a handover takes; the server does not run elsewhere.

func mayControl(net.Conn) bool { return false }

func startWatched(cmd *exec.Cmd) (<-chan struct{}, error) { return startChild(cmd) }

const signalUpgrade = syscall.SIGUSR2
