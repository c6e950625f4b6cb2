package fleet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Bounds of a server's life around the measurement.
const (
	readyWithin = 10 * time.Second
	stopWithin  = 5 * time.Second
	poll        = 20 * time.Millisecond
)

// Launch says how to start a server.
type Launch struct {
	Argv []string // the program and its arguments
	// CPU is the one processor it may use, with GOMAXPROCS=1; negative: all.
	CPU int
	// Ready are the TCP addresses that accept connections once it is up.
	Ready []string
}

// Process is a running server. Its methods are safe for concurrent use.
type Process struct {
	cmd  *exec.Cmd
	log  tail
	done chan struct{} // closed once the process has ended
	once sync.Once
}

// Start runs a server and returns when it accepts connections. If it does not
// within ten seconds, or ends, the error carries the end of its output.
func Start(ctx context.Context, l Launch) (*Process, error) {
	p := &Process{cmd: Pinned(ctx, l.CPU, l.Argv), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", l.Argv[0], err)
	}
	go func() {
		_ = p.cmd.Wait() // how a server that is told to stop exits does not matter
		close(p.done)
	}()
	for _, addr := range l.Ready {
		if err := p.await(ctx, addr); err != nil {
			p.Stop()
			return nil, fmt.Errorf("%s: %w; it said:\n%s", l.Argv[0], err, p.log.String())
		}
	}
	return p, nil
}

// Pinned makes a command that runs on one processor only. taskset replaces
// itself by the program, so the process id is the program's.
func Pinned(ctx context.Context, cpu int, argv []string) *exec.Cmd {
	if cpu < 0 {
		return exec.CommandContext(ctx, argv[0], argv[1:]...)
	}
	cmd := exec.CommandContext(ctx, "taskset", append([]string{"-c", strconv.Itoa(cpu)}, argv...)...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	return cmd
}

func (p *Process) await(ctx context.Context, addr string) error {
	deadline := time.NewTimer(readyWithin)
	defer deadline.Stop()
	again := time.NewTicker(poll)
	defer again.Stop()
	for {
		if c, err := net.Dial("tcp", addr); err == nil {
			return c.Close()
		}
		select {
		case <-again.C:
		case <-deadline.C:
			return fmt.Errorf("nothing accepts on %s after %v", addr, readyWithin)
		case <-p.done:
			return errors.New("it ended at once")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// PID is the server's process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended, by itself or by Stop.
func (p *Process) Done() <-chan struct{} { return p.done }

// Log returns the last few kilobytes of what it printed.
func (p *Process) Log() string { return p.log.String() }

// Stop ends the server, by force if it takes longer than five seconds, and
// returns when it is gone. Later calls do nothing.
func (p *Process) Stop() {
	p.once.Do(func() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM) // fails only if it has ended
		select {
		case <-p.done:
		case <-time.After(stopWithin):
			_ = p.cmd.Process.Kill()
			<-p.done
		}
	})
}

// tail is a writer that keeps the end of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailSize = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - tailSize; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.buf))
}
