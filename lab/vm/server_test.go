package vm

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"wsd/server"
)

// wsd is the program under test in the image.
const wsd = "/bin/wsd"

// process is `wsd serve` at work.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	pid    int // another one's after an upgrade
	log    *output
	exited chan struct{}
	listen string
	admin  string
}

// start runs a server on free ports. Unless as says otherwise it is nobody's:
// the kernel exempts root from some of the limits.
func start(t *testing.T, as func(*exec.Cmd), args ...string) *process {
	t.Helper()
	p := &process{t: t, log: new(output), exited: make(chan struct{})}
	p.cmd = exec.Command(wsd, append([]string{"serve", "--log-format=json", "--listen=127.0.0.1:0", "--admin=127.0.0.1:0"}, args...)...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if as != nil {
		as(p.cmd)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.pid = p.cmd.Process.Pid
	go func() {
		_ = p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = unix.Kill(p.pid, unix.SIGKILL)
		<-p.exited
		if t.Failed() {
			t.Logf("the server's log:\n%s", p.log)
		}
	})
	until(t, "the server serves", func() bool { return p.said("serving") != nil || p.over() })
	line := p.said("serving")
	if line == nil {
		t.Fatal("the server ended")
	}
	p.listen, p.admin = line["listen"].([]any)[0].(string), line["admin"].(string)
	return p
}

// inside starts a server in a control group, from its first moment on.
func inside(t *testing.T, dir string) func(*exec.Cmd) {
	t.Helper()
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return func(cmd *exec.Cmd) {
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, fd
	}
}

func (p *process) over() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// said is the last line of the log with this message, or nil.
func (p *process) said(msg string) (last map[string]any) {
	lines := bufio.NewScanner(strings.NewReader(p.log.String()))
	for lines.Scan() {
		line := map[string]any{}
		if json.Unmarshal(lines.Bytes(), &line) == nil && line["msg"] == msg {
			last = line
		}
	}
	return last
}

// stats asks the admin side.
func (p *process) stats() (s server.Stats) {
	p.t.Helper()
	if err := p.ask("GET", "/v1/stats", nil, &s); err != nil {
		p.t.Fatal(err)
	}
	return s
}

// ask makes one request of the admin side, for an answer in JSON. All requests
// share a connection, so that they get through when there is none to be had.
func (p *process) ask(method, path string, body []byte, answer any) error {
	request, err := http.NewRequest(method, "http://"+p.admin+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, answer); err != nil || response.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %s", method, path, response.Status, text)
	}
	return nil
}

// metric is one without labels of /metrics.
func (p *process) metric(name string) float64 {
	p.t.Helper()
	response, err := http.Get("http://" + p.admin + "/metrics")
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if value, found := strings.CutPrefix(lines.Text(), name+" "); found {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				p.t.Fatal(err)
			}
			return n
		}
	}
	p.t.Fatalf("there is no metric %s", name)
	return 0
}

// published is the answer to a publish. One that takes very long is only accepted.
type published struct {
	Matched, Sent, Queued, Dropped int
	Accepted                       bool
}

// publish sends a message of so many bytes.
func (p *process) publish(to string, size int) published {
	p.t.Helper()
	r, err := p.send(to, bytes.Repeat([]byte("x"), size))
	if err != nil {
		p.t.Fatal(err)
	}
	return r
}

func (p *process) send(to string, message []byte) (r published, err error) {
	return r, p.ask("POST", "/v1/publish?"+to, message, &r)
}

// file reads one of the process's files in /proc.
func (p *process) file(name string) string {
	p.t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", itoa(p.pid), name))
	if err != nil {
		p.t.Error(err)
	}
	return string(text)
}

// output collects what a process writes.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
