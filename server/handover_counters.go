package server

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"wsd/dispatch"
	"wsd/handoff"
)

// visit gives every counter, under a name that lasts, to f and takes what f
// returns for it: the counters are named when they are handed over, so that a
// newer program may have more, fewer, or others. actions are the mux's. What is
// only true of one process (the states of its clients) is left out.
func (c *counters) visit(actions []*dispatch.Action, f func(name string, v uint64) uint64) {
	groups, spreads := c.all(actions)
	for _, h := range spreads {
		groups = append(groups, group{h.prefix, h.counts[:], strconv.Itoa})
		h.sum = math.Float64frombits(f(h.prefix+"sum", math.Float64bits(h.sum)))
	}
	for _, g := range groups {
		for i := range g.values {
			g.values[i] = f(g.prefix+g.name(i), g.values[i])
		}
	}
}

// write lists the counters that are not zero, in a fixed order.
func (c *counters) write(actions []*dispatch.Action) (list []handoff.Counter) {
	c.visit(actions, func(name string, v uint64) uint64 {
		if v != 0 {
			list = append(list, handoff.Counter{Name: name, Value: v})
		}
		return v
	})
	slices.SortFunc(list, func(a, b handoff.Counter) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// read takes over what write listed; what is known under no name here is
// forgotten.
func (c *counters) read(actions []*dispatch.Action, list []handoff.Counter) {
	values := make(map[string]uint64, len(list))
	for _, n := range list {
		values[n.Name] = n.Value
	}
	c.visit(actions, func(name string, _ uint64) uint64 { return values[name] })
}
