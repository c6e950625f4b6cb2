package cluster

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// What a node says of itself.
const (
	stateJoining int32 = iota
	stateReady
	stateDraining // its clients are being sent away
	stateMoving   // a newer process takes over: publishes for it are held
	stateGone     // bye
)

var stateNames = [...]string{"joining", "ready", "draining", "moving", "gone"}

// heartbeat is what every node says to all of itself every second, and whenever that
// changes.
type heartbeat struct {
	Node    string    `json:"node"`
	Life    uint64    `json:"life,string"`
	State   string    `json:"state"`
	Version string    `json:"version"`
	Since   time.Time `json:"since"`
	// Routes is where the NATS server inside takes other servers; "" if there is none.
	Routes  string `json:"routes,omitempty"`
	NATS    string `json:"nats"` // embedded or external
	Clients int    `json:"clients"`
	Topics  int    `json:"topics"`
	// Behind is how many publishes wait for its loops.
	Behind      int `json:"behind,omitempty"`
	BehindBytes int `json:"behind_bytes,omitempty"`
	// Tags are those that ids of its clients may have. Any: they may have others, too.
	Tags []uint16 `json:"tags"`
	Any  bool     `json:"any,omitempty"`
	// Interest is the version of its interest.
	Interest uint64 `json:"interest"`
	// Together: it takes publishes that come together.
	Together bool `json:"together,omitempty"`
	// Answer asks those who hear it to say who they are, at once.
	Answer bool `json:"answer,omitempty"`
}

// peer is another node, in one life. What has no lock is set once.
type peer struct {
	name, subject string
	life          uint64

	seen  atomic.Int64 // Node.now when it was heard of last
	state atomic.Int32
	told  atomic.Pointer[heartbeat] // what it said last
	said  []byte                    // the same, as it came: of Node.read alone
	rtt   atomic.Int64              // nanoseconds, smoothed; 0: not known yet

	warned atomic.Bool // the log knows that it is gone
	heard  atomic.Bool // since this node is connected

	view   atomic.Pointer[view] // what it is interested in; nil: perhaps in everything
	wanted atomic.Uint64        // number of the want whose answer counts
	acked  atomic.Uint64        // version of our interest that it knows

	moved atomic.Int64 // Node.now when it said that it moves; 0: never

	held, out outgoing // while it moves, and on their way: guarded by Node.sender
}

// members are the other nodes. Those that are gone stay, as missing, for Config.Forget.
type members struct {
	mu   sync.Mutex
	of   map[uint64]*peer
	list atomic.Pointer[[]*peer] // sorted by names; for reading without the lock
}

func (m *members) init() {
	m.of = map[uint64]*peer{}
	m.list.Store(&[]*peer{})
}

func (m *members) all() []*peer { return *m.list.Load() }

// find returns the peer of that life, nil if it is not known.
func (m *members) find(life uint64) *peer {
	for _, p := range m.all() {
		if p.life == life {
			return p
		}
	}
	return nil
}

func (m *members) publishLocked() {
	list := make([]*peer, 0, len(m.of))
	for _, p := range m.of {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b *peer) int { return strings.Compare(a.name, b.name) })
	m.list.Store(&list)
}

func (m *members) remove(p *peer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.of, p.life)
	m.publishLocked()
}

// standing is what a node makes of another.
type standing int

const (
	fine    standing = iota
	moving           // back in a moment
	suspect          // not heard of for a while
	dead
)

func (n *Node) standing(p *peer) standing {
	switch silent, moves := n.now()-time.Duration(p.seen.Load()), p.state.Load() == stateMoving; {
	case silent > deadAfter:
		return dead
	case moves && !n.movesLong(p):
		return moving // it has said that it will be silent
	case silent > suspectAfter:
		return suspect
	case moves:
		return moving
	}
	return fine
}

// late says that p has not been heard of for longer than its heartbeats take. What it
// has said of its interest since then has not come.
func (n *Node) late(p *peer) bool { return n.now()-time.Duration(p.seen.Load()) > lateAfter }

