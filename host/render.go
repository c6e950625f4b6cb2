package host

import (
	"fmt"
	"maps"
	"sort"
	"strings"
)

// Sysctl is a file for /etc/sysctl.d with every setting that the clients need.
// A value that is large enough already is written as it is now, so that loading
// the file on this machine lowers nothing.
func Sysctl(f Facts, n Needs) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Kernel settings for %s clients, by `wsd tune print sysctl` on Linux %s.\n", thousands(int64(n.Clients)), f.Kernel)
	fmt.Fprintf(&b, "# To /etc/sysctl.d/90-wsd.conf, then `sysctl --system`. Nothing here is lower than it was there.\n")
	for _, it := range Plan(f, n) {
		if it.Setting == nil {
			continue
		}
		fmt.Fprintf(&b, "\n# %s\n", it.Why)
		if !it.Setting.isSysctl() {
			fmt.Fprintf(&b, "# Not a sysctl; for /etc/tmpfiles.d/wsd.conf: w /%s - - - - %s\n", it.Setting.Path, it.Setting.Choice)
			continue
		}
		if it.Verdict == Unknown {
			fmt.Fprintf(&b, "# Its value cannot be seen from here; on the host, if it is lower there:\n# ")
		}
		// The dash makes a setting that is not there an ignored one: conntrack's
		// appear only when its module is loaded.
		dash := ""
		if strings.HasPrefix(it.Setting.Key, "net.netfilter.") {
			dash = "-"
		}
		fmt.Fprintf(&b, "%s%s = %s\n", dash, it.Setting.Key, it.Setting.merge(numberList(f.Sysctl[it.Setting.Key])))
	}
	return b.String()
}

// Systemd is a drop-in for the unit of the server.
func Systemd(f Facts, n Needs) string {
	n = n.withDefaults()
	e := NewEstimate(f, n)
	var b strings.Builder
	fmt.Fprintf(&b, "# Limits for %s clients, by `wsd tune print systemd`.\n", thousands(int64(n.Clients)))
	b.WriteString("# To /etc/systemd/system/wsd.service.d/limits.conf, then `systemctl daemon-reload` and restart wsd.\n")
	fmt.Fprintf(&b, "[Service]\n")
	fmt.Fprintf(&b, "# One descriptor a client and a reserve. fs.nr_open has to allow it.\nLimitNOFILE=%d\n", n.descriptors())
	b.WriteString("# A collected heap must not be swapped out.\nMemorySwapMax=0\n")
	fmt.Fprintf(&b, "# About %s is needed, the kernel's sockets included. A limit, if there is one, belongs above that:\n#MemoryMax=%d\n",
		bytesText(e.Total), memoryLimit(e))
	return b.String()
}

// Container is the flags that start a container for the server, and what has to
// be set outside of it because no container can.
func Container(f Facts, n Needs) string {
	n = n.withDefaults()
	e := NewEstimate(f, n)
	inside, outside := containerSettings(f, n)
	var b strings.Builder
	fmt.Fprintf(&b, "# Flags for %s clients, by `wsd tune print container`.\n", thousands(int64(n.Clients)))
	b.WriteString("docker run \\\n")
	fmt.Fprintf(&b, "  --ulimit nofile=%d:%d \\\n", n.descriptors(), n.descriptors())
	fmt.Fprintf(&b, "  --memory %d --memory-swap %d \\\n", memoryLimit(e), memoryLimit(e))
	for _, s := range inside {
		fmt.Fprintf(&b, "  --sysctl %s=%q \\\n", s.Key, numberList(s.Values))
	}
	b.WriteString("  wsd serve\n")
	b.WriteString("\n# Kubernetes: the same in the pod's spec; the kubelet has to allow the sysctls that are not on its safe\n# list (--allowed-unsafe-sysctls). LimitNOFILE is the container runtime's unit's, on the node.\n")
	if len(inside) > 0 {
		b.WriteString("securityContext:\n  sysctls:\n")
	}
	for _, s := range inside {
		fmt.Fprintf(&b, "  - {name: %s, value: %q}\n", s.Key, numberList(s.Values))
	}
	b.WriteString("\n# On the host or node, because containers share these:\n")
	for _, s := range outside {
		fmt.Fprintf(&b, "#   %s = %s\n", s.Key, numberList(s.Values))
	}
	return b.String()
}

// newNetNS is what a new network namespace starts with, whatever the host has:
// the settings of which Plan wants nothing when they are right.
var newNetNS = map[string][]int64{
	"net.ipv4.ip_local_port_range":   {32768, 60999},
	"net.ipv4.tcp_abort_on_overflow": {0},
	"net.ipv4.tcp_syncookies":        {1},
	"net.ipv4.tcp_tw_reuse":          {2},
}

// containerSettings parts the settings into those that a container can have for
// itself and the others.
func containerSettings(f Facts, n Needs) (inside, outside []*Setting) {
	f.Sysctl = maps.Clone(f.Sysctl)
	maps.Copy(f.Sysctl, newNetNS)
	for _, it := range Plan(f, n) {
		switch s := it.Setting; {
		case s == nil || !s.isSysctl():
		case ownedByNetNS[s.Key]:
			inside = append(inside, s)
		default:
			outside = append(outside, s)
		}
	}
	byKey := func(s []*Setting) func(i, j int) bool {
		return func(i, j int) bool { return s[i].Key < s[j].Key }
	}
	sort.Slice(inside, byKey(inside))
	sort.Slice(outside, byKey(outside))
	return inside, outside
}

// memoryLimit is the estimate and a quarter, in whole MiB.
func memoryLimit(e Estimate) int64 { return ceilDiv(e.Total+e.Total/4, 1<<20) << 20 }
