package lab

import (
	"fmt"
	"slices"
	"strings"
)

// rules are what the router does with packets, for nft. They replace those
// before them at once. A packet passes the rules of its sender's way up and of
// its receiver's way down. The router's own packets, which say that a host
// cannot be reached or that a packet is too big, are cut and lost as well.
func (n *Net) rules() string {
	var pairs, up, down []string
	for p := range n.cuts {
		pairs = append(pairs, fmt.Sprintf("iifname %q oifname %q drop", p.from, p.to))
	}
	slices.Sort(pairs)
	for _, h := range n.hosts {
		up = append(up, h.up.rules(fmt.Sprintf("iifname %q", h.name))...)
		down = append(down, h.down.rules(fmt.Sprintf("oifname %q", h.name))...)
	}
	chain := func(hook string, rules ...[]string) string {
		return fmt.Sprintf("chain %s { type filter hook %[1]s priority 0; policy accept;\n%s\n}\n", hook, strings.Join(slices.Concat(rules...), "\n"))
	}
	return "table inet lab\ndelete table inet lab\ntable inet lab {\n" + chain("forward", pairs, up, down) + chain("output", down) + "}\n"
}

// way is one direction of a link.
type way struct {
	cut  bool
	hole int     // bytes of a packet; larger ones vanish; 0: none do
	loss float64 // percent
}

func (w way) rules(match string) (rules []string) {
	if w.cut {
		rules = append(rules, match+" drop")
	}
	if w.hole > 0 {
		rules = append(rules, fmt.Sprintf("%s meta length > %d drop", match, w.hole))
	}
	if w.loss > 0 {
		rules = append(rules, fmt.Sprintf("%s numgen random mod 100000 < %.0f drop", match, w.loss*1000))
	}
	return rules
}
