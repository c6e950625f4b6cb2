package admin

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// usage is what the process takes of the machine and what the machine has
// left. -1 stands for what cannot be told here.
type usage struct {
	CPUSeconds      float64 `json:"cpu_seconds"`
	Resident        int64   `json:"resident_bytes"`
	MemoryLimit     int64   `json:"memory_limit_bytes"`     // of the control group, or the machine's
	MemoryAvailable int64   `json:"memory_available_bytes"` // likewise, file cache counted as available
	Descriptors     int64   `json:"descriptors"`
	DescriptorLimit int64   `json:"descriptors_limit"`
	TCPMemory       int64   `json:"tcp_memory_bytes"` // buffers of all TCP sockets of the machine, in the kernel
	TCPMemoryLimit  int64   `json:"tcp_memory_limit_bytes"`
	TCPSockets      int64   `json:"tcp_sockets"` // of the network namespace
	TCPOrphans      int64   `json:"tcp_orphans"`
	TCPTimeWait     int64   `json:"tcp_time_wait"`
}

const unknownUsage = -1

// resources reads usage from /proc and /sys, not more often than it is worth:
// before Linux 6.2 the descriptors have to be counted, and there may be a
// million.
type resources struct {
	root fs.FS // /

	mu    sync.Mutex
	last  usage
	until time.Time // when last is too old
}

func newResources() *resources { return &resources{root: os.DirFS("/")} }

// now is the usage as of a second ago at most, or ten times as long as reading
// it takes.
func (s *resources) now(descriptorLimit int) usage {
	s.mu.Lock()
	defer s.mu.Unlock()
	began := time.Now()
	if began.Before(s.until) {
		return s.last
	}
	s.last = s.read()
	s.last.DescriptorLimit = int64(descriptorLimit)
	s.until = time.Now().Add(max(time.Second, 10*time.Since(began)))
	return s.last
}

func (s *resources) read() usage {
	u := usage{CPUSeconds: cpuSeconds(), Resident: unknownUsage, Descriptors: s.descriptors()}
	page := int64(os.Getpagesize())
	if fields := s.fields("proc/self/statm"); len(fields) > 1 {
		u.Resident = times(number(fields[1]), page)
	}
	u.MemoryLimit, u.MemoryAvailable = s.memory()
	tcp := s.sockstat()
	u.TCPMemory = times(tcp("TCP", "mem"), page)
	u.TCPSockets, u.TCPOrphans, u.TCPTimeWait = tcp("TCP", "inuse"), tcp("TCP", "orphan"), tcp("TCP", "tw")
	if six := tcp("TCP6", "inuse"); six > 0 {
		u.TCPSockets += six
	}
	u.TCPMemoryLimit = unknownUsage
	if fields := s.fields("proc/sys/net/ipv4/tcp_mem"); len(fields) == 3 {
		u.TCPMemoryLimit = times(number(fields[2]), page)
	}
	return u
}

// descriptors in use are the size of the directory since Linux 6.2; before,
// that was 0.
func (s *resources) descriptors() int64 {
	const dir = "proc/self/fd"
	if info, err := fs.Stat(s.root, dir); err == nil && info.Size() > 0 {
		return info.Size()
	}
	d, err := s.root.Open(dir)
	if err != nil {
		return unknownUsage
	}
	defer d.Close()
	list, ok := d.(fs.ReadDirFile)
	if !ok {
		return unknownUsage
	}
	for n := int64(-1); ; { // its own descriptor is one too many
		some, err := list.ReadDir(1024)
		n += int64(len(some))
		if errors.Is(err, io.EOF) || err == nil && len(some) == 0 {
			return n
		} else if err != nil {
			return unknownUsage
		}
	}
}

// sockstat returns a lookup in lines such as "TCP: inuse 5 orphan 0".
func (s *resources) sockstat() func(protocol, name string) int64 {
	text := s.text("proc/net/sockstat") + "\n" + s.text("proc/net/sockstat6")
	return func(protocol, name string) int64 {
		for line := range strings.Lines(text) {
			words := strings.Fields(line)
			for i := 1; i+1 < len(words) && words[0] == protocol+":"; i += 2 {
				if words[i] == name {
					return number(words[i+1])
				}
			}
		}
		return unknownUsage
	}
}

func (s *resources) text(name string) string {
	b, err := fs.ReadFile(s.root, strings.TrimPrefix(path.Clean(name), "/"))
	if err != nil {
		return ""
	}
	return string(b)
}

func (s *resources) fields(name string) []string { return strings.Fields(s.text(name)) }

func number(text string) int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil {
		return unknownUsage
	}
	return n
}

func times(n, by int64) int64 {
	if n == unknownUsage {
		return n
	}
	return n * by
}

func cpuSeconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return unknownUsage
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}
