package admin

import (
	"path"
	"strings"
)

// memory is the limit that binds first, and what is left to the process: of
// the machine, or of its control group or one above. What the kernel can drop
// at any time (page cache that was not used for long) counts as left.
func (s *resources) memory() (limit, available int64) {
	limit, available = s.meminfo("MemTotal"), s.meminfo("MemAvailable")
	for line := range strings.Lines(s.text("proc/self/cgroup")) {
		id, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, group, ok := strings.Cut(rest, ":")
		var files cgroupFiles
		switch {
		case !ok:
			continue
		case id == "0" && controllers == "":
			files = cgroup2
		case strings.Contains(","+controllers+",", ",memory,"):
			files = cgroup1
		default:
			continue
		}
		for {
			limit, available = s.group(files, group, limit, available)
			if group == "/" || group == "." || group == "" {
				break
			}
			group = path.Dir(group)
		}
	}
	return limit, available
}

// cgroupFiles is where a version of control groups keeps its numbers.
type cgroupFiles struct{ mount, limit, used, cache string }

var (
	cgroup1 = cgroupFiles{"sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"}
	cgroup2 = cgroupFiles{"sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"}
)

// group lowers limit and available to those of one control group, if it has
// any. Version 1 writes no limit as an enormous one, version 2 as "max".
func (s *resources) group(f cgroupFiles, name string, limit, available int64) (int64, int64) {
	dir := path.Join(f.mount, name)
	its, used := number(s.text(path.Join(dir, f.limit))), number(s.text(path.Join(dir, f.used)))
	if its < 0 || used < 0 || limit >= 0 && its > limit {
		return limit, available
	}
	for line := range strings.Lines(s.text(path.Join(dir, "memory.stat"))) {
		if name, value, _ := strings.Cut(line, " "); name == f.cache {
			used -= max(number(value), 0)
		}
	}
	left := max(its-used, 0)
	if available < 0 || left < available {
		available = left
	}
	return its, available
}

func (s *resources) meminfo(name string) int64 {
	for line := range strings.Lines(s.text("proc/meminfo")) {
		if words := strings.Fields(line); len(words) == 3 && words[0] == name+":" {
			return times(number(words[1]), 1024)
		}
	}
	return unknownUsage
}
