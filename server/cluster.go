package server

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"wsd/conn"
)

// Cluster is what a server asks of the other nodes when it is one of several that
// answer as one. Package cluster has one, over NATS. Any number of goroutines call it
// at once. What is said to be called on a loop must not block.
type Cluster interface {
	// Begin is Server.Begin for the clients of all nodes. It calls Server.BeginHere.
	Begin(ctx context.Context, t Target, m Message) (Outcome, error)
	// Post is Server.Post for the clients of all nodes. It calls Server.PostHere.
	Post(t Target, m Message) error
	// Tell sends what a client has to say to others on to the other nodes. This one's
	// have got it. The data is the callee's. It is called on a loop.
	Tell(t Target, m Message)
	// Full says that Tell has no room: clients are told to try again. It is called on
	// a loop.
	Full() bool
	// Opened and Closed tell of a topic that gets its first subscriber in this process,
	// and of one that loses its last. They are called on a loop, under a lock: they must
	// not call the server.
	Opened(topic string)
	Closed(topic string)
	// Reached reports whether what any node publishes to topics reaches their
	// subscribers here. If not, it calls done once, on any goroutine, when that is so
	// or it has waited for as long as it may. It is called on a loop.
	Reached(topics []string, done func()) bool
	// CountUser counts the clients of a user at the other nodes, and calls done once
	// with that, on any goroutine: when they have answered, or it has waited for as long
	// as it may. Those of nodes that do not answer are not in it. It reports false, and
	// will not call done, if no other node is known. It is called on a loop.
	CountUser(user string, done func(elsewhere int)) bool
	// ThinUser has the clients of a user that came first closed, at whatever node they
	// are, until there are limit. It does not wait for that. It is called on a loop.
	ThinUser(user string, limit int)
}

// Reach tells which nodes an answer is about.
type Reach struct {
	// Complete says that nobody is missing.
	Complete bool `json:"complete"`
	// Nodes is how many nodes the answer is about: those that answered, and those that
	// are known to have nobody whom the question is about.
	Nodes   int       `json:"nodes"`
	Missing []Missing `json:"missing"`
	// Awaited is how many more may still answer.
	Awaited int `json:"-"`
	// Replayed says that all who answered had done so before, for the same key.
	Replayed bool `json:"-"`
	// PerNode is what each of those that were asked answered.
	PerNode []NodeResult `json:"per_node,omitempty"`
}

// NodeResult is what became of a publish on one node.
type NodeResult struct {
	Node string `json:"node"`
	Result
	Seconds float64 `json:"last_client_seconds"` // Result.LastClient
}

// NodeInfo describes a node of a cluster.
type NodeInfo struct {
	Node string `json:"node"`
	// State is joining, ready, draining or moving as the node says, or suspect or dead
	// if it has not been heard of for some time.
	State   string    `json:"state"`
	Version string    `json:"version"`
	Since   time.Time `json:"since"` // it started
	Clients int       `json:"clients"`
	Topics  int       `json:"topics"`
	// RTT is the time in seconds there and back; 0: not known.
	RTT float64 `json:"rtt_seconds"`
	// BehindMessages and BehindBytes are what waits there for its loops.
	BehindMessages int    `json:"behind_messages"`
	BehindBytes    int    `json:"behind_bytes"`
	NATS           string `json:"nats"` // embedded or external
}

// Missing is a node that did not answer.
type Missing struct {
	Node string `json:"node"`
	// Why is no_answer, behind, moving, gone or partitioned.
	Why string `json:"why"`
	// Since is when it was heard of last.
	Since time.Time `json:"since"`
}

