package cluster

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"

	"wsd/server"
)

// sender numbers publishes and gives them to NATS, in the same order.
type sender struct {
	mu     sync.Mutex
	number uint64
}

// held are publishes for a node that is moving, in their order. What does not fit, or
// has waited for too long, is given up and not sent.
type held struct {
	list  []heldPublish
	bytes int
}

type heldPublish struct {
	o    *outcome
	w    int
	body []byte
	at   time.Duration
}

// Begin is server.Cluster's.
func (n *Node) Begin(ctx context.Context, t server.Target, m server.Message) (server.Outcome, error) {
	if err := n.fits(&m); err != nil {
		return nil, err
	}
	here, err := n.server.BeginHere(ctx, t, m)
	if err != nil {
		return nil, err
	}
	return n.spread(&publish{life: n.life, to: t, m: m}, here, false), nil
}

// Post is server.Cluster's.
func (n *Node) Post(t server.Target, m server.Message) error {
	if err := n.fits(&m); err != nil {
		return err
	}
	if err := n.server.PostHere(t, m); err != nil {
		return err
	}
	n.spread(&publish{life: n.life, to: t, m: m}, nil, false)
	return nil
}

// spread sends a publish to the other nodes that may have somebody it is for.
func (n *Node) spread(p *publish, here server.OutcomeHere, replayed bool) *outcome {
	o := &outcome{n: n, here: here, began: time.Now(), deadline: p.m.Deadline, done: make(chan struct{}), replayed: replayed}
	n.choose(o, p.to, p.once.Key != "")
	if len(o.waits) == 0 {
		close(o.done)
		return o
	}
	o.left = len(o.waits)
	body := p.append(make([]byte, 0, atTexts+len(p.m.Data)+64))
	var note []byte
	if p.once.Key != "" {
		short := *p
		short.note = true
		note = short.append(nil)
	}
	s := &n.sender
	s.mu.Lock()
	defer s.mu.Unlock()
	s.number++
	o.number = s.number
	n.requests.add(o)
	for i := range o.waits {
		if o.waits[i].note {
			n.sendOne(o, i, note)
		} else {
			n.sendOne(o, i, body)
		}
	}
	return o
}

// choose finds out who is asked, who need not be, and who is missing. Of a publish with
// a key all are told.
func (n *Node) choose(o *outcome, t server.Target, keyed bool) {
	up := n.connected()
	for _, p := range n.members.all() {
		note := !n.concerned(p, t)
		if note && !keyed {
			o.others++
			continue
		}
		switch st := n.standing(p); {
		case !up:
			o.miss(p, whyPartitioned)
		case st == dead:
			o.miss(p, whyGone)
		case st == suspect:
			o.miss(p, whyNoAnswer)
		case st == moving && n.movesLong(p):
			o.miss(p, whyMoving)
		default:
			o.waits = append(o.waits, waitFor{p: p, note: note, sent: n.now()})
		}
	}
	n.missUnknown(o)
}

// concerned says whether p may have clients of a target. Which users a node has it does
// not tell, so any may have those.
func (n *Node) concerned(p *peer, t server.Target) bool {
	switch topics := t.Topics(); {
	case t.Everybody(), len(t.Users()) > 0:
		return true
	case len(topics) > 0:
		return n.wants(p, topics)
	}
	return p.hasAny(t.Clients())
}

// wants says whether p may have subscribers of one of topics. If it is not heard, it may
// have some that this node does not know of.
func (n *Node) wants(p *peer, topics []string) bool {
	v := p.view.Load()
	if v == nil || p.state.Load() == stateMoving || n.late(p) || !n.connected() {
		return true
	}
	for _, name := range topics {
		if b := bucketOf(name, v.mask); v.open[b/64].Load()&(1<<(b%64)) != 0 {
			return true
		}
	}
	return false
}

func (p *peer) hasAny(ids []uuid.UUID) bool {
	for i := range ids {
		if p.hasTag(server.TagOf(ids[i])) {
			return true
		}
	}
	return false
}

