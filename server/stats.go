package server

import (
	"sync"
	"sync/atomic"
	"time"

	"wsd/dispatch"
)

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

// Stats are the server's totals since it began, and what is now.
type Stats struct {
	Uptime float64 `json:"uptime_seconds"`
	Loops  int     `json:"loops"`
	// StaleLoops did not answer in time; their part of all this is what they
	// answered last, so that no total goes back.
	StaleLoops int `json:"stale_loops"`
	Clients    struct {
		Connected int64 `json:"connected"` // every socket, whatever its state
		Joining   int64 `json:"joining"`
		Open      int64 `json:"open"`
		Closing   int64 `json:"closing"`
		Max       int   `json:"max"`
	} `json:"clients"`
	Accepted     uint64            `json:"accepted"`
	Opened       uint64            `json:"opened"`
	AcceptErrors uint64            `json:"accept_errors"`
	AcceptRests  uint64            `json:"accept_rests"` // times accepting paused for want of descriptors
	TurnedAway   uint64            `json:"turned_away"`  // closed without even a 503
	Refused      map[string]uint64 `json:"refused"`      // by the limit that did it
	Closed       map[string]uint64 `json:"closed"`       // by reason
	MessagesIn   uint64            `json:"messages_in"`
	MessagesOut  uint64            `json:"messages_out"`
	ControlsIn   uint64            `json:"control_frames_in"`
	Pings        uint64            `json:"pings_sent"`
	BytesIn      uint64            `json:"bytes_in"`
	BytesOut     uint64            `json:"bytes_out"`
	// PendingBytes is the memory that clients make the server hold: unfinished
	// messages, what waits to be sent, publishes under way and running requests, a
	// message for many counted once. PendingMax bounds it: Config.PendingTotal.
	PendingBytes int64             `json:"pending_bytes"`
	PendingMax   int64             `json:"pending_max_bytes"`
	Dropped      map[string]uint64 `json:"dropped"` // messages, by policy
	// Queue tells what became of published messages that had to wait:
	// Queued is the sum of the others and of those that still wait.
	Queue struct {
		Queued    uint64 `json:"queued"`
		Sent      uint64 `json:"sent"`
		Evicted   uint64 `json:"evicted"`   // by the policy; also in Dropped
		Coalesced uint64 `json:"coalesced"` // replaced by a newer value
		Expired   uint64 `json:"expired"`   // past their deadline
		Lost      uint64 `json:"lost"`      // the client's connection ended
	} `json:"queue"`
	Expired   uint64 `json:"expired"` // not even queued: past their deadline when their turn came
	Publishes uint64 `json:"publishes"`
	// PublishesUnderWay have not reached their last client; PublishesRefused got
	// ErrBacklog, because too many of those were.
	PublishesUnderWay int64  `json:"publishes_under_way"`
	PublishesRefused  uint64 `json:"publishes_refused"`
	Topics            int    `json:"topics"`
	Subscribed        int    `json:"subscriptions"`
	// Actions has, by name and code, how often an action was answered; the
	// name "" stands for requests that no action saw, the code 100 for all codes
	// that are the application's own.
	Actions        map[string]map[int]uint64 `json:"actions"`
	ActionsBusy    uint64                    `json:"actions_busy"`     // no worker was free
	ActionTimeouts uint64                    `json:"actions_timeouts"` // answered by code 10 after ActionTimeout
	ActionsLate    uint64                    `json:"actions_late"`     // results nobody waited for any more
	// WorkersBusy of WorkersMax pooled handlers are running.
	WorkersBusy int `json:"workers_busy"`
	WorkersMax  int `json:"workers_max"`
	// ActionSeconds is the time in handlers: of pooled actions each call, of
	// inline ones one call in 16.
	ActionSeconds map[string]Histogram `json:"action_seconds"`
	// PublishSeconds is the time from publish to the last client.
	PublishSeconds Histogram `json:"publish_seconds"`
	// TurnSeconds (one turn in 16) and BatchSize (ready sockets) are of loop turns.
	TurnSeconds Histogram `json:"loop_turn_seconds"`
	BatchSize   Histogram `json:"loop_batch_size"`
	Turns       uint64    `json:"loop_turns"`
	Events      uint64    `json:"loop_events"`
	StaleEvents uint64    `json:"stale_events"`
	TopicLimit  uint64    `json:"topic_limit"` // subscriptions refused for a limit
}

// statsPatience is how long Stats waits for a loop.
const statsPatience = 2 * time.Second

// told is what a loop has answered last, for those who ask.
type told struct {
	mu                    sync.Mutex
	count                 counters
	topics, subscriptions int
}

// tell updates the loop's answer.
func (l *loop) tell() {
	t := &l.told
	t.mu.Lock()
	defer t.mu.Unlock()
	actions := append(t.count.actions[:0], l.count.actions...)
	t.count = l.count
	t.count.actions = actions
	t.topics, t.subscriptions = l.topics.Len(), l.topics.Subscriptions()
}

