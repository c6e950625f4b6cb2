package bench

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"wsd/bench/report"
	"wsd/netpoll"
)

// spare is how many descriptors of a process are not for clients: epoll, the
// standard streams, files in /proc, the publisher's connections.
const spare = 64

// perProcess is how many clients one process can hold.
func perProcess() (int, error) {
	limit, err := netpoll.Descriptors()
	if err != nil {
		return 0, err
	}
	if limit <= 2*spare {
		return 0, fmt.Errorf("the descriptor limit is %d, too low for anything: raise it with ulimit -n", limit)
	}
	return limit - spare, nil
}

// workers is how many processes the plan takes.
func (p *Plan) workers() (int, error) {
	most, err := perProcess()
	if err != nil {
		return 0, err
	}
	need := (p.total() + most - 1) / most
	if p.Workers == 0 {
		return need, nil
	}
	if p.Workers < need {
		return 0, fmt.Errorf("%d workers hold at most %d clients each (the descriptor limit), the plan has %d: it takes %d workers, or a higher ulimit -n",
			p.Workers, most, p.total(), need)
	}
	return min(p.Workers, p.Clients), nil
}

// What a connection costs the kernel, roughly, and a worker process to begin with.
const (
	kernelPerEnd  = 5 << 10
	workerAtStart = 24 << 20
)

// preflight says what does not fit, and how to mend it, before the first
// connection is made.
func preflight(p *Plan, pids []int, targets []target, sources []netip.Addr, workers int) (fatal []error, warnings []string) {
	if err := checkPorts(p, targets, sources); err != nil {
		fatal = append(fatal, err)
	}
	fatal = append(fatal, checkProcesses(pids)...)
	for _, a := range firstAndLast(sources) {
		if err := bindable(a); err != nil {
			fatal = append(fatal, fmt.Errorf("source %s is no address of this machine (%w): add it to an interface, or take it out of the sources", a, err))
		}
	}
	switch w, hopeless := checkMemory(p, targets, workers); {
	case hopeless:
		fatal = append(fatal, errors.New(w))
	case w != "":
		warnings = append(warnings, w)
	}
	return fatal, warnings
}

func checkProcesses(pids []int) (fatal []error) {
	for _, pid := range pids {
		if _, err := proc.Proc(pid); err != nil {
			fatal = append(fatal, fmt.Errorf("there is no process %d to take the server's figures from", pid))
		}
	}
	return fatal
}

// checkPorts: every pair of source and target has as many connections as there
// are local ports.
func checkPorts(p *Plan, targets []target, sources []netip.Addr) error {
	low, high := portRange()
	ports := high - low + 1
	room := ports * len(distinct(targets)) * max(1, len(sources))
	if room >= p.total() {
		return nil
	}
	more := (p.total() + ports*len(distinct(targets)) - 1) / (ports * len(distinct(targets)))
	return fmt.Errorf("%d clients do not fit: %d source(s) and %d target(s) with %d local ports each give %d connections; use %d sources, or widen net.ipv4.ip_local_port_range",
		p.total(), max(1, len(sources)), len(distinct(targets)), ports, room, more)
}

func distinct(targets []target) map[netip.AddrPort]bool {
	set := make(map[netip.AddrPort]bool)
	for _, t := range targets {
		set[t.Addr] = true
	}
	return set
}

func portRange() (low, high int) {
	low, high = 32768, 60999
	fmt.Sscan(sysctl("net.ipv4.ip_local_port_range"), &low, &high)
	return low, high
}

func firstAndLast(a []netip.Addr) []netip.Addr {
	if len(a) < 2 {
		return a
	}
	return []netip.Addr{a[0], a[len(a)-1]}
}

func bindable(a netip.Addr) error {
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: a.AsSlice(), Zone: a.Zone()})
	if err != nil {
		if inner := errors.Unwrap(err); inner != nil {
			err = inner
		}
		return err
	}
	return l.Close()
}

// buffered is what may be half received and half sent if the plan does not say.
func buffered() int {
	free := memory().available
	return int(min(max(free/4, 64<<20), 1<<30))
}

// checkMemory says what is missing; it is hopeless from twice of what there is.
func checkMemory(p *Plan, targets []target, workers int) (text string, hopeless bool) {
	ends := 1
	for _, t := range targets {
		if t.Addr.Addr().IsLoopback() {
			ends = 2
		}
	}
	need := float64(p.total()*ends*kernelPerEnd + workers*workerAtStart)
	free := memory().available
	if free == 0 || need < free*.9 {
		return "", false
	}
	side := "this side"
	if ends == 2 {
		side = "both ends on this machine"
	}
	return fmt.Sprintf("about %s of memory will be needed (%s), %s is available: expect the kernel to run out; use fewer clients",
		report.ByteText(need), side, report.ByteText(free)), need > 2*free
}
