package host

import "fmt"

// conntrack adds what a firewall's connection tracking needs. When its table is
// full, new connections are dropped without an answer.
func (p *planner) conntrack() {
	const maxKey = "net.netfilter.nf_conntrack_max"
	most, loaded := p.f.one(maxKey)
	count, _ := p.f.one("net.netfilter.nf_conntrack_count")
	switch {
	case !loaded:
		p.untracked("not loaded", "nothing tracks connections: no table that could fill up")
		return
	case count == 0:
		p.idleTable(most)
		return
	}
	it := Item{Name: maxKey, Now: fmt.Sprintf("%d, %d used", most, count), Why: "a full table drops new connections silently", Setting: sysctl(maxKey, count+p.n.tracked())}
	it.Needed = limitText(it.Setting.Values[0])
	if p.f.innerNetNS() {
		it.Why += "; the host counts these connections on its side as well"
	}
	if most < it.Setting.Values[0] {
		it.Verdict = Fail
		it.Do = p.f.do(it.Setting) + ", or exempt the port: `iptables -t raw -A PREROUTING -p tcp --dport 8066 -j NOTRACK`, and --sport in OUTPUT"
	}
	p.add(it)
	p.buckets(max(most, it.Setting.Values[0]))
	p.trackTime()
}

func (p *planner) untracked(now, why string) {
	name := "conntrack"
	if p.f.innerNetNS() {
		why += " here; the host may have one in front of this namespace"
	}
	p.add(Item{Name: name, Now: now, Needed: "not needed", Why: why})
}

// idleTable: loaded, and no rule uses it. The first one that does (a stateful
// rule, any NAT, a container bridge) makes the size count.
func (p *planner) idleTable(most int64) {
	const key = "net.netfilter.nf_conntrack_max"
	it := Item{Name: key, Now: fmt.Sprintf("%d, none used", most), Needed: limitText(p.n.tracked()), Why: "loaded, but no rule tracks connections now; the first stateful rule would make this the limit", Setting: sysctl(key, p.n.tracked())}
	switch {
	case p.f.innerNetNS():
		it.Verdict, it.Why = Unknown, "nothing is tracked in this network namespace, but the host may track it on the way here (address translation does)"
		it.Do = "check nf_conntrack_count and nf_conntrack_max on the host, outside this container"
	case most < p.n.tracked():
		it.Verdict, it.Do = Warn, p.f.do(it.Setting)
	}
	p.add(it)
}

// buckets: chains longer than about four make every packet's look-up slower.
func (p *planner) buckets(entries int64) {
	p.atLeast("net.netfilter.nf_conntrack_buckets", ceilDiv(entries, 4), Warn, "hash table of the entries; chains longer than four slow down every packet")
}

// trackTime: too short forgets clients between two heartbeats, and their next one
// is dropped; too long keeps the dead ones, five days by default.
func (p *planner) trackTime() {
	const key = "net.netfilter.nf_conntrack_tcp_timeout_established"
	shortest := max(trackShortest, 3*p.n.Heartbeat)
	it := Item{
		Name: key, Needed: fmt.Sprintf("%d to %d", seconds(shortest), seconds(max(trackLongest, shortest))),
		Why: "seconds that a silent connection is remembered, living or dead",
	}
	now, ok := p.f.one(key)
	if !ok {
		p.unseen(it)
		return
	}
	it.Now = limitText(now)
	switch {
	case now < seconds(shortest):
		it.Verdict, it.Setting = Warn, sysctl(key, seconds(shortest))
		it.Why = "the firewall forgets clients between two heartbeats and drops what they send next"
		it.Do = p.f.do(it.Setting)
	case now > seconds(max(trackLongest, shortest)):
		it.Verdict = Warn
		it.Why += "; the entries of clients that vanished stay for as long"
		it.Do = fmt.Sprintf("lower it: %s=%d (not done by `wsd tune apply`, which never lowers)", key, seconds(max(trackLongest, shortest)))
	}
	p.add(it)
}
