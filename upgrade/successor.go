package upgrade

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Program is the file of the running program, for Handover. It is the name that
// the program was called by: a symbolic link is followed when it is used, and may
// name another version by then. If that name does not lead to this program, it is
// the file that the kernel knows. Call it at the start, when the file is still
// this program's.
func Program() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	called, err := exec.LookPath(os.Args[0])
	if err == nil {
		called, err = filepath.Abs(called)
	}
	if err != nil {
		return self, nil
	}
	a, err1 := os.Stat(called)
	b, err2 := os.Stat(self)
	if err1 == nil && err2 == nil && os.SameFile(a, b) {
		return called, nil
	}
	return self, nil
}

// successor is the new process, from its start on.
type successor struct {
	cmd  *exec.Cmd
	dead <-chan struct{} // closed when the process is gone
}

// startSuccessor starts the new process with its end of the channel, which is
// closed here.
func startSuccessor(program string, end *os.File) (*successor, error) {
	defer end.Close()
	cmd := exec.Command(program)
	cmd.Args = os.Args
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{end}
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, handoverVariable+"=") {
			cmd.Env = append(cmd.Env, pair)
		}
	}
	cmd.Env = append(cmd.Env, handoverVariable+"=3") // the first of ExtraFiles
	dead, err := startWatched(cmd)
	if err != nil {
		return nil, fmt.Errorf("starting the new process: %w", err)
	}
	return &successor{cmd: cmd, dead: dead}, nil
}

// startChild starts cmd and returns a channel that is closed when it has ended.
func startChild(cmd *exec.Cmd) (<-chan struct{}, error) {
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	dead := make(chan struct{})
	go func() {
		_ = cmd.Wait() // its state tells
		close(dead)
	}()
	return dead, nil
}

// lastWordTimeout is how long a process that was refused may take to say so.
const lastWordTimeout = 500 * time.Millisecond

// kill ends the process, if it still runs, and returns when it is gone.
func (s *successor) kill() {
	select {
	case <-s.dead:
	case <-time.After(lastWordTimeout):
		_ = s.cmd.Process.Kill()
		<-s.dead
	}
}

// explain adds how the process ended.
func (s *successor) explain(err error) error {
	select {
	case <-s.dead:
		if s.cmd.ProcessState == nil { // not our child: only its parent knows
			return fmt.Errorf("%w (the new process has ended, and has logged why)", err)
		}
		return fmt.Errorf("%w (the new process: %v)", err, s.cmd.ProcessState)
	default:
		return err
	}
}
