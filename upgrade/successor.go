package upgrade

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Program finds out, at the start, where the program is: by the name it was
// called by, so that a symbolic link that comes to name another version is
// followed; or else as the kernel knows it.
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

// heir is the new process.
type heir struct {
	cmd  *exec.Cmd
	dead <-chan struct{} // closed when it is
}

// startHeir starts the new process with its end of the channel.
func startHeir(program string, end *os.File) (*heir, error) {
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
	return &heir{cmd: cmd, dead: dead}, nil
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

// heirLastWord is how long a process that was refused may take to say so.
const heirLastWord = 500 * time.Millisecond

func (h *heir) kill() {
	select {
	case <-h.dead:
	case <-time.After(heirLastWord):
		_ = h.cmd.Process.Kill()
		<-h.dead
	}
}

// explain adds how the process ended.
func (h *heir) explain(err error) error {
	select {
	case <-h.dead:
		if h.cmd.ProcessState == nil { // its parent has been told
			return fmt.Errorf("%w (the new process has ended, and has logged why)", err)
		}
		return fmt.Errorf("%w (the new process: %v)", err, h.cmd.ProcessState)
	default:
		return err
	}
}