// missUnknown adds nodes that are known to be missing without being known.
func (n *Node) missUnknown(o *outcome) {
	known := len(n.members.all()) + 1
	for k := known; k < n.cfg.Expect; k++ {
		o.missing = append(o.missing, server.Missing{Node: "?", Why: whyGone, Since: n.since})
	}
	if known == 1 && n.cfg.Expect < 2 && !n.connected() {
		o.missing = append(o.missing, server.Missing{Node: "?", Why: whyPartitioned, Since: n.since})
	}
}

// sendOne sends a publish to one node. The caller holds the sender's lock.
func (n *Node) sendOne(o *outcome, w int, body []byte) {
	p := o.waits[w].p
	if p.state.Load() == stateMoving {
		if len(p.held.list) >= heldMessages || p.held.bytes+len(body) > heldBytes {
			o.settle(w, whyMoving)
			return
		}
		p.held.list = append(p.held.list, heldPublish{o, w, body, n.now()})
		p.held.bytes += len(body)
		return
	}
	stamp(body, o.number, o.deadline)
	if err := n.send(p.subject, body); err != nil {
		o.settle(w, whyOf(err))
	}
}

func whyOf(err error) string {
	if errors.Is(err, nats.ErrMaxPayload) {
		return whyNoAnswer
	}
	return whyPartitioned
}

// release puts a node into a state in which publishes are held, or out of it: then what
// was held is sent. All of that is under the lock, so nothing newer comes before it, and
// nothing is sent after this node has said that it knows of a move.
func (n *Node) release(p *peer, state int32) {
	n.sender.mu.Lock()
	defer n.sender.mu.Unlock()
	if p.state.Store(state); state == stateMoving {
		p.moved.Store(int64(n.now()))
		return
	}
	for _, h := range p.held.list {
		if !h.o.restart(h.w, n.now()) {
			continue // it was given up
		}
		stamp(h.body, h.o.number, h.o.deadline)
		if err := n.send(p.subject, h.body); err != nil {
			h.o.settle(h.w, whyOf(err))
		}
	}
	p.held = held{}
}

// movesLong says that a node has been moving for longer than anything is held for it.
func (n *Node) movesLong(p *peer) bool {
	return n.now()-time.Duration(p.moved.Load()) > moveWithin
}

// ackWithin is how long a node may take to acknowledge a publish. One that has taken over,
// here or there, begins with all that was held for it, on a machine that has just
// started a process.
func (n *Node) ackWithin(p *peer) time.Duration {
	if moved := time.Duration(p.moved.Load()); moved > 0 && n.now()-moved < 2*moveWithin {
		return moveWithin
	}
	return ackWithin
}

// dropHeld gives up what is held for a node that moves for too long.
func (n *Node) dropHeld(p *peer) {
	if p.state.Load() != stateMoving || !n.movesLong(p) {
		return
	}
	n.sender.mu.Lock()
	defer n.sender.mu.Unlock()
	for _, h := range p.held.list {
		h.o.settle(h.w, whyMoving)
	}
	p.held = held{}
}

// tells are what clients say to others, on its way to the other nodes. A loop must not
// wait for NATS, so somebody else sends it.
type tells struct {
	queue chan publish
}

func (t *tells) init() { t.queue = make(chan publish, tellMessages) }

// Tell is server.Cluster's.
func (n *Node) Tell(t server.Target, m server.Message) {
	select {
	case n.tells.queue <- publish{tell: true, life: n.life, to: t, m: m}:
	default:
		n.count.dropped.Add(1)
	}
}

// Full is server.Cluster's.
func (n *Node) Full() bool { return len(n.tells.queue) >= tellMessages/2 }

func (n *Node) tellAll() {
	for {
		select {
		case p := <-n.tells.queue:
			if p.sent != nil {
				close(p.sent)
				continue
			}
			n.tell(&p)
		case <-n.alive().Done():
			return
		}
	}
}

// tell sends on what a client said. Nobody is told who did not get it.
func (n *Node) tell(p *publish) {
	o := &outcome{n: n}
	n.choose(o, p.to, false)
	n.count.untold.Add(uint64(len(o.missing)))
	if len(o.waits) == 0 {
		return
	}
	o.silent = true
	body := p.append(make([]byte, 0, atTexts+len(p.m.Data)+64))
	n.sender.mu.Lock()
	defer n.sender.mu.Unlock()
	n.sender.number++
	o.number = n.sender.number
	for i := range o.waits {
		n.sendOne(o, i, body)
	}
}
