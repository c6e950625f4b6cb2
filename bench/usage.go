package bench

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// usage is what this process has used so far.
type usage struct {
	at  time.Time
	cpu time.Duration
	// wall and rss are filled in by since.
	wall time.Duration
	rss  int64
}

func usageNow() usage {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return usage{at: time.Now(), cpu: time.Duration(r.Utime.Nano() + r.Stime.Nano())}
}

// since is what was used between before and u.
func (u usage) since(before usage) usage {
	return usage{at: u.at, cpu: u.cpu - before.cpu, wall: u.at.Sub(before.at), rss: residentSelf()}
}

// residentSelf is this process's resident memory in bytes.
func residentSelf() int64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	f := strings.Fields(string(b))
	if len(f) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(f[1], 10, 64)
	return pages * int64(os.Getpagesize())
}
