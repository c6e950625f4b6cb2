package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"wsd/server"
)

// A live upgrade, as the others see it: the node says that it is moving, and they hold
// what they have for it. It begins and answers what has come (Hold). When its loops stand
// still it sends what its clients have said so far, and leaves NATS (Leave): a NATS
// server inside cannot be handed over, and its port has to be free. The newer process
// has the same life and name, and goes on with its numbers (Resume); when the others hear
// of it, they send what they held. Neither side can lose, double or reorder anything.

// memory is what the newer process has to know.
type memory struct {
	Node     string            `json:"node"`
	Life     uint64            `json:"life,string"`
	Since    time.Time         `json:"since"`
	Tags     []uint16          `json:"tags"`
	Any      bool              `json:"any"`
	Number   uint64            `json:"number"`
	Interest uint64            `json:"interest"`
	Last     map[uint64]uint64 `json:"last"` // number of the last publish of each life
	Keys     []memoryKey       `json:"keys"`
	Peers    []memoryPeer      `json:"peers"`
}

type memoryKey struct {
	Key    string        `json:"key"`
	Print  []byte        `json:"print"`
	Result server.Result `json:"result"`
	Last   time.Duration `json:"last_ns"` // Result.LastClient
	Left   time.Duration `json:"left_ns"` // until it is forgotten
}

type memoryPeer struct {
	Subject string        `json:"subject"`
	Silent  time.Duration `json:"silent_ns"`
	Told    *heartbeat    `json:"told"`
}

// Bounds of a move.
const (
	holdWithin  = 2 * time.Second        // for what has come to be begun and answered
	toldWithin  = time.Second            // for the others to say that they hold what they have; clients are served meanwhile
	hearWithin  = 250 * time.Millisecond // for the others to have heard the last of it; clients wait
	knockEvery  = 25 * time.Millisecond  // a process that has taken over says who it is
	introWithin = 10 * time.Second       // until then, or all others have heard
)

// Hold has the others keep what they have for this node, until Release, or Resume in
// the process that takes over.
func (n *Node) Hold(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, holdWithin)
	defer cancel()
	n.closeDoor(ctx)
	n.setState(stateMoving)
	n.ask(ctx, n.members.all(), question{What: askPing}, toldWithin)
	for (!n.inbox.idle() || n.reports.under() > 0) && ctx.Err() == nil {
		wait(ctx, time.Millisecond)
	}
	return nil // what has not ended by now does so before the loops stand still, or is missed
}

// Leave ends the connection and returns what the newer process has to know. It is for
// when the loops stand still.
func (n *Node) Leave() ([]byte, error) {
	if n.state.Load() != stateMoving {
		return nil, fmt.Errorf("the node is %s, not moving", stateNames[n.state.Load()])
	}
	sent := make(chan struct{})
	select {
	case n.tells.queue <- publish{sent: sent}:
		select {
		case <-sent:
		case <-time.After(hearWithin):
		}
	case <-time.After(hearWithin):
	}
	for end := time.Now().Add(hearWithin); !n.keys.settled() && time.Now().Before(end); {
		time.Sleep(time.Millisecond) // their walks have ended
	}
	n.tellReports()
	n.ask(context.Background(), n.members.all(), question{What: askPing}, hearWithin) // all before it has come then
	// It does not wait for what runs beside: a publish that has come all the same waits for
	// the loops, which wait for this.
	n.session.Load().end()
	n.flush() // nobody else does any more
	n.link.close()
	n.left = true
	return json.Marshal(n.remember())
}

