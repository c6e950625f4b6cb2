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

// Report says what became of an upgrade. On the control socket it is one line of
// JSON. Error is empty if the new process serves.
type Report struct {
	Error   string  `json:"error,omitempty"` // why the old process serves on
	PID     int     `json:"pid,omitempty"`   // of the new process
	Version string  `json:"version,omitempty"`
	Clients int     `json:"clients"`
	Bytes   int64   `json:"bytes"`         // of their state
	Pause   float64 `json:"pause_seconds"` // seconds in which no client was served
}

// answerTimeout is longer than any upgrade takes.
const answerTimeout = 5 * time.Minute

// controlName is the abstract socket of a server, where upgrades are asked for.
// Its name needs no directory and leaves no file behind.
func controlName(pid int) string { return controlPrefix + strconv.Itoa(pid) }

const controlPrefix = "@wsd/upgrade/"

// Ask asks process pid for an upgrade and waits for its report, at most
// answerTimeout. An error means that nobody could be asked, or nobody answered.
// The texts in the report are as the other process sent them: they may hold what
// a terminal would obey.
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
	if err := c.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return r, err
	}
	if err := json.NewDecoder(io.LimitReader(c, maxReport)).Decode(&r); err != nil {
		return r, fmt.Errorf("it gave no answer: it is another user's, or died (%w); see its log", err)
	}
	return r, nil
}

// maxReport bounds a report, in bytes.
const maxReport = 64 << 10

// checkServer makes sure that process pid itself is at the other end of c: anybody
// may listen under a name that is not in use. A user other than root may not ask
// another user's process.
func checkServer(c net.Conn, pid int) error {
	uid, listens, err := peerOf(c)
	switch us := os.Geteuid(); {
	case err != nil:
		return fmt.Errorf("the kernel does not say who listens there: %w", err)
	case listens != pid:
		return fmt.Errorf("process %d of user %d listens under its name, and is not asked", listens, uid)
	case us != 0 && uid != us:
		return fmt.Errorf("the process is user %d's, and you are %d: run this as that user, or as root", uid, us)
	}
	return nil
}

// Find finds the server of this network namespace by its control socket, and
// returns its process id. It is an error if there is none, or more than one.
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

// mayAsk reports whether Find may return a process. It has to be the caller's
// own. Root may also ask another user's server, but only if it runs this very
// program: any user can listen under such a name.
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

// userOf returns the effective user of a process. The owner of /proc/PID does not
// say it: a process can make root that owner (PR_SET_DUMPABLE).
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
