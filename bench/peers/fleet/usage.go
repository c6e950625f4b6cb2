package fleet

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"
)

// Usage is what a process has used so far.
type Usage struct {
	CPU time.Duration // user and system, all threads, in steps of 10 ms
	RSS int64         // resident bytes now
}

// clockTick is the unit of times in /proc/PID/stat: USER_HZ, which is 100 on
// every architecture that wsd runs on.
const clockTick = 10 * time.Millisecond

// UsageOf reads a process's usage from /proc.
func UsageOf(pid int) (Usage, error) {
	cpu, err := cpuOf(pid)
	if err != nil {
		return Usage{}, err
	}
	rss, err := rssOf(pid)
	return Usage{CPU: cpu, RSS: rss}, err
}

func cpuOf(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return parseStat(b)
}

// parseStat adds up fields 14 and 15, utime and stime. The name in field 2 may
// hold spaces and brackets itself, so fields are counted from its last bracket.
func parseStat(b []byte) (time.Duration, error) {
	rest := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(rest) < 13 {
		return 0, fmt.Errorf("/proc/PID/stat has %d fields after the name, want at least 13", len(rest))
	}
	var sum time.Duration
	for _, f := range rest[11:13] {
		n, err := strconv.ParseInt(string(f), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/PID/stat: %w", err)
		}
		sum += time.Duration(n) * clockTick
	}
	return sum, nil
}

// rssOf prefers smaps_rollup, which counts pages: the counters behind status
// and statm are kept per processor and may be off by hundreds of kilobytes,
// which is tens of bytes a client.
func rssOf(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
		if b, err = os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)); err == nil {
			return kilobytes(b, "VmRSS:")
		}
	}
	if err != nil {
		return 0, err
	}
	return kilobytes(b, "Rss:")
}

func kilobytes(b []byte, field string) (int64, error) {
	for line := range bytes.Lines(b) {
		f := bytes.Fields(line)
		if len(f) == 3 && string(f[0]) == field {
			n, err := strconv.ParseInt(string(f[1]), 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("no %s in /proc", field)
}

// HostCPU returns the time that all processors together have been busy since
// boot, in steps of 10 ms.
func HostCPU() (time.Duration, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	return parseHost(b)
}

// parseHost adds up the first line's user, nice, system, irq, softirq and
// steal; idle and iowait are fields 4 and 5, guest times are in user already.
func parseHost(b []byte) (time.Duration, error) {
	line, _, _ := bytes.Cut(b, []byte("\n"))
	f := bytes.Fields(line)
	if len(f) < 9 || string(f[0]) != "cpu" {
		return 0, errors.New("/proc/stat does not begin with a line of times")
	}
	var sum time.Duration
	for _, i := range []int{1, 2, 3, 6, 7, 8} {
		n, err := strconv.ParseInt(string(f[i]), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/stat: %w", err)
		}
		sum += time.Duration(n) * clockTick
	}
	return sum, nil
}
