package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/golang-jwt/jwt/v5"
)

// servePipe is serve with a log that goes into a pipe, whose ends are the test's.
// The program is the one in file, "" being this test's own.
func servePipe(t *testing.T, file string, env []string, args ...string) (r *running, read, write *os.File) {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { read.Close(); write.Close() })
	cmd := program(t, env, append([]string{"serve", "--log-format=json", "--admin=127.0.0.1:0", "--listen=127.0.0.1:0", "--drain-time=0"}, args...)...)
	if file != "" {
		cmd.Path, cmd.Args[0] = file, file
	}
	cmd.Stdout, cmd.Stderr = write, write
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r = &running{t: t, cmd: cmd, log: new(output), exited: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		close(r.exited)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-r.exited
	})
	var line struct {
		Msg, Admin string
		Listen     []string
	}
	for lines := bufio.NewReader(read); line.Msg != "limits"; {
		text, err := lines.ReadBytes('\n')
		if err != nil || json.Unmarshal(text, &line) != nil {
			t.Fatalf("the log: %q, %v", text, err)
		}
		if line.Msg == "serving" {
			r.listen, r.admin = line.Listen[0], line.Admin
		}
	}
	return r, read, write
}

// The reader of the log is gone, as in `wsd serve 2>&1 | head -1`: no line ends
// the process, that of a failed upgrade included, and it stops as it should.
func TestLogReaderGone(t *testing.T) {
	r, read, write := servePipe(t, faultyProgram(t), []string{faultVariable + "=new:ready"})
	read.Close()
	write.Close()
	c := r.dial("/ws")
	r.signal(syscall.SIGHUP) // is logged
	if o := runProgram(t, nil, "upgrade", fmt.Sprintf("--pid=%d", r.cmd.Process.Pid)); o.code != exitFailed || !strings.Contains(o.stderr, "serves on") {
		t.Errorf("upgrade: exit %d, %s%s", o.code, o.stdout, o.stderr)
	}
	if got := ask(t, c, `{"actioncode":"heart_beat"}`); got != heartBeat {
		t.Error(got)
	}
	until(t, "the lines are counted", func() bool {
		_, text := r.http("GET", "/metrics", "")
		return strings.Contains(text, "\nwsd_log_lines_dropped_total ") && !strings.Contains(text, "\nwsd_log_lines_dropped_total 0\n")
	})
	r.signal(syscall.SIGTERM)
	if code := closeCode(t, c); code != ws.StatusGoingAway {
		t.Errorf("closed with %d", code)
	}
	if code := r.exit(); code != exitOK {
		t.Errorf("exit %d, %v", code, r.cmd.ProcessState)
	}
}

