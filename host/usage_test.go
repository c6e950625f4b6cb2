package host

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// files lays files out below a directory of its own, with /proc/self as the
// link that it is.
func files(t *testing.T, pairs ...string) string {
	t.Helper()
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "proc/42"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("42", filepath.Join(root, "proc/self")); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(pairs); i += 2 {
		put(t, root, pairs[i], pairs[i+1])
	}
	return root
}

const meminfo = "MemTotal:  1000 kB\nMemFree: 10 kB\nMemAvailable:   600 kB\n"

func TestUsageOfMemory(t *testing.T) {
	const k = 1024
	for _, c := range []struct {
		name             string
		root             string
		limit, available int64
	}{
		{"nothing to read", t.TempDir(), -1, -1},
		{"no group", files(t, "proc/meminfo", meminfo), 1000 * k, 600 * k},
		{"only a group", files(t, "proc/self/cgroup", "0::/\n", "sys/fs/cgroup/memory.max", "2048\n", "sys/fs/cgroup/memory.current", "48\n"), 2048, 2000},
		{"version 2 without a limit", files(t, "proc/meminfo", meminfo, "proc/self/cgroup", "0::/a\n",
			"sys/fs/cgroup/a/memory.max", "max\n", "sys/fs/cgroup/a/memory.current", "5\n"), 1000 * k, 600 * k},
		{"version 2", files(t, "proc/meminfo", meminfo, "proc/self/cgroup", "0::/a/b\n",
			"sys/fs/cgroup/a/b/memory.max", "102400\n", "sys/fs/cgroup/a/b/memory.current", "92400\n",
			"sys/fs/cgroup/a/b/memory.stat", "anon 1\ninactive_file 10000\nfile 7\n"), 102400, 20000},
		{"version 2, the group above is tighter", files(t, "proc/meminfo", meminfo, "proc/self/cgroup", "0::/a/b\n",
			"sys/fs/cgroup/a/b/memory.max", "102400\n", "sys/fs/cgroup/a/b/memory.current", "100\n",
			"sys/fs/cgroup/a/memory.max", "51200\n", "sys/fs/cgroup/a/memory.current", "51100\n"), 51200, 100},
		{"version 2, the group above is larger and fuller", files(t, "proc/meminfo", meminfo, "proc/self/cgroup", "0::/a/b\n",
			"sys/fs/cgroup/a/b/memory.max", "51200\n", "sys/fs/cgroup/a/b/memory.current", "1200\n",
			"sys/fs/cgroup/a/memory.max", "102400\n", "sys/fs/cgroup/a/memory.current", "102000\n"), 51200, 400},
		{"version 2, what slows down does not kill", files(t, "proc/meminfo", meminfo, "proc/self/cgroup", "0::/\n",
			"sys/fs/cgroup/memory.max", "102400\n", "sys/fs/cgroup/memory.high", "51200\n", "sys/fs/cgroup/memory.current", "400\n"), 102400, 102000},
		{"version 2 in a container of its own", files(t, "proc/meminfo", meminfo, "proc/self/cgroup", "0::/\n",
			"sys/fs/cgroup/memory.max", "2048\n", "sys/fs/cgroup/memory.current", "4096\n"), 2048, 0},
		{"version 1", files(t, "proc/meminfo", meminfo, "proc/self/cgroup", "5:devices:/x\n4:cpu,memory:/a\n0::/\n",
			"sys/fs/cgroup/memory/a/memory.limit_in_bytes", "4096\n", "sys/fs/cgroup/memory/a/memory.usage_in_bytes", "1024\n",
			"sys/fs/cgroup/memory/a/memory.stat", "inactive_file 5\ntotal_inactive_file 24\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n", "sys/fs/cgroup/memory/memory.usage_in_bytes", "1\n"), 4096, 3096},
		{"more is left in the group than in the machine", files(t, "proc/meminfo", meminfo, "proc/self/cgroup", "0::/a\n",
			"sys/fs/cgroup/a/memory.max", "921600\n", "sys/fs/cgroup/a/memory.current", "0\n"), 900 * k, 600 * k},
	} {
		if u := ReadUsage(c.root); u.MemoryLimit != c.limit || u.MemoryAvailable != c.available {
			t.Errorf("%s: %d of %d, want %d of %d", c.name, u.MemoryAvailable, u.MemoryLimit, c.available, c.limit)
		}
	}
}

func TestUsageOfSockets(t *testing.T) {
	u := ReadUsage(files(t, "proc/net/sockstat", "sockets: used 9\nTCP: inuse 5 orphan 1 tw 2 alloc 6 mem 3\nUDP: inuse 1 mem 0\n",
		"proc/net/sockstat6", "TCP6: inuse 4\n", "proc/sys/net/ipv4/tcp_mem", "1\t2\t7\n", "proc/self/statm", "100 20 3 0 0 0 0\n"))
	page := int64(os.Getpagesize())
	if u.TCPSockets != 9 || u.TCPOrphans != 1 || u.TCPTimeWait != 2 || u.TCPMemory != 3*page || u.TCPMemoryLimit != 7*page || u.Resident != 20*page {
		t.Errorf("%+v", u)
	}
}

func TestUsageOfNothing(t *testing.T) {
	for _, root := range []string{t.TempDir(), filepath.Join(t.TempDir(), "no such directory")} {
		u := ReadUsage(root)
		if u.CPUSeconds <= 0 {
			t.Errorf("no CPU time: %+v", u)
		}
		u.CPUSeconds = 0
		if u != (Usage{0, -1, -1, -1, -1, -1, -1, -1, -1, -1}) {
			t.Errorf("%+v, want nothing known", u)
		}
	}
}

// Both ways to count descriptors agree, with each other and with the truth.
func TestUsageOfDescriptors(t *testing.T) {
	real := tree{os.DirFS("/")}
	if !real.exists("proc/self/fd") {
		t.Skip("no procfs here")
	}
	before, counted := real.descriptors(), tree{sizeless(real)}.descriptors()
	if before != counted {
		t.Errorf("%d by size, %d by counting", before, counted)
	}
	for range 100 {
		f, err := os.Open("/dev/null")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
	}
	if after := real.descriptors(); after != before+100 {
		t.Errorf("%d and then 100 more are %d", before, after)
	}
}

// sizeless is /proc before Linux 6.2.
type sizeless struct{ fs.FS }

func (sizeless) Stat(string) (fs.FileInfo, error) { return nil, errors.ErrUnsupported }

// Counting takes no memory for each of them.
func TestUsageCountsCheaply(t *testing.T) {
	real := tree{os.DirFS("/")}
	if !real.exists("proc/self/fd") {
		t.Skip("no procfs here")
	}
	old := tree{sizeless(real)}
	few := testing.AllocsPerRun(10, func() { old.descriptors() })
	for range 1000 {
		f, err := os.Open("/dev/null")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
	}
	if many := testing.AllocsPerRun(10, func() { old.descriptors() }); many > few {
		t.Errorf("%v allocations with 1000 descriptors more, %v without", many, few)
	}
}
