package upgrade

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"wsd/server"
)

// TestMain has the test binary be the successor as well, if a test starts it as
// one.
func TestMain(m *testing.M) {
	if os.Getenv(handoverVariable) != "" {
		os.Exit(succeed())
	}
	os.Exit(m.Run())
}

// succeed takes over and serves, until it is killed.
func succeed() int {
	e, err := Inherit("v2")
	if err != nil {
		return 3
	}
	s, err := server.New(server.Config{Listen: []string{"127.0.0.1:0"}, Inheritance: e})
	if err != nil {
		return 4
	}
	if err := s.TakeOver(); err != nil || e.Close() != nil {
		return 5
	}
	time.Sleep(time.Minute) // in which a test ends, or has died
	return 6
}

// start starts a server with one client.
func start(t *testing.T) (*server.Server, net.Conn) {
	t.Helper()
	s, err := server.New(server.Config{Listen: []string{"127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		_ = s.Stop(ended, false) // with an error, as it is cut short
	})
	c, _, _, err := ws.Dial(context.Background(), "ws://"+s.Addrs()[0]+"/ws")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	return s, c
}

// served checks that somebody answers the client.
func served(t *testing.T, c net.Conn) {
	t.Helper()
	if err := wsutil.WriteClientText(c, []byte(`{"actioncode":"heart_beat"}`)); err != nil {
		t.Fatal(err)
	}
	if got, err := wsutil.ReadServerText(c); err != nil || !strings.Contains(string(got), "heart_beat") {
		t.Fatalf("heartbeat: %q, %v", got, err)
	}
}

// The successor is another process, which serves the client from then on.
func TestHandover(t *testing.T) {
	s, c := start(t)
	program, err := Program()
	if err != nil {
		t.Fatal(err)
	}
	served(t, c)
	r, err := Handover{Server: s, Program: program}.Run()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Kill(r.PID, syscall.SIGKILL) }()
	if r.PID == os.Getpid() || r.Version != "v2" || r.Clients != 1 || r.Bytes == 0 || r.Pause <= 0 {
		t.Errorf("the report: %+v", r)
	}
	served(t, c)
	if n := s.Stats().Clients.Connected; n != 0 {
		t.Errorf("the old process has %d clients", n)
	}
}

// A program that does not take over leaves the server as it was, and what it
// ended with is told.
func TestHandoverFails(t *testing.T) {
	s, c := start(t)
	dir := t.TempDir()
	ends := filepath.Join(dir, "ends")
	if err := os.WriteFile(ends, []byte("#!/bin/sh\nexit 3\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for program, want := range map[string]string{
		ends:                       "exit status 3",
		filepath.Join(dir, "none"): "no such file",
	} {
		if r, err := (Handover{Server: s, Program: program}).Run(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v; want %q", program, r, err, want)
		}
		served(t, c)
	}
}

// Only one handover runs at a time. The new process of a second one is not left
// behind.
func TestHandoverTwice(t *testing.T) {
	s, c := start(t)
	program, err := Program()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "pid")
	sleeps := file + ".sh"
	if err := os.WriteFile(sleeps, []byte("#!/bin/sh\necho $$ >"+file+"\nexec sleep 60\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	enough := errors.New("enough")
	held := func(context.Context) error {
		if _, err := (Handover{Server: s, Program: sleeps}).Run(); !errors.Is(err, server.ErrUnderway) {
			t.Errorf("%v, want %v", err, server.ErrUnderway)
		}
		return enough
	}
	if _, err := (Handover{Server: s, Program: program, Hold: held}).Run(); !errors.Is(err, enough) {
		t.Errorf("%v, want %v", err, enough)
	}
	pid := 0
	text, _ := os.ReadFile(file) // there is none if the process was killed that early
	if _, err := fmt.Sscan(string(text), &pid); err == nil && !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		t.Errorf("process %d is left", pid)
	}
	served(t, c)
}

// The variable that names the channel is taken out of the environment. If it
// names none, the error says so.
func TestInheritVariable(t *testing.T) {
	t.Setenv(handoverVariable, "")
	if e, err := Inherit("v1"); e != nil || err != nil {
		t.Errorf("nothing: %v, %v", e, err)
	}
	for _, number := range []string{"x", "2", "-1", "999999"} {
		t.Setenv(handoverVariable, number)
		if e, err := Inherit("v1"); e != nil || err == nil || !strings.Contains(err.Error(), handoverVariable+"="+number) {
			t.Errorf("%s: %v, %v", number, e, err)
		}
		if left := os.Getenv(handoverVariable); left != "" {
			t.Errorf("%s: left %q", number, left)
		}
	}
}
