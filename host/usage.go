package host

import (
	"encoding/binary"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/prometheus/procfs"
)

// Usage is what the calling process takes of the machine, and what the machine
// has left. [NotKnown] stands for what cannot be read here.
type Usage struct {
	CPUSeconds      float64 `json:"cpu_seconds"` // user and system, since the process began
	Resident        int64   `json:"resident_bytes"`
	MemoryLimit     int64   `json:"memory_limit_bytes"`     // of the control group, or the machine's
	MemoryAvailable int64   `json:"memory_available_bytes"` // likewise, file cache counted as available
	Descriptors     int64   `json:"descriptors"`
	TCPMemory       int64   `json:"tcp_memory_bytes"` // buffers of all TCP sockets of the machine, in the kernel
	TCPMemoryLimit  int64   `json:"tcp_memory_limit_bytes"`
	TCPSockets      int64   `json:"tcp_sockets"` // of the network namespace
	TCPOrphans      int64   `json:"tcp_orphans"`
	TCPTimeWait     int64   `json:"tcp_time_wait"`
}

// NotKnown is in place of a number of Usage that cannot be read.
const NotKnown = -1

// ReadUsage reads the usage from the file tree that starts at root: "/" for this
// machine. It costs some ten small files; before Linux 6.2 also one read of a
// directory with an entry for each open descriptor.
func ReadUsage(root string) Usage {
	t := tree{os.DirFS(root)}
	u := Usage{CPUSeconds: cpuSeconds(), Resident: NotKnown, Descriptors: t.descriptors(),
		MemoryLimit: NotKnown, MemoryAvailable: NotKnown, TCPMemoryLimit: NotKnown,
		TCPMemory: NotKnown, TCPSockets: NotKnown, TCPOrphans: NotKnown, TCPTimeWait: NotKnown}
	if v := t.numbers(sysctlPath("net.ipv4.tcp_mem")); len(v) == 3 {
		u.TCPMemoryLimit = v[2] * int64(os.Getpagesize())
	}
	proc, err := procfs.NewFS(filepath.Join(root, "proc"))
	if err != nil {
		return u
	}
	if resident, ok := read(func() (uint64, error) { return residentOf(proc) }); ok {
		u.Resident = int64(resident)
	}
	u.memory(t, proc)
	u.sockets(proc)
	return u
}

// residentOf is no reader of its own: with read[procfs.Proc] the program would have
// all that procfs can read.
func residentOf(proc procfs.FS) (bytes uint64, err error) {
	self, err := proc.Self()
	if err != nil {
		return 0, err
	}
	m, err := self.Statm()
	return m.ResidentBytes(), err
}

// memory takes the hard limit that binds first, and what is left to the process:
// of the machine, or of its control group or one above.
func (u *Usage) memory(t tree, proc procfs.FS) {
	if m, ok := read(proc.Meminfo); ok {
		u.MemoryLimit, u.MemoryAvailable = orNotKnown(m.MemTotalBytes), orNotKnown(m.MemAvailableBytes)
	}
	for g := range memoryGroups(t) {
		if limit, ok := g.limit(g.hard); ok {
			u.MemoryLimit = least(u.MemoryLimit, limit)
			u.MemoryAvailable = least(u.MemoryAvailable, g.available(limit))
		}
	}
}

// sockets takes the state of TCP: its memory is the whole machine's, the rest the
// network namespace's.
func (u *Usage) sockets(proc procfs.FS) {
	if s, ok := read(proc.NetSockstat); ok {
		tcp := protocol(s, "TCP")
		u.TCPSockets, u.TCPOrphans, u.TCPTimeWait = int64(tcp.InUse), orNotKnown(tcp.Orphan), orNotKnown(tcp.TW)
		if tcp.Mem != nil {
			u.TCPMemory = int64(*tcp.Mem) * int64(os.Getpagesize())
		}
	}
	if s, ok := read(proc.NetSockstat6); ok && u.TCPSockets != NotKnown {
		u.TCPSockets += int64(protocol(s, "TCP6").InUse)
	}
}

// descriptors in use are the size of the directory since Linux 6.2; before, that
// was 0. They are counted without their names: a million of those would be 100 MB of
// garbage, nearly as much as a server of a million clients has.
func (t tree) descriptors() int64 {
	const dir = "proc/self/fd"
	if info, err := fs.Stat(t.FS, dir); err == nil && info.Size() > 0 {
		return info.Size()
	}
	d, err := t.Open(dir)
	if err != nil {
		return NotKnown
	}
	defer d.Close()
	file, ok := d.(*os.File)
	if !ok {
		return NotKnown
	}
	buf := make([]byte, 32<<10)
	for n := int64(-3); ; { // itself, "." and ".." are too many
		size, err := syscall.ReadDirent(int(file.Fd()), buf)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return NotKnown
		case size == 0:
			return n
		default:
			n += entries(buf[:size])
		}
	}
}

// entries is how many there are in what getdents64(2) has filled in. Each tells its
// length, behind two numbers of eight bytes.
func entries(b []byte) (n int64) {
	for ; len(b) > 0; n++ {
		b = b[binary.NativeEndian.Uint16(b[16:]):]
	}
	return n
}

func cpuSeconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return NotKnown
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// least is the smaller of two numbers of which a may be NotKnown.
func least(a, b int64) int64 {
	if a == NotKnown {
		return b
	}
	return min(a, b)
}
