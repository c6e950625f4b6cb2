package bench

import "net/netip"

// split gives worker i of n its share of the plan: clients, rates and numbers
// at once. Shares of all workers add up to the whole.
func split(p *Plan, i, n int) Plan {
	out := *p
	out.Clients = share(p.Clients, i, n)
	out.MaxBuffered = p.MaxBuffered / n
	out.Groups = append([]Group(nil), p.Groups...)
	for k := range out.Groups {
		out.Groups[k].Count = share(p.Groups[k].Count, i, n)
	}
	out.Phases = append([]Phase(nil), p.Phases...)
	for k := range out.Phases {
		ph := &out.Phases[k]
		ph.Rate /= float64(n)
		ph.Active = share(ph.Active, i, n)
		ph.Concurrency = max(1, share(ph.Concurrency, i, n))
		if ph.Kind == Ramp && ph.Count > 0 {
			ph.Count = max(1, share(ph.Count, i, n))
		}
	}
	return out
}

// share is the part of total that i of n gets.
func share(total, i, n int) int { return total*(i+1)/n - total*i/n }

// texts writes addresses so that parseSources reads them.
func texts(addrs []netip.Addr) []string {
	out := make([]string, len(addrs))
	for i, a := range addrs {
		out[i] = a.String()
	}
	return out
}

// parts cuts the plan for n workers.
func parts(p *Plan, targets []target, sources []netip.Addr, run uint32, n int) []Part {
	whole := *p
	whole.Sources = texts(sources)
	all := make([]Part, n)
	for i := range all {
		all[i] = Part{Plan: split(&whole, i, n), Index: i, Workers: n, Run: run, Targets: targets, Sources: sources}
	}
	return all
}
