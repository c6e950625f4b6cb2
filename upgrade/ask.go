package upgrade

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Report is what became of an upgrade, as one line of JSON.
type Report struct {
	Error   string  `json:"error,omitempty"` // why the old process serves on
	PID     int     `json:"pid,omitempty"`   // of the new process
	Version string  `json:"version,omitempty"`
	Clients int     `json:"clients"`
	Bytes   int64   `json:"bytes"`         // of their state
	Pause   float64 `json:"pause_seconds"` // in which no client was served
}

// patience is longer than any upgrade takes.
const patience = 5 * time.Minute

// controlName is the abstract socket of a server, where upgrades are asked for.
// Its name needs no directory and leaves no file behind.
func controlName(pid int) string { return controlPrefix + strconv.Itoa(pid) }

const controlPrefix = "@wsd/upgrade/"

// Ask has the server of process pid upgrade, and waits for its report,
// five minutes at most. The texts in it are that process's own, and not fit for a
// terminal.
func Ask(pid int) (r Report, err error) {
	c, err := net.Dial("unix", controlName(pid))
	if err != nil {
		return r, fmt.Errorf("no `wsd serve` answers there: %w; "+
			"in another network namespace send it SIGUSR2 and read its log", err)
	}
	defer c.Close()
	if err := checkServer(c, pid); err != nil {
		return r, err
	}
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return r, err
	}
	if err := json.NewDecoder(io.LimitReader(c, maxReport)).Decode(&r); err != nil {
		return r, fmt.Errorf("it gave no answer: it is another user's, or died (%w); see its log", err)
	}
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

// Find finds the server that runs in this network namespace, by its
// control socket. That there is none, or are several, is an error.
func Find() (int, error) {
	sockets, err := os.ReadFile("/proc/net/unix")
	if err != nil {
		return 0, fmt.Errorf("looking for the server: %w", err)
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
		return 0, fmt.Errorf("%d servers run here that could be meant %v", len(pids), pids)
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
