package cluster

import (
	"context"
	"time"

	"github.com/google/uuid"

	"wsd/server"
)

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
	n.post(o, body, note)
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
	n.post(o, body, nil)
}