func (n *Node) remember() *memory {
	m := &memory{Node: n.name, Life: n.life, Since: n.since, Last: n.inbox.lasts()}
	m.Tags, m.Any = n.tags.mine()
	n.sender.mu.Lock()
	m.Number = n.sender.last
	n.sender.mu.Unlock()
	n.interest.mu.Lock()
	m.Interest = n.interest.version
	n.interest.mu.Unlock()
	n.keys.mu.Lock()
	defer n.keys.mu.Unlock()
	now := n.now()
	for _, e := range n.keys.ended {
		if left := e.until - now; left > 0 {
			m.Keys = append(m.Keys, memoryKey{e.key, e.print[:], e.result, e.result.LastClient, left})
		}
	}
	for _, p := range n.members.all() {
		m.Peers = append(m.Peers, memoryPeer{p.subject, now - time.Duration(p.seen.Load()), p.told.Load()})
	}
	return m
}

// Release undoes Hold and Leave: the process goes on. Without them it does nothing.
func (n *Node) Release() error {
	if n.state.Load() != stateMoving {
		return nil
	}
	if n.left {
		n.left = false
		n.working.Wait() // the loops go on, and so does what waited for them
		n.inbox.reopen()
		n.session.Store(newSession())
		if err := n.connect(); err != nil {
			return err
		}
		n.work()
		n.members.awaitAll(n.now())
		n.introduce()
		return nil
	}
	n.setState(stateReady)
	return n.openDoor()
}

// Resume is Start for a process that has taken over from another; state is what Leave
// returned there, or nil if that one was in no cluster. It does not wait for the others.
func (n *Node) Resume(_ context.Context, state []byte) error {
	var m memory
	if len(state) > 0 {
		if err := json.Unmarshal(state, &m); err != nil {
			return fmt.Errorf("what the older process knew of the cluster: %w", err)
		}
		n.recall(&m)
	} else if n.server.Connected() > 0 {
		n.tags.any = true // its clients have no tag
	}
	if err := n.connect(); err != nil {
		return err
	}
	n.work()
	n.introduce()
	return nil
}

// recall takes in what the older process knew.
func (n *Node) recall(m *memory) {
	n.name, n.life, n.since = m.Node, m.Life, m.Since
	n.subject = n.subjectOf(n.name, n.life)
	n.tags.list, n.tags.any = m.Tags, m.Any
	n.server.SetTag(n.tags.current())
	n.sender.mu.Lock()
	n.sender.last = m.Number
	n.sender.mu.Unlock()
	if m.Last != nil {
		n.inbox.last = m.Last
	}
	now := n.now()
	for _, k := range m.Keys {
		e := &remembered{key: k.Key, done: make(chan struct{}), result: k.Result, until: now + k.Left}
		e.result.LastClient = k.Last
		copy(e.print[:], k.Print)
		close(e.done)
		n.keys.of[e.key] = e
		n.keys.ended = append(n.keys.ended, e)
	}
	i := &n.interest
	i.mu.Lock()
	// The others get it whole: they see that it is another version.
	i.version, i.changes = m.Interest+1, nil
	clear(i.since)
	i.unreached.Store(0)
	i.sent.Store(i.version)
	i.mu.Unlock()
	for _, k := range m.Peers {
		if k.Told == nil {
			continue
		}
		p, _ := n.meet(k.Told, k.Subject)
		p.seen.Store(int64(now - k.Silent))
	}
	n.members.awaitAll(now)
}

// awaitAll has everything for the others be held until they are heard of: the servers
// inside may have to find each other first.
func (m *members) awaitAll(now time.Duration) {
	for _, p := range m.all() {
		p.moved.Store(int64(now))
		p.state.Store(stateMoving)
		p.view.Store(nil)
		p.heard.Store(false)
	}
}

// introduce says who this node is until all who were there have heard of it.
func (n *Node) introduce() {
	n.setState(stateReady)
	if err := n.openDoor(); err != nil {
		n.log.Error("publishers over NATS are not served", "error", err)
	}
	n.working.Go(func() {
		ctx := n.alive()
		for end := time.Now().Add(introWithin); ctx.Err() == nil && time.Now().Before(end) && !n.members.allHeard(); {
			n.beat(true)
			wait(ctx, knockEvery)
		}
	})
}

func (m *members) allHeard() bool {
	for _, p := range m.all() {
		if !p.heard.Load() {
			return false
		}
	}
	return true
}
