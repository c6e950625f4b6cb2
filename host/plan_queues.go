package host

import "fmt"

// queues adds what has to hold a storm: handshakes that arrive faster than they
// are accepted, packets faster than they are handled, connections that end all at
// once. All clients fit without, so these warn.
func (p *planner) queues() {
	queue := p.n.queue()
	storm := fmt.Sprintf("%d handshakes/s for %d ms", p.n.ConnectRate, acceptStall.Milliseconds())
	p.atLeast("net.core.somaxconn", queue, Warn, "caps the listen queue, silently: "+storm+p.f.seen("ListenOverflows", "overflowed"))
	cookies, known := p.f.one("net.ipv4.tcp_syncookies")
	why := "half-open connections: " + storm
	if known && cookies > 0 {
		why += "; beyond it connections go on by SYN cookies, with fewer options" + p.f.seen("TCPReqQFullDoCookies", "did so")
	}
	p.atLeast("net.ipv4.tcp_max_syn_backlog", queue, Warn, why)
	p.flag("net.ipv4.tcp_syncookies", cookies > 0, "1 or 2", "without it a full SYN queue drops clients", sysctl("net.ipv4.tcp_syncookies", 1))
	abort, _ := p.f.one("net.ipv4.tcp_abort_on_overflow")
	p.flag("net.ipv4.tcp_abort_on_overflow", abort == 0, "0", "1 resets clients that only had to wait", nil)
	drops := ""
	if p.f.SoftnetDrops > 0 {
		drops = fmt.Sprintf(" (dropped %d since boot)", p.f.SoftnetDrops)
	}
	p.atLeast("net.core.netdev_max_backlog", p.n.inputQueue(), Warn, "packets waiting for one processor, of loopback too; a broadcast fills it"+drops)
	p.atLeast("net.ipv4.tcp_max_orphans", int64(p.n.Clients), Warn, "connections that end with unsent data, as when the server is killed; beyond it they are reset")
}

// flag adds a setting that is right or not. With no value to set it would have to
// be lowered, which is left to people.
func (p *planner) flag(key string, right bool, needed, why string, set *Setting) {
	it := Item{Name: key, Needed: needed, Why: why, Setting: set}
	now, ok := p.f.one(key)
	if !ok {
		p.unseen(it)
		return
	}
	it.Now = limitText(now)
	if !right {
		it.Verdict = Warn
		it.Do = fmt.Sprintf("lower it: %s=%s (not done by `wsd tune apply`, which never lowers)", key, needed)
		if set != nil {
			it.Do = p.f.do(set)
		}
	} else {
		it.Setting = nil
	}
	p.add(it)
}

// seen tells a counter of trouble if it has counted anything.
func (f Facts) seen(counter, verb string) string {
	n := f.Counters[counter]
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" (%s %d times since boot)", verb, n)
}

// ports adds what the side that connects needs: a pair of addresses and one
// listening port allow for as many connections as there are local ports.
func (p *planner) ports() {
	const key = "net.ipv4.ip_local_port_range"
	set := sysctl(key, portLow, portHigh)
	set.widens = true
	it := Item{Name: key, Needed: numberList(set.Values), Why: "local ports for each source address of the load generator", Setting: set}
	now := p.f.Sysctl[key]
	if len(now) != 2 {
		p.unseen(it)
		return
	}
	it.Now = numberList(now)
	it.Why = fmt.Sprintf("%d local ports for each source address; source addresses for %d clients: %d now, %d with a full range",
		now[1]-now[0]+1, p.n.Clients, p.n.sources(now[0], now[1]), p.n.sources(portLow, portHigh))
	// A range that is wide enough already is not widened for the sake of it.
	if p.n.sources(now[0], now[1]) <= p.n.sources(portLow, portHigh) {
		it.Needed, it.Setting = "as it is", nil
	} else {
		it.Verdict, it.Do = Warn, p.f.do(set)
	}
	p.add(it)
	reuse, _ := p.f.one("net.ipv4.tcp_tw_reuse")
	p.flag("net.ipv4.tcp_tw_reuse", reuse > 0, "1 or 2", "ports of closed connections can be used again at once; 2 does so on loopback", sysctl("net.ipv4.tcp_tw_reuse", 1))
}
