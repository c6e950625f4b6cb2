package upgrade

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// pretend listens under the name of a process's control socket and answers.
func pretend(t *testing.T, pid int, answer string) {
	t.Helper()
	l, err := net.Listen("unix", controlName(pid))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, answer)
			c.Close()
		}
	}()
}

// sleeper is another process, of user uid if that is not negative.
func sleeper(t *testing.T, uid int) int {
	t.Helper()
	cmd := exec.Command("sleep", "60")
	if uid >= 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd.Process.Pid
}

// Whoever takes the name of another process's control socket is not believed.
func TestAskChecksWhoListens(t *testing.T) {
	pid := sleeper(t, -1)
	pretend(t, pid, `{"pid":1,"version":"v9","clients":7}`)
	_, err := Ask(pid)
	if want := fmt.Sprintf("process %d of user %d listens under its name", os.Getpid(), os.Geteuid()); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v; want %q", err, want)
	}
}

// What comes from the other end is bounded, whatever comes.
func TestAskBoundsTheReport(t *testing.T) {
	pretend(t, os.Getpid(), `{"error":"`+strings.Repeat("x", maxReport)+`"}`)
	if r, err := Ask(os.Getpid()); err == nil || len(err.Error()) > 1000 {
		t.Errorf("%.200q, %.1000v; want a short error", r.Error, err)
	}
}

// Whoever names no process does not mean another user's.
func TestFindMeansOurServers(t *testing.T) {
	if !mayAsk(sleeper(t, -1)) || !mayAsk(os.Getpid()) {
		t.Error("our own process is not meant")
	}
	if mayAsk(1 << 30) {
		t.Error("no process is meant")
	}
	if os.Geteuid() != 0 {
		if mayAsk(1) {
			t.Error("root's process is meant by a user")
		}
		return
	}
	theirs := sleeper(t, 65534)
	if uid, err := userOf(theirs); err != nil || uid != 65534 {
		t.Errorf("user %d, %v", uid, err)
	}
	if mayAsk(theirs) {
		t.Error("another user's process, of another program, is meant by root")
	}
}
