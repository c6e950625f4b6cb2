package server

import "wsd/dispatch"

// What a newcomer can be refused for.
const (
	refusedDraining = iota
	refusedClients
	refusedHandshakes
	refusedRate
	refusedAddress
	refusedEvicted // by a newcomer, when the places were all taken
	refusalKinds
)

var refusalNames = [refusalKinds]string{"draining", "max_clients", "max_handshakes", "handshake_rate", "max_per_address", "evicted"}

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

// counters are a loop's own numbers: plain integers, since only its worker
// touches them. Who wants to know asks the loop.
type counters struct {
	states                           [stateDead + 1]int64
	accepted, opened                 uint64
	acceptErrors, turnedAway, rests  uint64
	refusals                         [refusalKinds]uint64
	closes                           [reasons]uint64
	messagesIn, messagesOut          uint64
	controlsIn, pings                uint64
	bytesIn, bytesOut                uint64
	dropped                          [DropOld + 1]uint64
	queued, queuedSent, evicted      uint64 // published messages that had to wait
	coalesced, queuedExpired, lost   uint64
	expired                          uint64
	postsRefused                     uint64 // of an older process; Server.backlog has those of this one
	actions                          []actionCounters
	refusedActions                   [codes]uint64
	busy, timeouts, late, topicLimit uint64
	turns, events, stale             uint64
	turnSeconds, batchSize           hist
	publishSeconds                   hist // counted where the last walk ended
}

type actionCounters struct {
	codes   [codes]uint64
	calls   uint64 // inline ones, for sampling
	seconds hist
}

func (a *counters) add(b *counters) {
	for i := range b.states {
		a.states[i] += b.states[i]
	}
	addAll(a.refusals[:], b.refusals[:])
	addAll(a.closes[:], b.closes[:])
	addAll(a.dropped[:], b.dropped[:])
	addAll(a.refusedActions[:], b.refusedActions[:])
	for i := range b.actions {
		addAll(a.actions[i].codes[:], b.actions[i].codes[:])
		a.actions[i].seconds.merge(&b.actions[i].seconds)
	}
	a.turnSeconds.merge(&b.turnSeconds)
	a.batchSize.merge(&b.batchSize)
	a.publishSeconds.merge(&b.publishSeconds)
	for _, p := range [][2]*uint64{
		{&a.accepted, &b.accepted}, {&a.opened, &b.opened}, {&a.acceptErrors, &b.acceptErrors},
		{&a.turnedAway, &b.turnedAway}, {&a.rests, &b.rests}, {&a.messagesIn, &b.messagesIn},
		{&a.messagesOut, &b.messagesOut}, {&a.controlsIn, &b.controlsIn}, {&a.pings, &b.pings},
		{&a.bytesIn, &b.bytesIn}, {&a.bytesOut, &b.bytesOut}, {&a.busy, &b.busy}, {&a.timeouts, &b.timeouts},
		{&a.late, &b.late}, {&a.topicLimit, &b.topicLimit}, {&a.turns, &b.turns}, {&a.events, &b.events}, {&a.stale, &b.stale},
		{&a.queued, &b.queued}, {&a.queuedSent, &b.queuedSent}, {&a.evicted, &b.evicted}, {&a.coalesced, &b.coalesced},
		{&a.queuedExpired, &b.queuedExpired}, {&a.lost, &b.lost}, {&a.expired, &b.expired}, {&a.postsRefused, &b.postsRefused},
	} {
		*p[0] += *p[1]
	}
}

func addAll(a, b []uint64) {
	for i := range b {
		a[i] += b[i]
	}
}