// heardFrom is for all that comes from p. After a cut, what it said long ago comes first,
// and what it said of its interest later: until it has told all of it anew, it gets
// everything.
func (n *Node) heardFrom(p *peer) {
	if n.late(p) {
		n.doubt(p)
	}
	p.seen.Store(int64(n.now()))
}

// heard takes in a heartbeat.
func (n *Node) heard(subject string, body []byte) {
	h := n.members.said(subject, body)
	if h == nil {
		h = new(heartbeat)
		if json.Unmarshal(body, h) != nil || !nameForm.MatchString(h.Node) || h.Life == n.life {
			return
		}
	}
	if h.Node == n.name && n.sameName(h) {
		_ = n.send(subject, n.heartbeat(false))
		return
	}
	if h.State == stateNames[stateGone] {
		n.goodbye(h.Life)
		return
	}
	p, isNew := n.meet(h, subject)
	wasLost := n.standing(p) >= suspect
	p.told.Store(h)
	p.said = body
	n.noteState(p, h.State)
	n.seeTags(h)
	n.checkVersion(p, h.Interest) // before it counts as reached
	n.heardFrom(p)
	p.heard.Store(true)
	n.heardBeat()
	switch {
	case isNew:
		n.log.Info("a node is here", "node", h.Node, "version", h.Version)
	case wasLost:
		n.log.Info("a node is back", "node", h.Node)
	}
	if isNew || wasLost {
		go n.learn(p)
	}
	if h.Answer || isNew {
		_ = n.send(subject, n.heartbeat(false)) // if it does not arrive, the next one will
	}
}

// said returns what a heartbeat says if it is, to the byte, the sender's last one, and nil
// if not: an idle node says the same every second, and need not be read again.
func (m *members) said(subject string, body []byte) *heartbeat {
	for _, p := range m.all() {
		if p.subject == subject && len(body) > 0 && bytes.Equal(p.said, body) {
			return p.told.Load()
		}
	}
	return nil
}

// meet returns the peer that h is from.
func (n *Node) meet(h *heartbeat, subject string) (p *peer, isNew bool) {
	m := &n.members
	m.mu.Lock()
	defer m.mu.Unlock()
	if p = m.of[h.Life]; p != nil {
		return p, false
	}
	p = &peer{name: h.Node, life: h.Life, subject: subject}
	p.seen.Store(int64(n.now()))
	p.told.Store(h)
	p.wanted.Store(rand.Uint64())         // an older process of this life may have wanted something, too
	p.acked.Store(n.interest.sent.Load()) // what was said before it came does not matter: it has no view of us
	m.of[h.Life] = p
	m.publishLocked()
	return p, true
}

// goodbye is for a node that leaves.
func (n *Node) goodbye(life uint64) {
	if p := n.members.find(life); p != nil {
		n.members.remove(p)
		n.requests.giveUp(p, whyGone)
		n.log.Info("a node has left", "node", p.name)
	}
}

// noteState notes what a node says of itself. From when it is moving, publishes for it
// are held; when it is back they go there.
func (n *Node) noteState(p *peer, name string) {
	state := int32(max(slices.Index(stateNames[:], name), 0))
	if (p.state.Load() == stateMoving) != (state == stateMoving) {
		n.release(p, state)
		return
	}
	p.state.Store(state)
}

// sameName sees to another node that has this one's name. It reports true if that one
// has only come: it will hear of this one, and not stay. When two parts of a cluster
// meet again, both stay: they have different lives, and what is for one does not go to
// the other. But who reads the answers cannot tell them apart.
func (n *Node) sameName(h *heartbeat) (newcomer bool) {
	joining := n.state.Load() == stateJoining
	switch theirs := h.State == stateNames[stateJoining]; {
	case h.State == stateNames[stateGone]:
	case joining && (!theirs || h.Since.Before(n.since)):
		n.link.taken.Store(h)
	case theirs:
		return true
	case n.count.sameName.Add(1) == 1:
		n.log.Error("two nodes have the same name: give each its own", "node", n.name)
	}
	return false
}
