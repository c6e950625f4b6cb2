package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// manager stands in for systemd: it hears what a service tells it.
type manager struct {
	env  string
	mu   sync.Mutex
	told []string
}

func newManager(t *testing.T) *manager {
	t.Helper()
	file := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: file, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	m := &manager{env: "NOTIFY_SOCKET=" + file}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for buf := make([]byte, 4096); ; {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			m.mu.Lock()
			m.told = append(m.told, string(buf[:n]))
			m.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		c.Close()
		<-ended
	})
	return m
}

// heard reports whether one message has lines that begin with all of these.
func (m *manager) heard(lines ...string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
next:
	for _, told := range m.told {
		for _, line := range lines {
			if !strings.Contains("\n"+told+"\n", "\n"+line) {
				continue next
			}
		}
		return true
	}
	return false
}

// A service manager is told when clients can come, that the loops turn, and
// how long the end may take.
func TestNotify(t *testing.T) {
	m := newManager(t)
	r := serveAs(t, program(t, []string{m.env, "WATCHDOG_USEC=30000"}, "serve", "--log-format=json",
		"--listen=127.0.0.1:0", "--admin=", "--drain-time=2s", "--close-timeout=3s"))
	pid := fmt.Sprintf("MAINPID=%d\n", r.cmd.Process.Pid)
	until(t, "it is ready", func() bool { return m.heard("READY=1", pid, "STATUS=0 clients on 127.0.0.1:") })
	c := r.dial("/ws")
	until(t, "the watchdog hears of the client", func() bool { return m.heard("WATCHDOG=1", "STATUS=1 clients on ") })
	c.Close()
	r.signal(syscall.SIGTERM)
	until(t, "it is stopping", func() bool { return m.heard("STOPPING=1", "EXTEND_TIMEOUT_USEC=17000000\n") })
	if code := r.exit(); code != exitOK {
		t.Errorf("exit code %d: %s", code, r.log)
	}
}

// Listening sockets that are passed take the place of the default address, and
// come beside one that is given.
func TestSocketActivation(t *testing.T) {
	for name, listen := range map[string]string{"alone": "", "beside another": "--listen=127.0.0.1:0"} {
		t.Run(name, func(t *testing.T) {
			passed, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer passed.Close()
			args := []string{"serve", "--log-format=json", "--admin=", "--drain-time=0"}
			if listen != "" {
				args = append(args, listen)
			}
			r := serveAs(t, activated(t, program(t, nil, args...), passed))
			if r.listen != passed.Addr().String() {
				t.Fatalf("it listens on %s, was passed %s", r.listen, passed.Addr())
			}
			if n := len(r.find("serving")["listen"].([]any)); (n == 2) != (listen != "") {
				t.Errorf("it listens on %d addresses", n)
			}
			if got := ask(t, r.dial("/ws"), `{"actioncode":"heart_beat"}`); !strings.Contains(got, "heart_beat") {
				t.Errorf("answered %s", got)
			}
		})
	}
}

// activated passes the listener as systemd does. The number of the process is
// known only within it, hence the shell.
func activated(t *testing.T, cmd *exec.Cmd, l net.Listener) *exec.Cmd {
	t.Helper()
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	cmd.Args = append([]string{"sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`}, cmd.Args...)
	cmd.Path = "/bin/sh"
	cmd.Env = append(cmd.Env, "LISTEN_FDS=1", "LISTEN_FDNAMES=clients")
	cmd.ExtraFiles = []*os.File{file}
	return cmd
}

// What cannot be used is told, and what is for another process is left alone.
func TestInherited(t *testing.T) {
	self := fmt.Sprint(os.Getpid())
	for _, c := range []struct {
		pid, number string
		want        int
		wrong       string
	}{
		{"", "", 0, ""},
		{"1", "2", 0, ""},
		{self, "2", 2, ""},
		{self, "0", 0, ""},
		{self, "many", 0, "LISTEN_FDS=many"},
		{self, "-1", 0, "LISTEN_FDS=-1"},
	} {
		t.Setenv("LISTEN_PID", c.pid)
		t.Setenv("LISTEN_FDS", c.number)
		got, err := inherited()
		if len(got) != c.want || (err != nil) != (c.wrong != "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("LISTEN_PID=%s LISTEN_FDS=%s: %v, %v", c.pid, c.number, got, err)
		}
		if _, set := os.LookupEnv("LISTEN_FDS"); set {
			t.Error("LISTEN_FDS is left to children")
		}
	}
}
