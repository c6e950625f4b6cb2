package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"wsd/server"
)

// The live upgrade, as `wsd serve` does it. The old process starts the new one
// with the same arguments and environment and one variable more, which names
// the descriptor of the channel between the two; the rest is server.HandOver
// and server.TakeOver. docs/upgrade.md tells the whole.

const handoverVariable = "WSD_HANDOVER"

// estate is what an older process hands over, nil if none does.
func estate() (*server.Estate, error) {
	number := os.Getenv(handoverVariable)
	if number == "" {
		return nil, nil
	}
	if err := os.Unsetenv(handoverVariable); err != nil { // it is not meant for a child
		return nil, err
	}
	fd, err := strconv.Atoi(number)
	if err != nil || fd < 3 {
		return nil, fmt.Errorf("%s=%s: not a descriptor; it is set by a server that hands over, and by nobody else", handoverVariable, number)
	}
	link, err := server.OpenLink(os.NewFile(uintptr(fd), "handover"))
	if err != nil {
		return nil, fmt.Errorf("%s=%s: %w", handoverVariable, number, err)
	}
	e, err := server.Inherit(link, programVersion())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("taking over: %w", err), link.Close())
	}
	return e, nil
}

// adminFile is the name under which the admin side's listener is handed over.
func adminFile(f *serveFlags) string { return "admin " + f.Admin.Admin }

// programFile finds out, at the start, where the program is: by the name it was
// called by, so that a symbolic link that comes to name another version is
// followed; or else as the kernel knows it.
func programFile() (string, error) {
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

// begin lets clients and publishers in, or takes those over that there are. The
// admin side is up before clients are let in. It waits, though, while an older
// process has the clients: a request would find none.
func (d *daemon) begin() (adminAddress string, err error) {
	if d.estate != nil {
		if err := d.server.TakeOver(); err != nil {
			return "", fmt.Errorf("taking over: %w", err)
		}
		d.log.Info("took over", "clients", d.server.Stats().Clients.Connected)
	}
	if d.admin != nil {
		if err := d.admin.Remember(d.estate.Extra()); err != nil {
			d.log.Warn("publishes that are repeated may come twice", "error", err)
		}
		adminAddress = d.admin.Addr()
		go func() { d.adminEnded <- d.admin.Serve() }()
	}
	if d.estate != nil {
		return adminAddress, nil
	}
	return adminAddress, d.server.Start()
}

// heirAnnounce bounds the wait for the new process to tell its supervisor.
const heirAnnounce = 10 * time.Second

// lastRequests is how long connections that are open to the admin side of the
// process that has handed over may take to bring another request.
const lastRequests = 3 * time.Second

// upgrade hands over to the program on disk. On an error this process serves on,
// unless the error is server.ErrHeirDied.
func (d *daemon) upgrade(f *serveFlags) (r upgradeReport, err error) {
	if os.Getpid() == 1 {
		return r, errors.New("process 1 cannot hand over, since its container ends with it: start wsd under an init, such as docker run --init")
	}
	link, theirs, err := server.NewLink()
	if err != nil {
		return r, err
	}
	defer link.Close()
	heir, err := startHeir(d.program, theirs)
	if err != nil {
		return r, err
	}
	h := server.Heir{Link: link, Kill: heir.kill}
	if d.admin != nil {
		file, err := d.admin.File()
		if err != nil {
			heir.kill()
			return r, err
		}
		defer file.Close()
		h.Files = map[string]*os.File{adminFile(f): file}
		h.Hold, h.Extra = d.hold, d.admin.Remembered
	}
	done, err := d.server.HandOver(h)
	if err != nil {
		if d.admin != nil {
			d.admin.Release()
		}
		return r, heir.explain(err)
	}
	// The supervisor must hear of the new process before this one is gone, or
	// it would take the service for ended.
	link.AwaitClose(heirAnnounce)
	return upgradeReport{PID: heir.cmd.Process.Pid, Version: done.Version, Clients: done.Clients,
		Bytes: done.Bytes, Pause: done.Pause.Seconds()}, nil
}

// holdPatience is how long requests under way on the admin side may take to end.
const holdPatience = 2 * time.Second

// hold lets requests wait and those under way end. One that does not end, say
// because its body trickles in, is left behind: what it publishes then is
// refused (503), or has reached all.
func (d *daemon) hold(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, holdPatience)
	defer cancel()
	err := d.admin.Hold(bounded)
	if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		d.log.Warn("a request on the admin side does not end and is left behind")
		return nil
	}
	return err
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

// depart ends this process's part when another one serves.
func (d *daemon) depart(r upgradeReport) error {
	d.log.Info("handed over", "pid", r.PID, "version", r.Version, "clients", r.Clients, "bytes", r.Bytes,
		"pause", time.Duration(r.Pause*float64(time.Second)).String())
	if d.admin == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), lastRequests)
	defer cancel()
	if err := d.admin.Forward(ctx); err != nil {
		d.log.Warn("last requests on the admin side", "error", err)
	}
	return nil
}
