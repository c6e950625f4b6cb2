package bench

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Sample is what the server and the machine looked like at one moment.
type Sample struct {
	At int64 `json:"-"` // CLOCK_MONOTONIC ns
	// Of the server's processes.
	CPUSeconds float64 `json:"cpu_seconds"`
	RSSBytes   float64 `json:"rss_bytes"`
	Switches   float64 `json:"context_switches"`
	// WaitSeconds is how long their threads were ready to run and waited for a
	// processor; it goes back when a thread ends, which Go's hardly ever do.
	WaitSeconds float64 `json:"wait_seconds"`
	Gone        int     `json:"gone,omitempty"` // processes that do not exist (any more)
	// Of the machine. On one machine both ends of every connection are in them.
	SlabBytes   float64 `json:"slab_bytes"`
	SocketBytes float64 `json:"socket_bytes"`
	BusySeconds float64 `json:"busy_seconds"` // of all processors
	SoftSeconds float64 `json:"softirq_seconds"`
}

const ticksPerSecond = 100 // USER_HZ, the same on all architectures wsd runs on

// sample looks at the server's processes, or its metrics, and at the machine.
func sample(p *Plan, clk *clock) Sample {
	var s Sample
	for _, pid := range p.PIDs {
		s.addProcess(strconv.Itoa(pid))
	}
	s.At = clk.now() // when there are many processes to look at, that takes a while
	for _, url := range p.Metrics {
		s.addMetrics(url)
	}
	s.SlabBytes = fieldOf(slurp("/proc/meminfo"), "Slab:") * 1024
	s.SocketBytes = socketPages() * float64(os.Getpagesize())
	s.addProcessors()
	return s
}

func (s *Sample) addProcess(pid string) {
	stat := slurp("/proc/" + pid + "/stat")
	_, after, ok := strings.Cut(stat, ") ")
	f := strings.Fields(after)
	if !ok || len(f) < 13 {
		s.Gone++
		return
	}
	user, _ := strconv.ParseFloat(f[11], 64)
	system, _ := strconv.ParseFloat(f[12], 64)
	s.CPUSeconds += (user + system) / ticksPerSecond
	s.RSSBytes += resident(pid) * 1024
	threads, _ := filepath.Glob("/proc/" + pid + "/task/*")
	for _, t := range threads {
		status := slurp(t + "/status")
		s.Switches += fieldOf(status, "\nvoluntary_ctxt_switches:") + fieldOf(status, "\nnonvoluntary_ctxt_switches:")
		s.WaitSeconds += waited(slurp(t + "/schedstat"))
	}
}

// waited is the second of three numbers: nanoseconds ready to run, and not running.
func waited(schedstat string) float64 {
	f := strings.Fields(schedstat)
	if len(f) < 2 {
		return 0 // a kernel without
	}
	ns, _ := strconv.ParseFloat(f[1], 64)
	return ns / 1e9
}

// resident is a process's resident memory in KiB. VmRSS is off by what each
// processor has not yet added up, which is a good part of a small server; it is
// for kernels without smaps_rollup and for processes that are not ours to read.
func resident(pid string) float64 {
	if exact := fieldOf(slurp("/proc/"+pid+"/smaps_rollup"), "\nRss:"); exact > 0 {
		return exact
	}
	return fieldOf(slurp("/proc/"+pid+"/status"), "VmRSS:")
}

func socketPages() float64 {
	text := slurp("/proc/net/sockstat")
	_, tcp, _ := strings.Cut(text, "TCP:")
	line, _, _ := strings.Cut(tcp, "\n")
	return fieldOf(line, " mem ")
}

func (s *Sample) addProcessors() {
	line, _, _ := strings.Cut(slurp("/proc/stat"), "\n")
	f := strings.Fields(line)
	for i := 1; i < len(f); i++ {
		v, _ := strconv.ParseFloat(f[i], 64)
		v /= ticksPerSecond
		switch i {
		case 4, 5, 8, 9, 10: // idle, waiting, stolen; guests are in user and nice
			continue
		case 6, 7:
			s.SoftSeconds += v
		}
		s.BusySeconds += v
	}
}

// fieldOf is the number that follows key; 0 if there is none.
func fieldOf(text, key string) float64 {
	_, after, ok := strings.Cut(text, key)
	if !ok {
		return 0
	}
	f := strings.Fields(after[:min(len(after), 64)])
	if len(f) == 0 {
		return 0
	}
	v, _ := strconv.ParseFloat(f[0], 64)
	return v
}

func slurp(path string) string {
	b, _ := os.ReadFile(path)
	return string(b)
}

// metricsTimeout bounds the wait for a server's metrics; one that is too busy
// to answer is sampled the next time.
const metricsTimeout = 2 * time.Second
