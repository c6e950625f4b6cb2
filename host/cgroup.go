package host

import (
	"iter"
	"path"
	"slices"
	"strings"
)

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

// readCgroup takes the tightest limit of all groups that the process is in.
func readCgroup(t tree) Cgroup {
	var c Cgroup
	for g := range memoryGroups(t) {
		for _, file := range g.limits() {
			if n, ok := g.limit(file); ok && (c.Path == "" || n < c.Limit) {
				used, _ := g.number(g.used)
				c.Path, c.Limit, c.Used = "/"+path.Join(g.dir, file), n, used
			}
		}
		swap, ok := g.number(g.swap)
		c.NoSwap = c.NoSwap || ok && swap == 0
	}
	return c
}

// memoryGroup is a control group that may limit the memory of the process.
type memoryGroup struct {
	cgroupFiles
	t   tree
	dir string
}

// cgroupFiles are the names that a version of control groups gives its numbers.
type cgroupFiles struct {
	mount string
	hard  string // limit at which the kernel kills
	soft  string // limit at which it slows the group down; "": there is none
	used  string
	swap  string // limit of swap; "": not looked at
	cache string // line of memory.stat: page cache that was not used for long
}

var (
	cgroup1 = cgroupFiles{mount: "sys/fs/cgroup/memory", hard: "memory.limit_in_bytes", used: "memory.usage_in_bytes", cache: "total_inactive_file"}
	cgroup2 = cgroupFiles{mount: "sys/fs/cgroup", hard: "memory.max", soft: "memory.high", used: "memory.current", swap: "memory.swap.max", cache: "inactive_file"}
)

// memoryGroups walks from the group of the process up to the root, because every
// group on the way limits it. Inside a container the path that the kernel tells
// may not exist below the mount: the walk then ends at the mount itself, which
// is the container's own group.
func memoryGroups(t tree) iter.Seq[memoryGroup] {
	return func(yield func(memoryGroup) bool) {
		for _, line := range t.lines("proc/self/cgroup") {
			files, group, ok := memoryHierarchy(line)
			for dir := path.Clean(group); ok; dir = path.Dir(dir) {
				if !yield(memoryGroup{files, t, path.Join(files.mount, dir)}) {
					return
				}
				ok = dir != "/"
			}
		}
	}
}

// memoryHierarchy reads a line "ID:CONTROLLERS:PATH" of /proc/self/cgroup. It
// reports false if the line's groups do not limit memory (cgroups(7)).
func memoryHierarchy(line string) (files cgroupFiles, group string, ok bool) {
	v := strings.SplitN(line, ":", 3)
	switch {
	case len(v) != 3 || !strings.HasPrefix(v[2], "/"):
		return cgroupFiles{}, "", false
	case v[0] == "0" && v[1] == "":
		return cgroup2, v[2], true
	default:
		return cgroup1, v[2], slices.Contains(strings.Split(v[1], ","), "memory")
	}
}

// limits are the files that a limit can be in.
func (g *memoryGroup) limits() []string {
	if g.soft == "" {
		return []string{g.hard}
	}
	return []string{g.hard, g.soft}
}

// limit is the number of bytes in a file, and whether it is a limit at all.
func (g *memoryGroup) limit(file string) (int64, bool) {
	n, ok := g.number(file)
	return n, ok && n < noCgroupLimit
}

func (g *memoryGroup) number(file string) (int64, bool) {
	if n := g.t.numbers(path.Join(g.dir, file)); file != "" && len(n) == 1 {
		return n[0], true
	}
	return 0, false
}

// available is what the group has left of limit, in bytes. Page cache that was
// not used for long counts as left: the kernel can drop it at any time. Where
// nothing says what is used, all is left.
func (g *memoryGroup) available(limit int64) int64 {
	used, ok := g.number(g.used)
	if !ok {
		return limit
	}
	for _, line := range g.t.lines(path.Join(g.dir, "memory.stat")) {
		if name, value, _ := strings.Cut(line, " "); name == g.cache {
			n, _ := parseNumber(value)
			used -= max(n, 0)
		}
	}
	return max(limit-used, 0)
}
