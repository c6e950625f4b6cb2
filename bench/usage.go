package bench

import (
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
	p, err := proc.Self()
	if err != nil {
		return 0
	}
	stat, err := p.Stat()
	if err != nil {
		return 0
	}
	return int64(stat.ResidentMemory())
}