// ClusterStats is what a node counts of its cluster, since its start.
type ClusterStats struct {
	Connected bool `json:"connected"` // to NATS
	// Nodes is how many there are by state, this one left out: ready, joining, draining,
	// moving, suspect, dead.
	Nodes       map[string]int    `json:"nodes"`
	Missing     map[string]uint64 `json:"missing"` // answers that did not come, by why
	Late        uint64            `json:"interest_late"`
	Stale       uint64            `json:"stale"`   // publishes that came twice, or after younger ones
	Unknown     uint64            `json:"unknown"` // messages that this version does not know
	Dropped     uint64            `json:"dropped"` // for want of room here
	Refused     uint64            `json:"refused"` // publishers' messages over NATS that were wrong, and nobody waited for the answer
	Untold      uint64            `json:"untold"`  // what clients said to others, for each node that it did not go to
	Disconnects uint64            `json:"disconnects"`
	// Uncounted is how often the limit of a user was looked at without the clients of a
	// node that did not answer.
	Uncounted uint64 `json:"users_uncounted"`
	SameName  uint64 `json:"same_name"` // heartbeats of others with this node's name
	// BehindMessages and BehindBytes wait for the loops; UnderWay are begun.
	BehindMessages int `json:"behind_messages"`
	BehindBytes    int `json:"behind_bytes"`
	UnderWay       int `json:"under_way"`
	Awaited        int `json:"awaited"` // publishes of which other nodes have still to tell
	Keys           int `json:"keys"`    // remembered
	// RTT is the time in seconds to other nodes and back, by name, of 64 at most.
	RTT map[string]float64 `json:"rtt_seconds"`
}

// Partitioned says that some or all other nodes are not reached.
func (c ClusterStats) Partitioned() bool {
	return !c.Connected || c.Nodes["suspect"]+c.Nodes["dead"] > 0
}

// ErrKeyUsed is returned for a publish whose key was used for another one.
var ErrKeyUsed = errors.New("this idempotency key was used for another message, target or option")

// Join makes the server a node of a cluster. tag goes into the ids of the clients
// to come. It is for between New and Start, or TakeOver.
func (s *Server) Join(c Cluster, tag uint16) {
	s.cluster = c
	s.topicLoops.opened, s.topicLoops.closed = c.Opened, c.Closed
	s.SetTag(tag)
}

// SetTag has the ids of the clients to come carry another tag.
func (s *Server) SetTag(tag uint16) { s.ids.setTag(tag) }

// OutcomeHere is what becomes of a publish in this process.
type OutcomeHere interface {
	Outcome
	// Done is closed when the walks have ended. It stays open if the server stops first.
	Done() <-chan struct{}
}

// BeginHere is Begin for the clients of this process alone.
func (s *Server) BeginHere(ctx context.Context, t Target, m Message) (OutcomeHere, error) {
	d, err := m.delivery(t)
	if err == nil {
		err = s.publishWhenRoom(ctx, d)
	}
	if err != nil {
		return nil, err
	}
	return publishing{s, d}, nil
}

// PostHere is Post for the clients of this process alone.
func (s *Server) PostHere(t Target, m Message) error {
	d, err := m.delivery(t)
	if err != nil {
		return err
	}
	if !s.backlog.try(len(d.frame)) {
		s.backlog.refused.Add(1)
		return ErrBacklog
	}
	return s.publish(d)
}

// TellHere delivers what a client of another node has to say. It returns ErrBacklog
// when as much of that kind is under way as may be.
func (s *Server) TellHere(t Target, m Message) error {
	d, err := m.delivery(t)
	if err != nil {
		return err
	}
	if s.backlog.full() {
		return ErrBacklog
	}
	s.handoverLock.RLock()
	defer s.handoverLock.RUnlock()
	if s.gone {
		return ErrStopped
	}
	s.tellAll(d)
	return nil
}

// Everybody says that the target is every client.
func (t Target) Everybody() bool { return t.all }

// Topics are the names of a target made by Topic. They are not to be changed.
func (t Target) Topics() []string { return t.topics }

// Clients are the ids of a target made by Client. They are not to be changed.
func (t Target) Clients() []uuid.UUID { return t.clients }

// Users are the names of a target made by User. They are not to be changed.
func (t Target) Users() []string { return t.users }

