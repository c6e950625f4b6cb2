package bench

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"

	"wsd/bench/report"
)

// listening is the state of a socket that listens, as the kernel numbers them.
const listening = 10

// findServer looks for the processes that listen where the clients connect to,
// one for each target, if that is on this machine. Why it cannot tell, though
// somebody does listen there, is in warning.
func findServer(targets []target) (pids []int, warning string) {
	const missing = "the server's memory and processor time will be missing: give --pid"
	sockets, owners := listeners(targets), map[string][]int{}
	all, _ := proc.AllProcs()
	for _, p := range all {
		links, _ := p.FileDescriptorTargets() // of processes of others nothing can be seen
		for _, l := range links {
			if _, ok := sockets[l]; ok {
				owners[l] = append(owners[l], p.PID)
			}
		}
	}
	for t := range distinct(targets) {
		var here []int
		listens := false
		for socket, at := range sockets {
			if at == t {
				listens = true
				here = append(here, owners[socket]...)
			}
		}
		slices.Sort(here)
		here = slices.Compact(here)
		switch {
		case !listens || slices.Contains(here, os.Getpid()): // not here, or in this very process
			return nil, ""
		case len(here) == 0:
			return nil, fmt.Sprintf("the server at %s is on this machine, but its process cannot be seen from here; %s", t, missing)
		case len(here) > 1:
			return nil, fmt.Sprintf("several processes listen at %s and cannot be told apart: %v; %s", t, here, missing)
		}
		pids = append(pids, here...)
	}
	slices.Sort(pids)
	return slices.Compact(pids), ""
}

// listeners are the sockets that listen at a target, by what links in
// /proc/PID/fd call them.
func listeners(targets []target) map[string]netip.AddrPort {
	//lint:ignore SA1019 the netlink that it advises is a dependency more, for a look at the start
	v4, _ := proc.NetTCP()
	//lint:ignore SA1019 likewise
	v6, _ := proc.NetTCP6()
	found := make(map[string]netip.AddrPort)
	for _, t := range targets {
		if !local(t.Addr.Addr()) {
			continue
		}
		for _, s := range slices.Concat(v4, v6) {
			if s.St == listening && s.LocalPort == uint64(t.Addr.Port()) && (s.LocalAddr.IsUnspecified() || s.LocalAddr.Equal(net.IP(t.Addr.Addr().AsSlice()))) {
				found[fmt.Sprintf("socket:[%d]", s.Inode)] = t.Addr
			}
		}
	}
	return found
}

// local says whether an address is this machine's.
func local(a netip.Addr) bool {
	if a.IsLoopback() {
		return true
	}
	all, _ := net.InterfaceAddrs()
	return slices.ContainsFunc(all, func(i net.Addr) bool {
		n, ok := i.(*net.IPNet)
		return ok && n.IP.Equal(net.IP(a.AsSlice()))
	})
}

// servers finds the processes to sample, and names them.
func (r *run) servers() (warning string) {
	found := false
	r.pids = r.plan.PIDs
	switch {
	case slices.Equal(r.pids, []int{0}): // nobody is to be looked at
		r.pids = nil
	case len(r.pids) == 0 && len(r.plan.Metrics) == 0:
		r.pids, warning = findServer(r.targets)
		found = true
	}
	for _, pid := range r.pids {
		r.processes = append(r.processes, report.Process{PID: pid, Name: nameOf(pid), Found: found})
	}
	return warning
}

func nameOf(pid int) string {
	p, err := proc.Proc(pid)
	if err != nil {
		return ""
	}
	name, _ := p.Comm()
	return name
}
