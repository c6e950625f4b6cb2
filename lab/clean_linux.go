package lab

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// names is where ip keeps the names of namespaces.
const names = "/run/netns"

// mark begins the name of every namespace of a lab. Behind it come the process
// that made it, when that process began, and the number of its Net:
// wsdlab-4711.123456-1-a.
const mark = "wsdlab-"

// sweep removes the namespaces whose names match the pattern $2, with all
// processes in them but $1. Links, addresses and rules go with their namespaces. A
// process can have made another one before it was killed: so it looks again.
const sweep = `
for file in ` + names + `/$2; do
	[ -e "$file" ] || continue
	ns=${file##*/}
	for round in $(seq 500); do
		pids=$(ip netns pids "$ns" | grep -vx "$1") || break
		kill -9 $pids 2>/dev/null
		sleep 0.01
	done
	ip netns del "$ns" || failed=1
done
exit $failed`

// owner is what the names of this process's namespaces begin with.
func owner() string { return fmt.Sprintf("%s%d.%s-", mark, os.Getpid(), started(os.Getpid())) }

// started is when a process began, in ticks since the machine did. It tells
// the process from a later one with the same number. It is empty if there is no
// such process.
func started(pid int) string {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	// The name of the program, in brackets, may have blanks in it.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return ""
	}
	return fields[19]
}

// leftovers are the prefixes of those names in all that belong to processes which
// are gone.
func leftovers(all []string) (prefixes []string) {
	seen := make(map[string]bool)
	for _, name := range all {
		who, ok := strings.CutPrefix(filepath.Base(name), mark)
		who, _, found := strings.Cut(who, "-")
		number, began, dot := strings.Cut(who, ".")
		pid, err := strconv.Atoi(number)
		if !ok || !found || !dot || err != nil || seen[who] || started(pid) == began {
			continue
		}
		seen[who] = true
		prefixes = append(prefixes, mark+who+"-")
	}
	return prefixes
}

// sweepLeftovers removes what dead processes left. Another process may be at the
// same, so a failure is none of ours.
func sweepLeftovers() {
	all, _ := filepath.Glob(filepath.Join(names, mark+"*"))
	for _, prefix := range leftovers(all) {
		_, _ = run("", "sh", "-c", sweep, "sh", strconv.Itoa(os.Getpid()), prefix+"*")
	}
}

// keeper is the process that removes the namespaces of one Net: when its
// standard input ends, which is when we close it, or are gone.
type keeper struct {
	cmd   *exec.Cmd
	input io.Closer
}

func keep(prefix string) (*keeper, error) {
	cmd := exec.Command("sh", "-c", "cat >/dev/null; "+sweep, "sh", strconv.Itoa(os.Getpid()), prefix+"*")
	// What ends the test by a signal to its group does not end the keeper.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	input, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	return &keeper{cmd, input}, cmd.Start()
}

// sweep removes everything, and returns when that is done.
func (k *keeper) sweep() error {
	if err := k.input.Close(); err != nil {
		return err
	}
	return k.cmd.Wait()
}
