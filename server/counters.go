package server

import (
	"strconv"

	"wsd/dispatch"
)

// What a newcomer can be refused for.
const (
	refusedDraining = iota
	refusedClients
	refusedHandshakes
	refusedRate
	refusedAddress
	refusedStranger // with the PROXY protocol: it is none of the proxies
	refusedEvicted  // by a newcomer, when the places were all taken
	refusalKinds
)

var refusalNames = [refusalKinds]string{
	refusedDraining:   "draining",
	refusedClients:    "max_clients",
	refusedHandshakes: "max_handshakes",
	refusedRate:       "handshake_rate",
	refusedAddress:    "max_per_address",
	refusedStranger:   "proxy_from",
	refusedEvicted:    "evicted",
}

// codes is how many codes are counted: those of the protocol, and one for all
// that applications have of their own.
const codes = int(dispatch.Busy) + 2

// ownCode stands for the application's own codes in Stats.Actions.
const ownCode = 100

// codeIndex is where a code is counted.
func codeIndex(c dispatch.Code) int {
	if c < 0 || int(c) >= codes-1 {
		return codes - 1
	}
	return int(c)
}

// counter is the index of one of a loop's plain counters.
type counter uint8

const (
	nAccepted counter = iota
	nOpened
	nAcceptErrors
	nTurnedAway
	nAcceptBackoffs
	nMessagesIn
	nMessagesOut
	nControlsIn
	nPings
	nBytesIn
	nBytesOut
	nQueued // published messages that had to wait; what became of them:
	nQueuedSent
	nEvicted
	nCoalesced
	nQueuedExpired
	nLost
	nExpired      // without having waited
	nPostsRefused // of an older process: Server.backlog has those of this one
	nBusy
	nTimeouts
	nLate
	nTwice
	nTopicLimit
	nUnnamed
	nTurns
	nEvents
	nStale
	counterKinds
)

// counterTable is all there is to say about a plain counter: its name in a
// handover, which never changes, and its place in Stats. A new one is a constant
// above, a line here and a field there.
var counterTable = [counterKinds]struct {
	name string
	stat func(*Stats) *uint64
}{
	nAccepted:       {"accepted", func(st *Stats) *uint64 { return &st.Accepted }},
	nOpened:         {"opened", func(st *Stats) *uint64 { return &st.Opened }},
	nAcceptErrors:   {"accept_errors", func(st *Stats) *uint64 { return &st.AcceptErrors }},
	nTurnedAway:     {"turned_away", func(st *Stats) *uint64 { return &st.TurnedAway }},
	nAcceptBackoffs: {"rests", func(st *Stats) *uint64 { return &st.AcceptBackoffs }},
	nMessagesIn:     {"messages_in", func(st *Stats) *uint64 { return &st.MessagesIn }},
	nMessagesOut:    {"messages_out", func(st *Stats) *uint64 { return &st.MessagesOut }},
	nControlsIn:     {"controls_in", func(st *Stats) *uint64 { return &st.ControlsIn }},
	nPings:          {"pings", func(st *Stats) *uint64 { return &st.Pings }},
	nBytesIn:        {"bytes_in", func(st *Stats) *uint64 { return &st.BytesIn }},
	nBytesOut:       {"bytes_out", func(st *Stats) *uint64 { return &st.BytesOut }},
	nQueued:         {"queued", func(st *Stats) *uint64 { return &st.Queue.Queued }},
	nQueuedSent:     {"queued_sent", func(st *Stats) *uint64 { return &st.Queue.Sent }},
	nEvicted:        {"evicted", func(st *Stats) *uint64 { return &st.Queue.Evicted }},
	nCoalesced:      {"coalesced", func(st *Stats) *uint64 { return &st.Queue.Coalesced }},
	nQueuedExpired:  {"queued_expired", func(st *Stats) *uint64 { return &st.Queue.Expired }},
	nLost:           {"lost", func(st *Stats) *uint64 { return &st.Queue.Lost }},
	nExpired:        {"expired", func(st *Stats) *uint64 { return &st.Expired }},
	nPostsRefused:   {"posts_refused", func(st *Stats) *uint64 { return &st.PublishesRefused }},
	nBusy:           {"busy", func(st *Stats) *uint64 { return &st.ActionsBusy }},
	nTimeouts:       {"timeouts", func(st *Stats) *uint64 { return &st.ActionTimeouts }},
	nLate:           {"late", func(st *Stats) *uint64 { return &st.ActionsLate }},
	nTwice:          {"answered_twice", func(st *Stats) *uint64 { return &st.ActionsTwice }},
	nTopicLimit:     {"topic_limit", func(st *Stats) *uint64 { return &st.TopicLimit }},
	nUnnamed:        {"unnamed", func(st *Stats) *uint64 { return &st.ProxyUnnamed }},
	nTurns:          {"turns", func(st *Stats) *uint64 { return &st.Turns }},
	nEvents:         {"events", func(st *Stats) *uint64 { return &st.Events }},
	nStale:          {"stale", func(st *Stats) *uint64 { return &st.StaleEvents }},
}

// counters are a loop's own numbers: plain integers, since only its worker
// touches them. Who wants to know asks the loop.
type counters struct {
	n              [counterKinds]uint64
	refusals       [refusalKinds]uint64
	closes         [reasons]uint64
	dropped        [DropOld + 1]uint64
	auth           [authResults]uint64
	refusedActions [codes]uint64 // requests that no action saw
	actions        []actionCounters
	turnSeconds    hist
	batchSize      hist
	publishSeconds hist // counted where the last walk ended

	states states // now
}

// actionCounters are those of one action.
type actionCounters struct {
	codes   [codes]uint64
	seconds hist
	calls   uint64 // inline ones, of this process: every 16th is timed
}

// group is some counters that are told apart by a name. That of a counter, with
// the prefix in front, is its name in a handover.
type group struct {
	prefix string
	values []uint64
	name   func(i int) string
}

// spread is a histogram and the prefix of its counters' names.
type spread struct {
	prefix string
	*hist
}

// all lists every counter that is a total. actions are the mux's.
func (c *counters) all(actions []*dispatch.Action) (groups []group, spreads []spread) {
	groups = []group{
		{"", c.n[:], func(i int) string { return counterTable[i].name }},
		{"refused.", c.refusals[:], func(i int) string { return refusalNames[i] }},
		{"closed.", c.closes[:], func(i int) string { return Reason(i).String() }},
		{"dropped.", c.dropped[:], func(i int) string { return Policy(i).String() }},
		{"auth.", c.auth[:], func(i int) string { return authNames[i] }},
		{"unseen.", c.refusedActions[:], strconv.Itoa},
	}
	spreads = []spread{{"turn_seconds.", &c.turnSeconds}, {"batch_size.", &c.batchSize}, {"publish_seconds.", &c.publishSeconds}}
	for _, a := range actions {
		k := &c.actions[a.Index]
		groups = append(groups, group{"action." + a.Name + ".code.", k.codes[:], strconv.Itoa})
		spreads = append(spreads, spread{"action." + a.Name + ".seconds.", &k.seconds})
	}
	return groups, spreads
}

// add adds those of another loop, which serves the same actions.
func (c *counters) add(o *counters, actions []*dispatch.Action) {
	groups, spreads := c.all(actions)
	others, otherSpreads := o.all(actions)
	for i, g := range groups {
		addAll(g.values, others[i].values)
	}
	for i, h := range spreads {
		h.merge(otherSpreads[i].hist)
	}
	for i, n := range o.states {
		c.states[i] += n
	}
}

func addAll(a, b []uint64) {
	for i := range b {
		a[i] += b[i]
	}
}
