package bench

import (
	"os"
	"time"

	"github.com/prometheus/procfs"
)

// Sample is what the server and the machine looked like at one moment.
type Sample struct {
	At  int64    // CLOCK_MONOTONIC ns
	has measured // what is no 0 for want of knowing
	// Of the server's processes.
	CPUSeconds float64
	RSSBytes   float64
	Switches   float64
	// WaitSeconds is how long their threads were ready to run and waited for a
	// processor; it goes back when a thread ends, which Go's hardly ever do.
	WaitSeconds float64
	Gone        int // processes that do not exist (any more)
	// Of the machine. On one machine both ends of every connection are in them.
	SlabBytes   float64
	SocketBytes float64
	BusySeconds float64 // of all processors
	SoftSeconds float64
}

// measured are the figures of a sample that were there to be read.
type measured uint8

const (
	hasCPU measured = 1 << iota
	hasRSS
	hasSwitches
	hasWaits
	hasKernel
	hasProcessors
)

// of is v if all of what it takes was measured.
func (m measured) of(what measured, v float64) *float64 {
	if m&what != what {
		return nil
	}
	return &v
}

// per is a/b if all of what it takes was measured, and there is a b.
func (m measured) per(what measured, a, b float64) *float64 {
	if b == 0 {
		return nil
	}
	return m.of(what, a/b)
}

// proc is /proc; its zero value reads nothing.
var proc, _ = procfs.NewDefaultFS()

// sample looks at the server's processes, or its metrics, and at the machine.
func sample(pids []int, metrics []string, clk *clock) Sample {
	var s Sample
	for _, pid := range pids {
		s.addProcess(pid)
	}
	s.At = clk.now() // when there are many processes to look at, that takes a while
	for _, url := range metrics {
		s.addMetrics(url)
	}
	s.addMachine()
	return s
}

func (s *Sample) addProcess(pid int) {
	p, err := proc.Proc(pid)
	if err != nil {
		s.Gone++
		return
	}
	stat, err := p.Stat()
	if err != nil {
		s.Gone++
		return
	}
	s.CPUSeconds += stat.CPUTime()
	s.RSSBytes += resident(p, &stat)
	s.has |= hasCPU | hasRSS
	threads, _ := proc.AllThreads(pid)
	for _, t := range threads {
		if status, err := t.NewStatus(); err == nil {
			s.Switches += float64(status.TotalCtxtSwitches())
			s.has |= hasSwitches
		}
		if waits, err := t.Schedstat(); err == nil { // a kernel may be without
			s.WaitSeconds += float64(waits.WaitingNanoseconds) / 1e9
			s.has |= hasWaits
		}
	}
}

// resident is a process's resident memory in bytes. That of its stat is off by
// what each processor has not yet added up, which is a good part of a small
// server; it is for kernels without smaps_rollup and for processes that are not
// ours to read.
func resident(p procfs.Proc, stat *procfs.ProcStat) float64 {
	if exact, err := p.ProcSMapsRollup(); err == nil && exact.Rss > 0 {
		return float64(exact.Rss)
	}
	return float64(stat.ResidentMemory())
}

func (s *Sample) addMachine() {
	memory, err := proc.Meminfo()
	sockets, err2 := proc.NetSockstat()
	if err == nil && err2 == nil && memory.SlabBytes != nil {
		s.SlabBytes = float64(*memory.SlabBytes)
		for _, p := range sockets.Protocols {
			if p.Protocol == "TCP" && p.Mem != nil {
				s.SocketBytes = float64(*p.Mem * os.Getpagesize())
				s.has |= hasKernel
			}
		}
	}
	if stat, err := proc.Stat(); err == nil {
		c := stat.CPUTotal // guests are in user and nice
		s.SoftSeconds = c.IRQ + c.SoftIRQ
		s.BusySeconds = c.User + c.Nice + c.System + s.SoftSeconds
		s.has |= hasProcessors
	}
}

// metricsTimeout bounds the wait for a server's metrics; one that is too busy
// to answer is sampled the next time.
const metricsTimeout = 2 * time.Second
