package server

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"wsd/dispatch"
	"wsd/handoff"
)

// visit gives every counter, under a name that lasts, to f and takes what f
// returns for it: the counters are named when they are handed over, so that a
// newer program may have more, fewer, or others. actions are the mux's. What is
// only true of one process (the states of its clients) is left out.
func (c *counters) visit(actions []*dispatch.Action, f func(name string, v uint64) uint64) {
	for name, p := range c.named() {
		*p = f(name, *p)
	}
	each := func(prefix string, values []uint64, name func(int) string) {
		for i := range values {
			values[i] = f(prefix+name(i), values[i])
		}
	}
	number := func(i int) string { return fmt.Sprint(i) }
	each("refused.", c.refusals[:], func(i int) string { return refusalNames[i] })
	each("closed.", c.closes[:], func(i int) string { return Reason(i).String() })
	each("dropped.", c.dropped[:], func(i int) string { return Policy(i).String() })
	each("unseen.", c.refusedActions[:], number)
	spread := func(prefix string, h *hist) {
		each(prefix, h.counts[:], number)
		h.sum = math.Float64frombits(f(prefix+"sum", math.Float64bits(h.sum)))
	}
	spread("turn_seconds.", &c.turnSeconds)
	spread("batch_size.", &c.batchSize)
	spread("publish_seconds.", &c.publishSeconds)
	for _, a := range actions {
		k := &c.actions[a.Index]
		each("action."+a.Name+".code.", k.codes[:], number)
		k.calls = f("action."+a.Name+".calls", k.calls)
		spread("action."+a.Name+".seconds.", &k.seconds)
	}
}

func (c *counters) named() map[string]*uint64 {
	return map[string]*uint64{
		"accepted": &c.accepted, "opened": &c.opened, "accept_errors": &c.acceptErrors, "turned_away": &c.turnedAway,
		"rests": &c.rests, "messages_in": &c.messagesIn, "messages_out": &c.messagesOut, "controls_in": &c.controlsIn,
		"pings": &c.pings, "bytes_in": &c.bytesIn, "bytes_out": &c.bytesOut, "queued": &c.queued, "queued_sent": &c.queuedSent,
		"evicted": &c.evicted, "coalesced": &c.coalesced, "queued_expired": &c.queuedExpired, "lost": &c.lost,
		"expired": &c.expired, "busy": &c.busy, "timeouts": &c.timeouts, "late": &c.late, "topic_limit": &c.topicLimit,
		"turns": &c.turns, "events": &c.events, "stale": &c.stale,
		"posts_refused": &c.postsRefused,
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
