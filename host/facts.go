package host

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Facts is what a machine says about itself. It is plain data: a test or another
// machine's copy can be put together by hand, and Plan reads nothing else.
// Memory is in bytes, counters are since boot.
type Facts struct {
	Kernel    string // release, as in 6.1.0-18-amd64
	PageSize  int64  // bytes; tcp_mem is counted in these
	Container string // docker, podman, kubernetes, lxc or "" when it looks like a whole machine

	Root         bool // the effective user is 0
	Admin        bool // CAP_SYS_ADMIN is effective
	SysReadOnly  bool // /proc/sys is mounted read-only, as in most containers
	NoFile       Limit
	Systemd      UnitLimit
	Sysctl       map[string][]int64 // by dotted name; what is not there could not be read
	THP          string             // always, madvise, never or "" when unknown
	Memory       Memory
	Cgroup       Cgroup
	TCPPages     int64             // pages that TCP holds now, /proc/net/sockstat
	Counters     map[string]uint64 // TcpExt counters of /proc/net/netstat
	SoftnetDrops uint64            // packets dropped for netdev_max_backlog, all processors
}

// Limit is a resource limit of the calling process.
type Limit struct {
	Soft, Hard int64
}

// Memory is what /proc/meminfo tells of the machine.
type Memory struct {
	Total, Available, Swap int64
}

// settings are the kernel settings that are looked at.
var settings = []string{
	"fs.epoll.max_user_watches",
	"fs.file-max",
	"fs.file-nr",
	"fs.nr_open",
	"net.core.netdev_max_backlog",
	"net.core.somaxconn",
	"net.ipv4.ip_local_port_range",
	"net.ipv4.tcp_abort_on_overflow",
	"net.ipv4.tcp_max_orphans",
	"net.ipv4.tcp_max_syn_backlog",
	"net.ipv4.tcp_mem",
	"net.ipv4.tcp_rmem",
	"net.ipv4.tcp_syncookies",
	"net.ipv4.tcp_tw_reuse",
	"net.ipv4.tcp_wmem",
	"net.netfilter.nf_conntrack_buckets",
	"net.netfilter.nf_conntrack_count",
	"net.netfilter.nf_conntrack_max",
	"net.netfilter.nf_conntrack_tcp_timeout_established",
	"vm.swappiness",
}

// Read gathers the facts of the machine whose file tree starts at root: "/" for
// this one. A fact that cannot be read is left out. The error is for a root
// where there is no Linux to be found at all.
func Read(root string) (Facts, error) {
	t := tree{os.DirFS(root)}
	if !t.exists("proc/meminfo") && !t.exists("proc/self/limits") {
		return Facts{}, fmt.Errorf("host: no Linux procfs below %s: neither proc/meminfo nor proc/self/limits can be read", root)
	}
	f := Facts{PageSize: int64(os.Getpagesize()), Sysctl: map[string][]int64{}}
	f.Kernel, _ = t.text("proc/sys/kernel/osrelease")
	for _, key := range settings {
		if v := t.numbers(sysctlPath(key)); v != nil {
			f.Sysctl[key] = v
		}
	}
	f.NoFile = readNoFile(t)
	f.Root, f.Admin = readRights(t)
	f.Systemd = readUnitLimit(t)
	f.Cgroup = readCgroup(t)
	thp, _ := t.text(thpPath)
	f.THP = chosen(thp)
	f.Counters = readTCPExt(t)
	f.readProc(t, filepath.Join(root, "proc"))
	return f, nil
}

// one is the first number of a setting.
func (f Facts) one(key string) (int64, bool) {
	if v := f.Sysctl[key]; len(v) > 0 {
		return v[0], true
	}
	return 0, false
}

// innerNetNS says whether the process lives in a network namespace of its own.
// The kernel shows the settings that all namespaces share, tcp_mem among them,
// in the first one only.
func (f Facts) innerNetNS() bool {
	_, shared := f.Sysctl["net.ipv4.tcp_mem"]
	_, own := f.Sysctl["net.core.somaxconn"]
	return own && !shared
}

const thpPath = "sys/kernel/mm/transparent_hugepage/enabled"

// chosen is the word in brackets of a sysfs list of choices.
func chosen(s string) string {
	_, rest, ok := strings.Cut(s, "[")
	if !ok {
		return strings.TrimSpace(s)
	}
	word, _, _ := strings.Cut(rest, "]")
	return word
}
