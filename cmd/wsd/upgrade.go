package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// upgradeCmd asks a server that runs to hand its clients over to the program
// that is on disk now, and tells what became of it.
type upgradeCmd struct {
	PID int `placeholder:"PID" name:"pid" help:"Process of the server; needed only if there are several."`
}

// Run ends with an error if the old process serves on.
func (c *upgradeCmd) Run(stdout io.Writer) error {
	pid := c.PID
	if pid == 0 {
		var err error
		if pid, err = onlyServer(); err != nil {
			return err
		}
	}
	r, err := requestUpgrade(pid)
	if err != nil {
		return err
	}
	if r.Error != "" {
		return fmt.Errorf("process %d serves on: %s", pid, r.Error)
	}
	_, err = fmt.Fprintf(stdout, "process %d has taken over from %d: %d clients, pause %v, version %s\n",
		r.PID, pid, r.Clients, time.Duration(r.Pause*float64(time.Second)).Round(10*time.Microsecond), r.Version)
	return err
}

// upgradeReport is what became of an upgrade, as one line of JSON.
type upgradeReport struct {
	Error   string  `json:"error,omitempty"` // why the old process serves on
	PID     int     `json:"pid,omitempty"`   // of the new process
	Version string  `json:"version,omitempty"`
	Clients int     `json:"clients"`
	Bytes   int64   `json:"bytes"`         // of their state
	Pause   float64 `json:"pause_seconds"` // in which no client was served
}

// upgradePatience is longer than any upgrade takes.
const upgradePatience = 5 * time.Minute

// controlName is the abstract socket of a server, where upgrades are asked for.
// Its name needs no directory and leaves no file behind.
func controlName(pid int) string { return controlPrefix + strconv.Itoa(pid) }

const controlPrefix = "@wsd/upgrade/"

func requestUpgrade(pid int) (r upgradeReport, err error) {
	c, err := net.Dial("unix", controlName(pid))
	if err != nil {
		return r, fmt.Errorf("--pid %d: no `wsd serve` answers there: %w; "+
			"in another network namespace send it SIGUSR2 and read its log", pid, err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(upgradePatience)); err != nil {
		return r, err
	}
	if err := json.NewDecoder(c).Decode(&r); err != nil {
		return r, fmt.Errorf("process %d gave no answer: it is another user's, or died (%w); see its log", pid, err)
	}
	return r, nil
}

// onlyServer finds the server that runs in this network namespace, by its
// control socket.
func onlyServer() (int, error) {
	sockets, err := os.ReadFile("/proc/net/unix")
	if err != nil {
		return 0, fmt.Errorf("looking for the server: %w: name it by --pid", err)
	}
	found := map[int]bool{}
	for _, line := range strings.Split(string(sockets), "\n") {
		if _, name, ok := strings.Cut(line, controlPrefix); ok {
			if pid, err := strconv.Atoi(strings.TrimSpace(name)); err == nil {
				found[pid] = true
			}
		}
	}
	if len(found) != 1 {
		return 0, fmt.Errorf("%d servers run here: name one by --pid", len(found))
	}
	for pid := range found {
		return pid, nil
	}
	panic("unreachable")
}

// control listens for those who ask for an upgrade.
type control struct {
	listener net.Listener
	requests chan chan<- upgradeReport
	once     sync.Once
	closing  chan struct{}
	ended    chan struct{} // closed when nobody waits for an answer any more
}

// listenForUpgrades opens the control socket of this process. Without one,
// upgrades are asked for by SIGUSR2 alone.
func (d *daemon) listenForUpgrades() *control {
	k := &control{requests: make(chan chan<- upgradeReport), closing: make(chan struct{}), ended: make(chan struct{})}
	var err error
	if k.listener, err = net.Listen("unix", controlName(os.Getpid())); err != nil {
		d.log.Warn("`wsd upgrade` will not reach this process; SIGUSR2 will", "error", err)
		return k
	}
	go k.serve()
	return k
}

// shut takes the socket's name away: this process is not asked any more.
func (k *control) shut() {
	if k.listener != nil {
		k.once.Do(func() { close(k.closing) })
		k.listener.Close()
	}
}

// close waits for the last answer to be given.
func (k *control) close() {
	if k.shut(); k.listener != nil {
		<-k.ended
	}
}

// serve takes requests until the listener is closed: whoever connects, and is
// root or the server's own user, has asked.
func (k *control) serve() {
	defer close(k.ended)
	for {
		c, err := k.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(100 * time.Millisecond) // for want of descriptors
			continue
		}
		if !mayControl(c) {
			c.Close()
			continue
		}
		k.one(c)
	}
}

// one has the main goroutine do an upgrade, and answers with its report.
func (k *control) one(c net.Conn) {
	defer c.Close()
	report := make(chan upgradeReport, 1)
	select {
	case k.requests <- report:
	case <-k.closing:
		return
	}
	r := <-report
	_ = c.SetWriteDeadline(time.Now().Add(time.Second))
	_ = json.NewEncoder(c).Encode(r) // or nobody listens any more
}
