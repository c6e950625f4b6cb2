package e2e

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long anything here may take before the test gives up.
const patience = 60 * time.Second

// program is one process and what it has said so far.
type program struct {
	t      *testing.T
	cmd    *exec.Cmd
	exited chan struct{} // closed at its end

	mu   sync.Mutex
	said bytes.Buffer // stdout and stderr, as they came
}

// start runs a command. It is killed at the end of the test, if it still runs.
func start(t *testing.T, env []string, name string, args ...string) *program {
	t.Helper()
	p := &program{t: t, cmd: exec.Command(name, args...), exited: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = p, p
	// A group of its own, so that a browser goes with the script that began it.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.WaitDelay = 5 * time.Second
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // its exit code tells
		close(p.exited)
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.exited
	})
	return p
}

// Write takes what the process says.
func (p *program) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.Write(b)
}

func (p *program) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.String()
}

var _ io.Writer = (*program)(nil)

// find waits until the process has said something that matches, and returns
// the groups of the expression.
func (p *program) find(expression string) []string {
	p.t.Helper()
	re := regexp.MustCompile(expression)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		over := p.over()
		if groups := re.FindStringSubmatch(p.String()); groups != nil {
			return groups[1:]
		}
		if over {
			break
		}
	}
	p.t.Fatalf("%s never said %q, but:\n%s", p.cmd, expression, p)
	return nil
}

func (p *program) over() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

func (p *program) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatal(err)
	}
}

// succeeds waits for the end, which has to be exit code 0.
func (p *program) succeeds() {
	p.t.Helper()
	select {
	case <-p.exited:
	case <-time.After(patience):
		p.t.Fatalf("%s did not end. It said:\n%s", p.cmd, p)
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		p.t.Fatalf("%s: exit code %d:\n%s", filepath.Base(p.cmd.Path), code, strings.TrimSpace(p.String()))
	}
}
