package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
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
	if err := checkServer(c, pid); err != nil {
		return r, fmt.Errorf("--pid %d: %w", pid, err)
	}
	if err := c.SetDeadline(time.Now().Add(upgradePatience)); err != nil {
		return r, err
	}
	if err := json.NewDecoder(io.LimitReader(c, maxReport)).Decode(&r); err != nil {
		return r, fmt.Errorf("process %d gave no answer: it is another user's, or died (%w); see its log", pid, err)
	}
	r.Error, r.Version = printable(r.Error), printable(r.Version)
	return r, nil
}

// maxReport bounds a report, in bytes.
const maxReport = 64 << 10

// checkServer: anybody may take the name of a control socket that is not in use.
// It has to be that process which listens there; and a user other than root has
// nothing to ask of another user's process.
func checkServer(c net.Conn, pid int) error {
	uid, listens, err := peerOf(c)
	switch us := os.Geteuid(); {
	case err != nil:
		return fmt.Errorf("who listens there cannot be told: %w", err)
	case listens != pid:
		return fmt.Errorf("process %d of user %d listens under its name, and is not asked", listens, uid)
	case us != 0 && uid != us:
		return fmt.Errorf("the process is user %d's, and you are %d: run this as that user, or as root", uid, us)
	}
	return nil
}

// printable leaves nothing in a text that a terminal would obey.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == ' ' || unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, text)
}

// onlyServer finds the server that runs in this network namespace, by its
// control socket.
func onlyServer() (int, error) {
	sockets, err := os.ReadFile("/proc/net/unix")
	if err != nil {
		return 0, fmt.Errorf("looking for the server: %w: name it by --pid", err)
	}
	var pids []int
	for _, line := range strings.Split(string(sockets), "\n") {
		if _, name, ok := strings.Cut(line, controlPrefix); ok {
			if pid, err := strconv.Atoi(strings.TrimSpace(name)); err == nil && !slices.Contains(pids, pid) && mayAsk(pid) {
				pids = append(pids, pid)
			}
		}
	}
	if len(pids) != 1 {
		return 0, fmt.Errorf("%d servers run here that could be meant %v: name one by --pid", len(pids), pids)
	}
	return pids[0], nil
}

// mayAsk says whether a process can be meant by one who names none. For root,
// whom every server obeys, another user's can only if it is this very program:
// that user may call any process of his own a server.
func mayAsk(pid int) bool {
	uid, err := userOf(pid)
	if err != nil || uid == os.Geteuid() {
		return err == nil
	}
	if os.Geteuid() != 0 {
		return false
	}
	theirs, err1 := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	ours, err2 := os.Executable()
	return err1 == nil && err2 == nil && strings.TrimSuffix(theirs, " (deleted)") == ours
}

// userOf is the effective user of a process. The owner of its directory is not:
// that is root for any process that wants it (PR_SET_DUMPABLE).
func userOf(pid int) (uid int, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, line, _ := strings.Cut(string(status), "\nUid:")
	if _, err = fmt.Sscan(line, new(int), &uid); err != nil {
		return 0, fmt.Errorf("/proc/%d/status: %w", pid, err)
	}
	return uid, nil
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
		if uid, _, err := peerOf(c); err != nil || uid != 0 && uid != os.Geteuid() {
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
