package host

import (
	"fmt"
	"sort"
	"strings"
)

// Plan compares what n needs with what f has, one item for each setting, in the
// order in which they stop a growing number of clients.
func Plan(f Facts, n Needs) []Item {
	n = n.withDefaults()
	p := planner{f: f, n: n, e: NewEstimate(f, n)}
	p.descriptors()
	p.memory()
	p.conntrack()
	p.queues()
	if n.LoadGenerator {
		p.ports()
	}
	return p.items
}

// MaxClients is how many clients fit as the machine is, all else of n unchanged,
// and the name of the item that stops the next one. Beyond a hundred million
// nobody asks: that is the answer when nothing stops them.
func MaxClients(f Facts, n Needs) (int, string) {
	const most = 100_000_000
	plan := func(clients int) []Item {
		n.Clients = clients
		return Plan(f, n)
	}
	above := sort.Search(most, func(i int) bool { return !Fits(plan(i + 1)) })
	if above == most {
		return most, ""
	}
	return above, Problems(plan(above + 1))[0].Name
}

// planner collects the items. It is used for one plan.
type planner struct {
	f     Facts
	n     Needs
	e     Estimate
	items []Item
}

func (p *planner) add(it Item) { p.items = append(p.items, it) }

// atLeast adds the item of a setting with one number: short is the verdict if it
// is below need.
func (p *planner) atLeast(key string, need int64, short Verdict, why string) {
	it := Item{Name: key, Needed: limitText(need), Why: why, Setting: sysctl(key, need)}
	now, ok := p.f.one(key)
	if !ok {
		p.unseen(it)
		return
	}
	it.Now = limitText(now)
	if now < need {
		it.Verdict = short
		it.Do = p.f.do(it.Setting)
	}
	p.add(it)
}

// unseen adds an item whose value cannot be read here.
func (p *planner) unseen(it Item) {
	it.Now, it.Verdict = "-", Unknown
	if p.f.innerNetNS() && !ownedByNetNS[it.Name] {
		it.Why += "; all network namespaces share it and only the host's shows it"
		it.Do = "check it on the host, outside this container"
	} else {
		it.Why += "; this kernel does not show it"
	}
	p.add(it)
}

// ownedByNetNS are the settings that each network namespace has for itself. A
// container can be given its own value of these and of no others.
var ownedByNetNS = map[string]bool{
	"net.core.somaxconn":             true,
	"net.ipv4.ip_local_port_range":   true,
	"net.ipv4.tcp_abort_on_overflow": true,
	"net.ipv4.tcp_max_syn_backlog":   true,
	"net.ipv4.tcp_rmem":              true,
	"net.ipv4.tcp_syncookies":        true,
	"net.ipv4.tcp_tw_reuse":          true,
	"net.ipv4.tcp_wmem":              true,
}

// do says what to do about a setting and who can.
func (f Facts) do(s *Setting) string {
	value := s.Choice
	if value == "" {
		value = s.merge(numberList(f.Sysctl[s.Key]))
	}
	own := ownedByNetNS[s.Key]
	switch {
	case f.confined() && own:
		return fmt.Sprintf("set %s=%q where the container is started (docker run --sysctl, Kubernetes securityContext.sysctls)", s.Key, value)
	case f.confined() || f.innerNetNS() && !own && strings.HasPrefix(s.Key, "net."):
		return fmt.Sprintf("root of the host sets %s=%q: no container can", s.Key, value)
	case !f.Root:
		return fmt.Sprintf("root runs `wsd tune apply`, or sets %s=%q", s.Key, value)
	}
	return fmt.Sprintf("`wsd tune apply` sets %s=%q", s.Key, value)
}

// confined says whether kernel settings are out of reach for being in a container.
func (f Facts) confined() bool { return f.SysReadOnly || f.Container != "" && !f.Root }