// fill leaves no room in a pipe. It opens it anew, since who writes to it already
// shall go on to wait when it is full.
func fill(t *testing.T, write *os.File) {
	t.Helper()
	fd, err := syscall.Open(fmt.Sprintf("/proc/self/fd/%d", write.Fd()), syscall.O_WRONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	for junk := bytes.Repeat([]byte("."), 4096); len(junk) > 0; {
		if _, err := syscall.Write(fd, junk); errors.Is(err, syscall.EAGAIN) {
			junk = junk[:len(junk)/2]
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// The log is not read, and its pipe is full: clients are served, an upgrade
// leaves a whole server, and a stop is one.
func TestLogPipeFull(t *testing.T) {
	t.Parallel() // it waits
	r, _, write := servePipe(t, "", nil)
	fill(t, write)
	c := r.dial("/ws")
	old := r.cmd.Process.Pid
	o := runProgram(t, nil, "upgrade", fmt.Sprintf("--pid=%d", old))
	said := tookOver.FindStringSubmatch(o.stdout)
	if o.code != exitOK || said == nil {
		t.Fatalf("upgrade: exit %d, %s%s", o.code, o.stdout, o.stderr)
	}
	var pid int
	_, _ = fmt.Sscan(said[1], &pid)
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	if code := r.exit(); code != exitOK {
		t.Errorf("the old process: exit %d", code)
	}
	ready := http.Client{Timeout: patience}
	if answer, err := ready.Get("http://" + r.admin + "/readyz"); err != nil || answer.StatusCode != 200 {
		t.Errorf("the admin side of the new process: %v %v", answer, err)
	}
	if got := ask(t, c, `{"actioncode":"heart_beat"}`); got != heartBeat {
		t.Error(got)
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := closeCode(t, c); code != ws.StatusGoingAway {
		t.Errorf("closed with %d", code)
	}
	until(t, "the new process ends", func() bool { return gone(pid) })
}

// Why it does not start is said on standard error, after what was logged.
func TestStartErrorIsSaid(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	o := runProgram(t, nil, "serve", "--admin=127.0.0.1:0", "--listen="+taken.Addr().String())
	if o.code != exitFailed || !strings.Contains(o.stderr, "wsd: ") || !strings.Contains(o.stderr, taken.Addr().String()) {
		t.Errorf("exit %d: %s", o.code, o.stderr)
	}
}

func sign(t *testing.T, key string) string {
	t.Helper()
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"fanout": true}).SignedString([]byte(key))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// count says how many lines of the log have this message.
func (r *running) count(msg string) int {
	return strings.Count(r.log.String(), fmt.Sprintf(`"msg":%q`, msg))
}

// SIGHUP has the files with keys read again: the new keys count, the old ones
// do not, and a file that is no good changes nothing.
func TestHangupReadsKeysAgain(t *testing.T) {
	const reread, kept = "key read again", "a key was not read again: the one before stays in force"
	keys := [2]string{strings.Repeat("first", 10), strings.Repeat("other", 10)}
	clients, admin := writeFile(t, "key", keys[0]), writeFile(t, "token", "first")
	r := serve(t, "--token-key-file="+clients, "--admin-token-file="+admin)
	c := r.dial("/ws")
	check := func(good, bad int, token, wrong string) {
		t.Helper()
		for i, want := range map[int]string{good: `"code":0,`, bad: `"code":6,`} {
			got := ask(t, c, fmt.Sprintf(`{"actioncode":"heart_beat","is_broadcast":true,"token":%q}`, sign(t, keys[i])))
			if !strings.Contains(got, want) {
				t.Errorf("key %d: got %s, want %s", i, got, want)
			}
		}
		for token, want := range map[string]int{token: 200, wrong: 401} {
			if got := r.status(token); got != want {
				t.Errorf("token %s: %d, want %d", token, got, want)
			}
		}
	}
	write := func(file, text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	check(0, 1, "first", "other")
	write(clients, keys[1])
	write(admin, "other")
	r.signal(syscall.SIGHUP)
	until(t, "both are read again", func() bool { return r.count(reread) == 2 })
	check(1, 0, "other", "first")
	write(clients, "too short")
	write(admin, "")
	r.signal(syscall.SIGHUP)
	until(t, "both are kept", func() bool { return r.count(kept) == 2 })
	check(1, 0, "other", "first")
	for _, file := range []string{clients, admin} {
		if !strings.Contains(r.log.String(), file) {
			t.Errorf("%s is not named: %s", file, r.log)
		}
	}
	if r.over() {
		t.Error("it ended")
	}
}

// status asks for the totals with a token.
func (r *running) status(token string) int {
	r.t.Helper()
	q, err := http.NewRequest("GET", "http://"+r.admin+"/v1/stats", nil)
	if err != nil {
		r.t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+token)
	answer, err := http.DefaultClient.Do(q)
	if err != nil {
		r.t.Fatal(err)
	}
	answer.Body.Close()
	return answer.StatusCode
}

// Who sends SIGHUP to a process that has just handed over means the one that
// serves now.
func TestHangupIsPassedOn(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	signals := make(chan os.Signal, 1)
	signals <- syscall.SIGHUP
	close(signals)
	passOn(signals, cmd.Process.Pid)
	timer := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	_ = cmd.Wait()
	if s, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || s.Signal() != syscall.SIGHUP {
		t.Errorf("ended by %v", cmd.ProcessState)
	}
}
