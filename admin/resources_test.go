package admin

import (
	"errors"
	"io/fs"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"wsd/server"
)

func files(pairs ...string) fstest.MapFS {
	m := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return m
}

const meminfo = "MemTotal:  1000 kB\nMemFree: 10 kB\nMemAvailable:   600 kB\n"

func TestMemory(t *testing.T) {
	const k = 1024
	for _, c := range []struct {
		name             string
		root             fstest.MapFS
		limit, available int64
	}{
		{"nothing to read", files(), -1, -1},
		{"no group", files("proc/meminfo", meminfo), 1000 * k, 600 * k},
		{"version 2 without a limit", files("proc/meminfo", meminfo, "proc/self/cgroup", "0::/a\n",
			"sys/fs/cgroup/a/memory.max", "max\n", "sys/fs/cgroup/a/memory.current", "5\n"), 1000 * k, 600 * k},
		{"version 2", files("proc/meminfo", meminfo, "proc/self/cgroup", "0::/a/b\n",
			"sys/fs/cgroup/a/b/memory.max", "102400\n", "sys/fs/cgroup/a/b/memory.current", "92400\n",
			"sys/fs/cgroup/a/b/memory.stat", "anon 1\ninactive_file 10000\nfile 7\n"), 102400, 20000},
		{"version 2, the group above is tighter", files("proc/meminfo", meminfo, "proc/self/cgroup", "0::/a/b\n",
			"sys/fs/cgroup/a/b/memory.max", "102400\n", "sys/fs/cgroup/a/b/memory.current", "100\n",
			"sys/fs/cgroup/a/memory.max", "51200\n", "sys/fs/cgroup/a/memory.current", "51100\n"), 51200, 100},
		{"version 2 in a container of its own", files("proc/meminfo", meminfo, "proc/self/cgroup", "0::/\n",
			"sys/fs/cgroup/memory.max", "2048\n", "sys/fs/cgroup/memory.current", "4096\n"), 2048, 0},
		{"version 1", files("proc/meminfo", meminfo, "proc/self/cgroup", "5:devices:/x\n4:cpu,memory:/a\n0::/\n",
			"sys/fs/cgroup/memory/a/memory.limit_in_bytes", "4096\n", "sys/fs/cgroup/memory/a/memory.usage_in_bytes", "1024\n",
			"sys/fs/cgroup/memory/a/memory.stat", "inactive_file 5\ntotal_inactive_file 24\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n", "sys/fs/cgroup/memory/memory.usage_in_bytes", "1\n"), 4096, 3096},
		{"more is left in the group than in the machine", files("proc/meminfo", meminfo, "proc/self/cgroup", "0::/a\n",
			"sys/fs/cgroup/a/memory.max", "921600\n", "sys/fs/cgroup/a/memory.current", "0\n"), 900 * k, 600 * k},
	} {
		s := &resources{root: c.root}
		if limit, available := s.memory(); limit != c.limit || available != c.available {
			t.Errorf("%s: %d of %d, want %d of %d", c.name, available, limit, c.available, c.limit)
		}
	}
}

func TestSockets(t *testing.T) {
	s := &resources{root: files("proc/net/sockstat", "sockets: used 9\nTCP: inuse 5 orphan 1 tw 2 alloc 6 mem 3\nUDP: inuse 1 mem 0\n",
		"proc/net/sockstat6", "TCP6: inuse 4\n", "proc/sys/net/ipv4/tcp_mem", "1\t2\t7\n", "proc/self/statm", "100 20 3\n")}
	u, page := s.read(), int64(os.Getpagesize())
	if u.TCPSockets != 9 || u.TCPOrphans != 1 || u.TCPTimeWait != 2 || u.TCPMemory != 3*page || u.TCPMemoryLimit != 7*page || u.Resident != 20*page {
		t.Errorf("%+v", u)
	}
	u = (&resources{root: files()}).read()
	if u.TCPSockets != -1 || u.TCPOrphans != -1 || u.TCPMemory != -1 || u.TCPMemoryLimit != -1 || u.Resident != -1 || u.Descriptors != -1 || u.CPUSeconds <= 0 {
		t.Errorf("%+v", u)
	}
}

// Both ways to count descriptors agree, with each other and with the truth.
func TestDescriptors(t *testing.T) {
	s := newResources()
	before, counted := s.descriptors(), (&resources{root: sizeless{s.root}}).descriptors()
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
	if after := s.descriptors(); after != before+100 {
		t.Errorf("%d and then 100 more are %d", before, after)
	}
}

// sizeless is /proc before Linux 6.2.
type sizeless struct{ fs.FS }

func (sizeless) Stat(string) (fs.FileInfo, error) { return nil, errors.ErrUnsupported }

func TestUsageIsNotReadTooOften(t *testing.T) {
	root := files("proc/self/statm", "100 20 3\n")
	s := &resources{root: root}
	first := s.now(10)
	root["proc/self/statm"].Data = []byte("100 30 3\n")
	if again := s.now(10); again != first || first.DescriptorLimit != 10 {
		t.Errorf("%+v, then %+v", first, again)
	}
}

func TestShortage(t *testing.T) {
	limits := server.Limits{Descriptors: 1000, Reserve: 100}
	for _, c := range []struct {
		u    usage
		want string
	}{
		{usage{MemoryLimit: 3200, MemoryAvailable: 100, Descriptors: 950}, ""},
		{usage{MemoryLimit: 3200, MemoryAvailable: 99}, "short of memory"},
		{usage{MemoryLimit: 3200, MemoryAvailable: 0}, "short of memory"},
		{usage{MemoryLimit: 3200, MemoryAvailable: 3200, Descriptors: 951}, "short of descriptors: 951 of 1000"},
		{usage{MemoryLimit: -1, MemoryAvailable: -1, Descriptors: -1}, ""},
	} {
		err := shortage(c.u, limits)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c.u, err)
		}
	}
}

// A server that is well, on a machine that is not, is not ready.
func TestNotReadyForWantOfMemory(t *testing.T) {
	a := newAPI(t.Context(), Config{}.withDefaults(), &fake{})
	a.resources.root = files("proc/meminfo", "MemTotal: 1000000 kB\nMemAvailable: 30000 kB\n")
	w := httptest.NewRecorder()
	a.readyz(w, httptest.NewRequest("GET", "/readyz", nil))
	if w.Code != 503 || !strings.Contains(w.Body.String(), "short of memory: 29 of 976 MiB") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestStatsHaveTheProcess(t *testing.T) {
	_, _, body := do(t, request{url: start(t, &fake{}, nil) + "/v1/stats"})
	for _, want := range []string{`"uptime_seconds":`, `"process":{"cpu_seconds":`, `"descriptors":`} {
		if !strings.Contains(body, want) {
			t.Errorf("%s is not in %s", want, body)
		}
	}
}
