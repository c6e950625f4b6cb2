package bench

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"wsd/bench/report"
	"wsd/netpoll"
)

// The settings that decide how many connections there can be and how they behave.
var sysctls = []string{
	"fs.file-max", "fs.nr_open", "fs.epoll.max_user_watches",
	"net.core.somaxconn", "net.core.netdev_max_backlog", "net.core.rmem_default", "net.core.wmem_default",
	"net.ipv4.ip_local_port_range", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem", "net.ipv4.tcp_mem",
	"net.ipv4.tcp_max_syn_backlog", "net.ipv4.tcp_tw_reuse", "net.ipv4.tcp_max_tw_buckets",
	"net.ipv4.tcp_max_orphans", "net.netfilter.nf_conntrack_max",
}

func hostFacts() report.Host {
	h := report.Host{
		Kernel:      sysctl("kernel.osrelease"),
		Processor:   processorName(),
		Processors:  runtime.NumCPU(),
		GOMAXPROCS:  runtime.GOMAXPROCS(0),
		MemoryBytes: memory().total,
		LoadAverage: loadAverage(),
		Go:          runtime.Version(),
		Sysctls:     make(map[string]string),
	}
	h.Descriptors, _ = netpoll.Descriptors()
	if info, ok := debug.ReadBuildInfo(); ok {
		h.Version = info.Main.Version
	}
	for _, name := range sysctls {
		if value := sysctl(name); value != "" {
			h.Sysctls[name] = value
		}
	}
	return h
}

// sysctl is a setting of the kernel, "" if there is none of that name.
func sysctl(name string) string {
	fields, _ := proc.SysctlStrings(name)
	return strings.Join(fields, " ")
}

// memory is how much there is, in bytes, and how much can still be had; 0: unknown.
func memory() (m struct{ total, available float64 }) {
	info, _ := proc.Meminfo()
	if info.MemTotalBytes != nil && info.MemAvailableBytes != nil {
		m.total, m.available = float64(*info.MemTotalBytes), float64(*info.MemAvailableBytes)
	}
	return m
}

func loadAverage() string {
	l, err := proc.LoadAvg()
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%.2f %.2f %.2f", l.Load1, l.Load5, l.Load15)
}
