package host

import (
	"math"
	"path"
	"strconv"
	"strings"
)

// readMemory takes the machine's memory.
func readMemory(t tree) Memory {
	var m Memory
	fields := [...]struct {
		key string
		to  *int64
	}{{"MemTotal", &m.Total}, {"MemAvailable", &m.Available}, {"SwapTotal", &m.Swap}}
	for _, line := range t.lines("proc/meminfo") {
		for _, f := range fields {
			if n, ok := cutMeminfo(line, f.key); ok {
				*f.to = n
			}
		}
	}
	return m
}

// cutMeminfo is the value, in bytes, of a line of that key.
func cutMeminfo(line, key string) (int64, bool) {
	k, rest, _ := strings.Cut(line, ":")
	v := strings.Fields(rest)
	if k != key || len(v) == 0 {
		return 0, false
	}
	kb, err := strconv.ParseInt(v[0], 10, 64)
	return kb * 1024, err == nil && kb >= 0 && kb < math.MaxInt64/1024
}

// Cgroup is the tightest memory limit that applies to the process, in bytes.
type Cgroup struct {
	Path   string // file that the limit was read from, "" when there is no limit
	Limit  int64
	Used   int64
	NoSwap bool // the group may not swap at all
}

// noCgroupLimit is where version 1's "no limit", the largest number of pages,
// begins whatever the page size.
const noCgroupLimit = 1 << 62

// readCgroup walks from the group of the process up to the root, because every
// group on the way limits it. Inside a container the path that the kernel tells
// may not exist below the mount: the walk then ends at the mount itself, which
// is the container's own group.
func readCgroup(t tree) Cgroup {
	var c Cgroup
	for _, line := range t.lines("proc/self/cgroup") {
		v := strings.SplitN(line, ":", 3)
		switch {
		case len(v) != 3 || !strings.HasPrefix(v[2], "/"):
		case v[0] == "0" && v[1] == "":
			c.walk(t, "sys/fs/cgroup", v[2], "memory.max", "memory.current")
			c.walk(t, "sys/fs/cgroup", v[2], "memory.high", "memory.current")
			c.NoSwap = c.NoSwap || noSwap(t, v[2])
		case hasController(v[1], "memory"):
			c.walk(t, "sys/fs/cgroup/memory", v[2], "memory.limit_in_bytes", "memory.usage_in_bytes")
		}
	}
	return c
}

// walk takes the tightest limit between the group and the mount.
func (c *Cgroup) walk(t tree, mount, group, limit, used string) {
	for dir := path.Clean(group); ; dir = path.Dir(dir) {
		at := path.Join(mount, dir)
		if n := t.numbers(path.Join(at, limit)); len(n) == 1 && n[0] < noCgroupLimit && (c.Path == "" || n[0] < c.Limit) {
			c.Path, c.Limit, c.Used = "/"+path.Join(at, limit), n[0], 0
			if n := t.numbers(path.Join(at, used)); len(n) == 1 {
				c.Used = n[0]
			}
		}
		if dir == "/" {
			return
		}
	}
}

func noSwap(t tree, group string) bool {
	for dir := path.Clean(group); ; dir = path.Dir(dir) {
		if n := t.numbers(path.Join("sys/fs/cgroup", dir, "memory.swap.max")); len(n) == 1 && n[0] == 0 {
			return true
		}
		if dir == "/" {
			return false
		}
	}
}

func hasController(list, name string) bool {
	for _, c := range strings.Split(list, ",") {
		if c == name {
			return true
		}
	}
	return false
}
