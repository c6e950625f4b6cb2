package bench

import (
	"fmt"
	"net/netip"
	"strings"
)

// Sources are cut off here: more addresses than anybody has ports for.
const maxSources = 1 << 16

// parseSources reads addresses, networks ("127.0.1.0/24") and ranges
// ("10.0.0.1-10.0.0.9"), each of which may be a comma-separated list of such.
func parseSources(texts []string) ([]netip.Addr, error) {
	var all []netip.Addr
	for _, list := range texts {
		for text := range strings.SplitSeq(list, ",") {
			from, to, err := parseRange(strings.TrimSpace(text))
			if err != nil {
				return nil, fmt.Errorf("source %q: %w", text, err)
			}
			for a := from; a.Compare(to) <= 0 && len(all) < maxSources; a = a.Next() {
				all = append(all, a)
			}
		}
	}
	return all, nil
}

func parseRange(text string) (from, to netip.Addr, err error) {
	if network, err := netip.ParsePrefix(text); err == nil {
		from, to = bounds(network.Masked())
		return from, to, nil
	}
	first, last, isRange := strings.Cut(text, "-")
	if from, err = netip.ParseAddr(first); err != nil {
		return from, to, fmt.Errorf("write an address, a network as 127.0.1.0/24, or a range as 10.0.0.1-10.0.0.9")
	}
	if !isRange {
		return from, from, nil
	}
	if to, err = netip.ParseAddr(last); err == nil && (to.Is4() != from.Is4() || to.Less(from)) {
		err = fmt.Errorf("%s does not come after %s", to, from)
	}
	return from, to, err
}

// bounds are the addresses of a network that can be a source: without its own
// and its broadcast address, unless that leaves none.
func bounds(p netip.Prefix) (from, to netip.Addr) {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	from = p.Addr()
	to, _ = netip.AddrFromSlice(b)
	if p.Addr().Is4() && p.Bits() < 31 {
		from, to = from.Next(), to.Prev()
	}
	return from, to
}

// clientsPerSource is how many connections of one source to one destination
// the automatic choice plans for: few enough that the kernel finds a free port
// at once, and that a storm does not run out of them.
const clientsPerSource = 4000

// loopbackSources chooses sources for n clients a target. Every address of
// 127.0.0.0/8 is this machine's; they begin at 127.0.1.1, where nobody listens.
func loopbackSources(n int) []netip.Addr {
	want := min(max(1, (n+clientsPerSource-1)/clientsPerSource), maxSources)
	all := make([]netip.Addr, 0, want)
	for a := netip.AddrFrom4([4]byte{127, 0, 1, 1}); len(all) < want; a = a.Next() {
		if last := a.As4()[3]; last != 0 && last != 255 {
			all = append(all, a)
		}
	}
	return all
}

// chooseSources is a choice of our own on loopback, none elsewhere.
func chooseSources(p *Plan, targets []target) []netip.Addr {
	for _, t := range targets {
		if a := t.Addr.Addr(); !a.Is4() || !a.IsLoopback() {
			return nil
		}
	}
	return loopbackSources((p.total() + len(targets) - 1) / len(targets))
}

// total is how many clients there are, the badly-behaved included.
func (p *Plan) total() int {
	n := p.Clients
	for _, g := range p.Groups {
		n += g.Count
	}
	return n
}
