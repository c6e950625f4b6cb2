package server

import (
	"sync"
	"sync/atomic"
	"time"
)

// Stats are the server's totals since it began, and what is now.
type Stats struct {
	Uptime float64 `json:"uptime_seconds"`
	Loops  int     `json:"loops"`
	// StaleLoops did not answer in time. Their part of all this is their last
	// answer, so that no total goes back.
	StaleLoops int `json:"stale_loops"`
	Clients    struct {
		Connected int64 `json:"connected"` // every socket, whatever its state
		Joining   int64 `json:"joining"`
		Open      int64 `json:"open"`
		Closing   int64 `json:"closing"`
		Max       int   `json:"max"`
	} `json:"clients"`
	Accepted       uint64            `json:"accepted"`
	Opened         uint64            `json:"opened"`
	AcceptErrors   uint64            `json:"accept_errors"`
	AcceptBackoffs uint64            `json:"accept_rests"` // times accepting paused for want of descriptors
	TurnedAway     uint64            `json:"turned_away"`  // closed without even a 503
	Refused        map[string]uint64 `json:"refused"`      // by the limit that did it
	Closed         map[string]uint64 `json:"closed"`       // by reason
	MessagesIn     uint64            `json:"messages_in"`
	MessagesOut    uint64            `json:"messages_out"`
	ControlsIn     uint64            `json:"control_frames_in"`
	Pings          uint64            `json:"pings_sent"`
	BytesIn        uint64            `json:"bytes_in"`
	BytesOut       uint64            `json:"bytes_out"`
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
	ActionsBusy    uint64                    `json:"actions_busy"`           // no worker was free
	ActionTimeouts uint64                    `json:"actions_timeouts"`       // answered by code 10 after ActionTimeout
	ActionsLate    uint64                    `json:"actions_late"`           // results nobody waited for any more
	ActionsTwice   uint64                    `json:"actions_answered_twice"` // answers to what had been answered
	// ActionsWaiting is how many clients wait for an answer now, from a worker or
	// from elsewhere.
	ActionsWaiting int `json:"actions_waiting"`
	// WorkersBusy of WorkersMax pooled handlers are running.
	WorkersBusy int `json:"workers_busy"`
	WorkersMax  int `json:"workers_max"`
	// ActionSeconds is the time in handlers: of pooled actions each call, of
	// inline ones one call in 16; and of those that are answered later the time
	// until then.
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
	// ProxyUnnamed came through a proxy that did not tell whose connection that is:
	// they have the proxy's address, and count in nobody's share.
	ProxyUnnamed uint64 `json:"proxy_unnamed"`
	// Auth has how often newcomers, and the action auth, came to each result.
	Auth map[string]uint64 `json:"auth"`
	// Users have known clients, and Revocations are in force.
	Users       int64 `json:"users"`
	Revocations int64 `json:"revocations"`
}

// statsTimeout is how long Stats waits for a loop. It is a variable for the
// tests.
var statsTimeout = 2 * time.Second

// snapshot is what a loop answered last, when somebody asked for its numbers.
type snapshot struct {
	mu                    sync.Mutex
	count                 counters
	topics, subscriptions int
	waiting               int
}

// takeSnapshot copies the loop's numbers to where others may read them.
func (l *loop) takeSnapshot() {
	at := &l.snapshot
	at.mu.Lock()
	defer at.mu.Unlock()
	actions := append(at.count.actions[:0], l.count.actions...)
	at.count = l.count
	at.count.actions = actions
	at.topics, at.subscriptions = l.topics.Len(), l.topics.Subscriptions()
	at.waiting = l.pooled.waiting
}

// Stats asks every loop for its numbers. For one that does not answer within
// two seconds it takes the ones of its last answer: see Stats.StaleLoops.
func (s *Server) Stats() Stats {
	var answers atomic.Int32
	s.ask(func(l *loop) {
		l.takeSnapshot()
		answers.Add(1)
	})
	stale := len(s.loops) - int(answers.Load()) // a late answer may come from here on
	sum := counters{actions: make([]actionCounters, len(s.constants))}
	topics, subscriptions, waiting := 0, 0, 0
	for _, l := range s.loops {
		l.snapshot.mu.Lock()
		sum.add(&l.snapshot.count, s.mux.Actions())
		topics += l.snapshot.topics
		subscriptions += l.snapshot.subscriptions
		waiting += l.snapshot.waiting
		l.snapshot.mu.Unlock()
	}
	st := s.describe(&sum)
	st.Topics, st.Subscribed, st.StaleLoops, st.ActionsWaiting = topics, subscriptions, stale, waiting
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
	timeout := time.After(statsTimeout)
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
		case <-timeout:
			return
		case <-s.ended:
			return
		}
	}
}

func (s *Server) describe(sum *counters) Stats {
	st := Stats{
		Uptime: time.Since(s.began).Seconds(), Loops: len(s.loops),
		Auth: map[string]uint64{}, Refused: map[string]uint64{}, Closed: map[string]uint64{}, Dropped: map[string]uint64{},
		Actions: map[string]map[int]uint64{}, ActionSeconds: map[string]Histogram{},
		PendingBytes: s.memory.held.Load(), PendingMax: s.memory.limit.Load(), Publishes: s.publishes.Load(), PublishesUnderWay: s.backlog.count.Load(),
		Users: s.users.known.Load(), Revocations: s.revocations.count.Load(),
	}
	for k, c := range counterTable {
		*c.stat(&st) = sum.n[k]
	}
	st.PublishesRefused += s.backlog.refused.Load()
	st.WorkersBusy, st.WorkersMax = s.workers.Running(), s.workers.Cap()
	sum.publishSeconds.counts[0] += s.unmatched.Load()
	st.PublishSeconds = sum.publishSeconds.export(1e-6)
	st.TurnSeconds, st.BatchSize = sum.turnSeconds.export(1e-6), sum.batchSize.export(1)
	st.Clients.Connected = s.population.connected.Load()
	st.Clients.Joining = sum.states[stateJoining] + sum.states[stateRefused]
	st.Clients.Open = sum.states[stateOpen]
	st.Clients.Closing = sum.states[stateClosing] + sum.states[stateLingering]
	st.Clients.Max = s.limits.MaxClients
	for i, n := range sum.refusals {
		st.Refused[refusalNames[i]] = n
	}
	for i, n := range sum.auth {
		st.Auth[authNames[i]] = n
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
