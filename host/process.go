package host

import (
	"strconv"
	"strings"

	"github.com/prometheus/procfs"
)

// readNoFile takes the descriptor limits of the process that reads. For a Go
// program the soft one is already raised to the hard one by the runtime.
func readNoFile(t tree) Limit {
	for _, line := range t.lines("proc/self/limits") {
		if rest, ok := strings.CutPrefix(line, "Max open files"); ok {
			if v := strings.Fields(rest); len(v) >= 2 {
				soft, okSoft := parseNumber(v[0])
				hard, okHard := parseNumber(v[1])
				if okSoft && okHard {
					return Limit{soft, hard}
				}
			}
		}
	}
	return Limit{}
}

// capSysAdmin is the bit of CAP_SYS_ADMIN, which is exempt from fs.file-max.
const capSysAdmin = 21

// readRights tells who the reading process is: its effective user and whether
// it has CAP_SYS_ADMIN.
func readRights(t tree) (root, admin bool) {
	for _, line := range t.lines("proc/self/status") {
		key, rest, _ := strings.Cut(line, ":")
		v := strings.Fields(rest)
		switch {
		case key == "Uid" && len(v) >= 2:
			root = v[1] == "0"
		case key == "CapEff" && len(v) == 1:
			set, err := strconv.ParseUint(v[0], 16, 64)
			admin = err == nil && set&(1<<capSysAdmin) != 0
		}
	}
	return root, admin
}

// readContainer names the container technology by the traces that each leaves:
// its marker file, or its name in the path of the first process's control group.
// A trace alone is not believed: the file systems of virtual machines are made
// from container images, marker files included. One of the walls has to be there
// as well: the layered root, the read-only settings, or the network of its own.
func readContainer(t tree, f Facts, mounts []*procfs.MountInfo) string {
	if !f.SysReadOnly && !f.innerNetNS() && !layeredRoot(mounts) {
		return ""
	}
	switch {
	case t.exists("var/run/secrets/kubernetes.io"), t.exists("run/secrets/kubernetes.io"):
		return "kubernetes"
	case t.exists("run/.containerenv"):
		return "podman"
	case t.exists(".dockerenv"):
		return "docker"
	}
	s, _ := t.text("proc/1/cgroup")
	for _, c := range [...]struct{ trace, name string }{
		{"kubepods", "kubernetes"}, {"docker", "docker"}, {"libpod", "podman"}, {"/lxc", "lxc"},
	} {
		if strings.Contains(s, c.trace) {
			return c.name
		}
	}
	return ""
}

// layeredRoot says whether the root file system is made of an image's layers.
func layeredRoot(mounts []*procfs.MountInfo) bool {
	for _, m := range mounts {
		if m.MountPoint == "/" {
			return m.FSType == "overlay" || m.FSType == "aufs" || m.FSType == "fuse.fuse-overlayfs"
		}
	}
	return false
}

// readOnlySys says whether kernel settings are mounted read-only. The last
// mount on the nearest path is the one in force: a container's proc is writable
// and has a read-only sys mounted over it.
func readOnlySys(mounts []*procfs.MountInfo) bool {
	ro := false
	nearest := 0
	for _, m := range mounts {
		if (m.MountPoint != "/proc" && m.MountPoint != "/proc/sys") || len(m.MountPoint) < nearest {
			continue
		}
		nearest = len(m.MountPoint)
		_, ro = m.Options["ro"]
	}
	return ro
}
