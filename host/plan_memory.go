package host

import "fmt"

// memory adds RAM, control group, TCP's own budget and socket buffers, swap and
// huge pages.
func (p *planner) memory() {
	p.ram()
	if p.f.Cgroup.Path != "" {
		p.group()
	}
	p.tcpMem()
	p.bufferSizes("net.ipv4.tcp_rmem", "receive")
	p.bufferSizes("net.ipv4.tcp_wmem", "send")
	p.swap()
	p.hugePages()
}

// ram wants a twentieth of the machine left for everything else.
func (p *planner) ram() {
	m := p.f.Memory
	it := Item{
		Name: "memory", Needed: bytesText(p.e.Total), Why: "kernel and wsd for each client, and one broadcast in flight to all",
		Now: fmt.Sprintf("%s free of %s", bytesText(m.Available), bytesText(m.Total)),
	}
	switch {
	case m.Total == 0:
		p.unseen(it)
		return
	case p.e.Total > m.Total-m.Total/20:
		it.Verdict, it.Do = Fail, "a larger machine, fewer clients or smaller broadcasts"
	case m.Available > 0 && p.e.Total > m.Available:
		it.Verdict, it.Do = Warn, "stop what else uses memory here, if it is not wsd itself"
	}
	p.add(it)
}

// group: a control group is charged for kernel memory as well, sockets and their
// buffers included, so that a server is killed while its resident size looks harmless.
func (p *planner) group() {
	c := p.f.Cgroup
	it := Item{
		Name: "cgroup memory", Needed: bytesText(p.e.Total), Why: "limit in " + c.Path + ", which counts the kernel's memory for sockets too",
		Now: fmt.Sprintf("%s used of %s", bytesText(c.Used), bytesText(c.Limit)),
	}
	do := "raise the limit of the container (--memory, resources.limits.memory) or of the unit (MemoryMax=)"
	switch {
	case p.e.Total > c.Limit:
		it.Verdict, it.Do = Fail, do
	case p.e.Total > c.Limit-c.Used:
		it.Verdict, it.Do = Warn, do+", if what is used now is not wsd itself"
	}
	p.add(it)
}

// tcpMem is in pages, for all sockets of the machine. An idle socket takes none;
// a socket with anything in flight takes at least one. Past the second number
// buffers shrink, past the third data is dropped.
func (p *planner) tcpMem() {
	pressure := p.f.TCPPages + p.e.BurstPages
	high := pressure + pressure/4
	it := Item{
		Name: "net.ipv4.tcp_mem", Needed: numberList([]int64{pressure * 3 / 4, pressure, high}),
		Why:     fmt.Sprintf("pages (not bytes) for all sockets; one broadcast of %s that nobody has read takes %d of them", bytesText(int64(p.n.MessageBytes)), p.e.BurstPages),
		Setting: sysctl("net.ipv4.tcp_mem", p.f.atMostHalf(pressure*3/4, pressure, high)...),
	}
	now := p.f.Sysctl[it.Name]
	if len(now) != 3 {
		p.unseen(it)
		return
	}
	it.Now = numberList(now)
	switch {
	case now[2] < pressure:
		it.Verdict = Fail
	case now[1] < pressure:
		it.Verdict = Warn
	}
	if it.Verdict != OK {
		it.Do = p.f.do(it.Setting)
		if it.Setting.Values[1] < pressure {
			it.Do += ", half the memory of this machine, and not enough: smaller broadcasts, fewer clients or more memory"
		}
	}
	p.add(it)
}

// atMostHalf keeps TCP's budget at half the memory or less: more would only move
// the failure from TCP to the whole machine.
func (f Facts) atMostHalf(pages ...int64) []int64 {
	if half := f.Memory.Total / 2 / f.pageSize(); half > 0 {
		for i := range pages {
			pages[i] = min(pages[i], half-half/10*int64(len(pages)-1-i))
		}
	}
	return pages
}

// bufferSizes looks for two mistakes that guides spread: a first number (what
// every socket may take under pressure) above a page, and a second one (what it
// begins with) of megabytes. Both are cured by lowering, so that they are told and
// not set. The third needs no change: buffers are not allocated in advance, and
// tcp_mem bounds their sum.
func (p *planner) bufferSizes(key, direction string) {
	const page, start = 4096, 1 << 20
	it := Item{
		Name: key, Needed: fmt.Sprintf("up to %d, up to %d, any", page, start),
		Why: "least, first and largest " + direction + " buffer of a socket; not allocated in advance, so that idle sockets cost none",
	}
	now := p.f.Sysctl[key]
	if len(now) != 3 {
		p.unseen(it)
		return
	}
	it.Now = numberList(now)
	if now[0] > page || now[1] > start {
		it.Verdict = Warn
		it.Why = "a large least or first " + direction + " buffer is guaranteed to each socket even when memory is short"
		it.Do = fmt.Sprintf("lower it: %s=%q (not done by `wsd tune apply`, which never lowers)", key, numberList([]int64{min(now[0], page), min(now[1], 131072), now[2]}))
	}
	p.add(it)
}

func (p *planner) swap() {
	it := Item{Name: "swap", Now: bytesText(p.f.Memory.Swap), Needed: "none", Why: "a collected heap that is swapped out stops the server at every collection"}
	swappiness, known := p.f.one("vm.swappiness")
	switch {
	case p.f.Memory.Swap == 0:
		it.Now = "none"
	case p.f.Cgroup.NoSwap:
		it.Why = "not for this control group: memory.swap.max is 0"
	case known && swappiness == 0:
		it.Why += "; vm.swappiness=0 leaves it for emergencies"
	default:
		it.Verdict, it.Do = Warn, "root runs `swapoff -a`, or MemorySwapMax=0 in wsd's unit (`wsd tune print systemd`)"
	}
	p.add(it)
}

// hugePages: with "always" the kernel backs a sparse heap with 2 MiB pages and
// resident memory grows without being used. Any other choice leaves it to the
// program.
func (p *planner) hugePages() {
	it := Item{
		Name: "transparent_hugepage", Now: p.f.THP, Needed: "madvise or never", Why: "\"always\" makes resident memory grow beyond what is used",
		Setting: &Setting{Key: thpKey, Path: thpPath, Choice: "madvise"},
	}
	switch p.f.THP {
	case "":
		p.unseen(it)
		return
	case "always":
		it.Verdict, it.Do = Warn, p.f.do(it.Setting)
	default:
		it.Setting = nil
	}
	p.add(it)
}