// Subscribers counts a topic's, exactly. The error is ctx's, or ErrStopped.
func (s *Server) Subscribers(ctx context.Context, name string) (n int, err error) {
	loops := s.concerned(Topic(name))
	counts := make(chan int, loops.len())
	for i := range loops.all {
		if !s.loops[i].post(func(l *loop) {
			if b := l.topics.Subscribers(name); b != nil {
				counts <- int(b.GetCardinality())
				return
			}
			counts <- 0
		}) {
			return n, ErrStopped
		}
	}
	for range cap(counts) {
		select {
		case k := <-counts:
			n += k
		case <-ctx.Done():
			return n, ctx.Err()
		case <-s.ended:
			return n, ErrStopped
		}
	}
	return n, nil
}

// Connected is how many clients there are, whatever their state. It takes no time.
func (s *Server) Connected() int { return int(s.population.connected.Load()) }

// tellOthers passes what a client of this node says to others on to the other nodes.
// answer is a whole frame of ours.
func (s *Server) tellOthers(t Target, answer []byte) {
	if s.cluster == nil {
		return
	}
	s.cluster.Tell(t, Message{Data: conn.Payload(answer)})
}

// fanoutFull says whether clients that address others are to be told "busy".
func (s *Server) fanoutFull() bool {
	return s.backlog.full() || s.cluster != nil && s.cluster.Full()
}

// reaching is an answer to a subscribe, or to a handshake, that waits for the cluster.
// It is the loop's.
type reaching struct {
	slot     uint32
	frame    []byte
	newcomer *newcomerCheck // if it is a handshake
	ended    bool           // the client has it, or is gone
}

// awaitReach holds the client of an inline action that has subscribed it to topics,
// until the cluster knows of that. It reports false if it does already. answer is
// copied.
func (l *loop) awaitReach(topics []string, answer []byte) bool {
	r := &reaching{slot: l.feeding.slot}
	if l.server.cluster.Reached(topics, func() { l.post(func(l *loop) { l.answerReached(r) }) }) {
		return false
	}
	r.frame = append(r.frame, answer...)
	l.extras.make(l.feeding.slot, l.feeding.cur).reach = r
	l.reaching = append(l.reaching, r)
	return true
}

// answerReached gives a client the answer that waited for the cluster.
func (l *loop) answerReached(r *reaching) {
	switch {
	case r.ended:
	case r.newcomer != nil:
		r.ended = true
		l.goOnNewcomer(r.newcomer)
	default:
		c := l.clients.at(r.slot)
		l.abandonReach(c)
		l.count.n[nMessagesOut]++
		l.send(r.slot, c, r.frame)
		if c.state == stateOpen {
			l.readLater(r.slot, c)
		}
	}
	for len(l.reaching) > 0 && l.reaching[0].ended { // nearly in the order in which they began
		l.reaching[0] = nil
		l.reaching = l.reaching[1:]
	}
}

// abandonReach ends the client's wait for the cluster, if it is in one.
func (l *loop) abandonReach(c *client) {
	if e := l.extras.of(c); e != nil && e.reach != nil {
		e.reach.ended, e.reach = true, nil
		l.extras.tidy(c)
	}
}

// reachAll gives all of them their answers. It is for when the loop stands still to
// be handed over: the other nodes then take it that this one may want anything.
func (l *loop) reachAll() {
	for len(l.reaching) > 0 {
		l.answerReached(l.reaching[0])
	}
	l.reaching = nil
}

// holdsForReach keeps the answer of a request that was answered later until the
// cluster knows of the topics that its client subscribed to meanwhile. It reports
// false if that is so.
func (l *loop) holdsForReach(k *call, frame []byte) bool {
	topics := k.topics
	k.topics = nil
	return len(topics) > 0 && !l.server.cluster.Reached(topics, func() {
		l.post(func(l *loop) {
			if !k.ended.Load() {
				l.finishCall(k, frame)
			}
		})
	})
}

// reachNow is awaitReach for a pooled action, which may wait.
func (s *Server) reachNow(topics []string) {
	if s.cluster == nil || len(topics) == 0 {
		return
	}
	done := make(chan struct{})
	if s.cluster.Reached(topics, func() { close(done) }) {
		return
	}
	select {
	case <-done:
	case <-s.ended:
	}
}
