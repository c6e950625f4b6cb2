package upgrade

import (
	"os"
	"os/exec"
	"syscall"
)

// startWatched starts cmd and returns a channel that is closed when it has ended.
//
// Under systemd the new process becomes systemd's child, as this one is, and not
// this one's. systemd does not see the end of a main process that was another's
// child when it became the main one. At a stop it would kill such a process and
// not wait for its drain (without cgroup v2, or with KillMode=mixed).
func startWatched(cmd *exec.Cmd) (<-chan struct{}, error) {
	if os.Getenv("NOTIFY_SOCKET") == "" || os.Getppid() != 1 || !pidfds() {
		return startChild(cmd)
	}
	fd := -1
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_PARENT, PidFD: &fd}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	dead := make(chan struct{})
	go func() {
		awaitReadable(fd) // readable when the process has ended, whoever's child it is
		close(dead)
	}()
	return dead, nil
}

// pidfds reports whether the kernel has descriptors of processes that can be
// waited for: Linux 5.3.
func pidfds() bool {
	const pidfdOpen = 434 // of all architectures
	fd, _, errno := syscall.Syscall(pidfdOpen, uintptr(os.Getpid()), 0, 0)
	if errno != 0 {
		return false
	}
	return syscall.Close(int(fd)) == nil
}

// awaitReadable returns when fd is readable, and closes it.
func awaitReadable(fd int) {
	_ = syscall.SetNonblock(fd, true) // for the runtime's poller to take it
	f := os.NewFile(uintptr(fd), "process")
	defer f.Close()
	if raw, err := f.SyscallConn(); err == nil {
		asked := false
		_ = raw.Read(func(uintptr) bool {
			before := asked
			asked = true
			return before
		})
	}
}
