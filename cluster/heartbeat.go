package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"
)

// NameTakenError is returned by Start when another node has this one's name.
type NameTakenError struct {
	Node  string
	Since time.Time // when the other one started
}

func (e *NameTakenError) Error() string {
	return fmt.Sprintf("a node called %s is in the cluster since %s", e.Node, e.Since.Format(time.RFC3339))
}

// heartbeat is what this node has to say of itself.
func (n *Node) heartbeat(ask bool) []byte {
	h := heartbeat{Node: n.name, Life: n.life, State: stateNames[n.state.Load()], Version: n.cfg.Version, Since: n.since,
		NATS: n.natsKind(), Clients: n.server.Connected(), Topics: int(n.count.topics.Load()), Together: true, Answer: ask}
	h.Behind, h.BehindBytes = n.inbox.behind()
	if e := n.link.embed; e != nil {
		h.Routes = e.Addr()
	}
	h.Tags, h.Any = n.tags.mine()
	h.Interest = n.interest.sent.Load()
	body, err := json.Marshal(h)
	if err != nil {
		panic(err) // it is our own struct
	}
	return append(head(kindHeartbeat), body...)
}

// beat says to all who this node is.
func (n *Node) beat(ask bool) {
	_ = n.send(n.all, n.heartbeat(ask)) // if NATS is away, there is nobody to tell
}

func (n *Node) setState(state int32) {
	n.state.Store(state)
	n.beat(false)
}

// join finds out who is there. It returns when somebody has answered and nobody else
// did for a while, or nobody did.
func (n *Node) join(ctx context.Context) error {
	began := time.Now()
	known, last := 0, began
	for ctx.Err() == nil {
		n.beat(true)
		wait(ctx, 100*time.Millisecond)
		if taken := n.link.taken.Load(); taken != nil {
			return &NameTakenError{n.name, taken.Since}
		}
		if k := len(n.members.all()); k != known {
			known, last = k, time.Now()
		}
		enough := known > 0 && time.Since(last) > 250*time.Millisecond && known+1 >= n.cfg.Expect
		if enough || time.Since(began) > joinWithin {
			break
		}
	}
	if e := n.link.embed; known == 0 && e != nil && e.Refused() != nil {
		return &RefusedError{e.Refused()}
	}
	return ctx.Err()
}

// tend does what time brings: heartbeats, and an end for what is over.
func (n *Node) tend() {
	for n.alive().Err() == nil {
		wait(n.alive(), heartbeatEvery*4/5)
		n.awaitBeat(heartbeatEvery/10 + rand.N(heartbeatEvery*3/10))
		n.beat(false)
		n.forget()
		n.closeIdle()
		n.requests.checkAll()
	}
}

// awaitBeat waits for the time of the next heartbeat, which is that of the first other
// node's: all come together, for waking costs an idle process more than what it does then,
// and the more nodes there are the more often it would be woken.
func (n *Node) awaitBeat(most time.Duration) {
	select {
	case <-n.beats: // it came long ago
	default:
	}
	late := time.NewTimer(most)
	defer late.Stop()
	select {
	case <-late.C:
	case <-n.beats:
	case <-n.alive().Done():
	}
}

// heardBeat is for a heartbeat of another node.
func (n *Node) heardBeat() {
	select {
	case n.beats <- struct{}{}:
	default:
	}
}

// forget drops nodes that are gone for long enough.
func (n *Node) forget() {
	for _, p := range n.members.all() {
		silent := n.now() - time.Duration(p.seen.Load())
		if silent > deadAfter && p.warned.CompareAndSwap(false, true) {
			n.log.Warn("a node is gone: it has not been heard of", "node", p.name, "for", silent.Round(time.Second).String())
		}
		if silent <= suspectAfter {
			p.warned.Store(false)
		}
		n.dropHeld(p)
		if silent > n.cfg.Forget || silent > suspectAfter && n.replaced(p) {
			n.members.remove(p)
			n.requests.giveUp(p, whyGone)
		}
	}
}

// replaced says that a silent node has started again, in another life.
func (n *Node) replaced(old *peer) bool {
	for _, p := range n.members.all() {
		if p != old && p.name == old.name && n.standing(p) < suspect {
			return true
		}
	}
	return false
}