// Stats asks every loop for its numbers. For one that does not answer within
// two seconds it takes those that this one answered last: see Stats.StaleLoops.
func (s *Server) Stats() Stats {
	var answers atomic.Int32
	s.ask(func(l *loop) {
		l.tell()
		answers.Add(1)
	})
	stale := len(s.loops) - int(answers.Load()) // a late answer may come from here on
	sum := counters{actions: make([]actionCounters, len(s.constants))}
	topics, subscriptions := 0, 0
	for _, l := range s.loops {
		l.told.mu.Lock()
		sum.add(&l.told.count)
		topics += l.told.topics
		subscriptions += l.told.subscriptions
		l.told.mu.Unlock()
	}
	st := s.describe(&sum)
	st.Topics, st.Subscribed, st.StaleLoops = topics, subscriptions, stale
	return st
}

// ask runs f in every loop and waits for all of them, with a bound. Once the
// loops have ended it runs f here.
func (s *Server) ask(f func(*loop)) {
	select {
	case <-s.ended:
		for _, l := range s.loops {
			f(l)
		}
		return
	default:
	}
	answers := make(chan struct{}, len(s.loops))
	patience := time.After(statsPatience)
	for _, l := range s.loops {
		if !l.post(func(l *loop) { f(l); answers <- struct{}{} }) {
			l.running.Lock() // it is over, or will be in a moment
			f(l)
			l.running.Unlock()
			answers <- struct{}{}
		}
	}
	for range s.loops {
		select {
		case <-answers:
		case <-patience:
			return
		case <-s.ended:
			return
		}
	}
}

func (s *Server) describe(sum *counters) Stats {
	st := Stats{
		Uptime: time.Since(s.began).Seconds(), Loops: len(s.loops),
		Accepted: sum.accepted, Opened: sum.opened, AcceptErrors: sum.acceptErrors, AcceptRests: sum.rests,
		TurnedAway: sum.turnedAway, Refused: map[string]uint64{}, Closed: map[string]uint64{},
		MessagesIn: sum.messagesIn, MessagesOut: sum.messagesOut, ControlsIn: sum.controlsIn, Pings: sum.pings,
		BytesIn: sum.bytesIn, BytesOut: sum.bytesOut, PendingBytes: s.memory.held.Load(), PendingMax: s.memory.limit.Load(), Dropped: map[string]uint64{},
		Publishes: s.publishes.Load(), Actions: map[string]map[int]uint64{}, ActionsBusy: sum.busy,
		ActionTimeouts: sum.timeouts, ActionsLate: sum.late, Turns: sum.turns, Events: sum.events, StaleEvents: sum.stale, TopicLimit: sum.topicLimit,
	}
	st.Queue.Queued, st.Queue.Sent, st.Queue.Evicted = sum.queued, sum.queuedSent, sum.evicted
	st.Queue.Coalesced, st.Queue.Expired, st.Queue.Lost = sum.coalesced, sum.queuedExpired, sum.lost
	st.PublishesUnderWay, st.PublishesRefused = s.backlog.count.Load(), sum.postsRefused+s.backlog.refused.Load()
	st.Expired, st.ActionSeconds = sum.expired, map[string]Histogram{}
	st.WorkersBusy, st.WorkersMax = s.workers.Running(), s.workers.Cap()
	st.PublishSeconds = sum.publishSeconds.export(1e-6)
	st.TurnSeconds, st.BatchSize = sum.turnSeconds.export(1e-6), sum.batchSize.export(1)
	st.Clients.Connected = s.connected.Load()
	st.Clients.Joining = sum.states[stateJoining] + sum.states[stateRefused]
	st.Clients.Open = sum.states[stateOpen]
	st.Clients.Closing = sum.states[stateClosing] + sum.states[stateLingering]
	st.Clients.Max = s.limits.MaxClients
	for i, n := range sum.refusals {
		st.Refused[refusalNames[i]] = n
	}
	for r := ReasonPeer; r < reasons; r++ {
		st.Closed[r.String()] = sum.closes[r]
	}
	for p, n := range sum.dropped {
		st.Dropped[Policy(p).String()] = n
	}
	for _, a := range s.mux.Actions() {
		st.Actions[a.Name] = byCode(&sum.actions[a.Index].codes)
		if h := &sum.actions[a.Index].seconds; a.Constant == nil {
			st.ActionSeconds[a.Name] = h.export(1e-6)
		}
	}
	st.Actions[""] = byCode(&sum.refusedActions)
	return st
}

func byCode(counts *[codes]uint64) map[int]uint64 {
	m := map[int]uint64{}
	for code, n := range counts {
		if code == codes-1 {
			code = ownCode
		}
		if n > 0 {
			m[code] = n
		}
	}
	return m
}
