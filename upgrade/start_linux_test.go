package upgrade

import (
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// A process is seen to end by its descriptor, and not before.
func TestAwaitReadable(t *testing.T) {
	if !pidfds() {
		t.Log("this kernel has no descriptors of processes: its upgrades start children")
		return
	}
	fd := -1
	cmd := exec.Command("cat")
	cmd.SysProcAttr = &syscall.SysProcAttr{PidFD: &fd}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	dead := make(chan struct{})
	go func() {
		awaitReadable(fd)
		close(dead)
	}()
	select {
	case <-dead:
		t.Error("it is said to have ended")
	case <-time.After(50 * time.Millisecond):
	}
	in.Close()
	select {
	case <-dead:
	case <-time.After(10 * time.Second):
		t.Error("its end is not noticed")
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
