package cluster

import (
	"encoding/binary"
	"errors"
	"slices"
	"sync"

	"github.com/nats-io/nats.go"
)

// sender numbers publishes and gives them to NATS, in the same order for each node. What
// comes while it is at work goes together: a message of NATS's costs more, here and there,
// than all else that nodes do for a small publish (BenchmarkPublish).
type sender struct {
	mu      sync.Mutex
	last    uint64  // number of the last publish
	waiting []*peer // whose out has something

	some chan struct{} // holds a token when there is something in waiting
	busy sync.Mutex    // of who sends; it is taken before mu
}

func (s *sender) init() { s.some = make(chan struct{}, 1) }

// outgoing are publishes for one node, in their order.
type outgoing struct {
	list  []outgoingPublish
	bytes int
}

// outgoingPublish is one of them. Its body is the same for all nodes that get it.
type outgoingPublish struct {
	o    *outcome
	w    int
	body []byte
}

func (q *outgoing) add(x outgoingPublish) {
	q.list = append(q.list, x)
	q.bytes += len(x.body)
}

// post numbers a publish and has it go to the nodes whose answers are awaited: body, or
// note to those that have nobody it is for. Somebody else sends it, so that what is posted
// next can go with it; but who posts more than goes together sends it, and so is held up
// when NATS is.
func (n *Node) post(o *outcome, body, note []byte) {
	s := &n.sender
	s.mu.Lock()
	s.last++
	o.number = s.last
	if !o.silent {
		n.requests.add(o)
	}
	much := false
	for i := range o.waits {
		x := outgoingPublish{o, i, body}
		if o.waits[i].note {
			x.body = note
		}
		n.put(o.waits[i].p, x)
		much = much || o.waits[i].p.out.bytes > togetherBytes
	}
	s.mu.Unlock()
	if much {
		n.flush()
		return
	}
	select {
	case s.some <- struct{}{}:
	default:
	}
}

// put has a publish go to one node with the next flush or, if the node moves, when it has
// moved. The caller holds the sender's lock.
func (n *Node) put(p *peer, x outgoingPublish) {
	switch {
	case p.state.Load() != stateMoving:
		n.putOut(p, x)
	case len(p.held.list) >= heldMessages || p.held.bytes+len(x.body) > heldBytes:
		x.o.settle(x.w, whyMoving)
	default:
		p.held.add(x)
	}
}

func (n *Node) putOut(p *peer, x outgoingPublish) {
	if len(p.out.list) == 0 {
		n.sender.waiting = append(n.sender.waiting, p)
	}
	p.out.add(x)
}

func (n *Node) sendAll() {
	for {
		select {
		case <-n.sender.some:
			n.flush()
		case <-n.alive().Done():
			return
		}
	}
}

// flush sends what was put so far. When it returns all of that is with NATS, or given up.
func (n *Node) flush() {
	s := &n.sender
	s.busy.Lock()
	defer s.busy.Unlock()
	n.flushBusy()
}

// flushBusy is flush for who holds sender.busy.
func (n *Node) flushBusy() {
	s := &n.sender
	waiting, lists := s.takeOut()
	for i, p := range waiting {
		n.sendTo(p, lists[i])
	}
}

// takeOut takes all that was put.
func (s *sender) takeOut() (waiting []*peer, lists [][]outgoingPublish) {
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting, s.waiting = s.waiting, nil
	lists = make([][]outgoingPublish, len(waiting))
	for i, p := range waiting {
		lists[i], p.out = p.out.list, outgoing{}
	}
	return waiting, lists
}

// giveUpOut gives up what was put after the end of a session.
func (s *sender) giveUpOut() {
	_, lists := s.takeOut()
	for _, list := range lists {
		for _, x := range list {
			x.o.settle(x.w, whyGone)
		}
	}
}

// sendTo sends publishes to one node: together if it knows what that is, in messages of
// up to togetherBytes, unless one alone has more. What was given up while NATS held this up
// is not sent: its publisher may repeat it.
func (n *Node) sendTo(p *peer, list []outgoingPublish) {
	list = slices.DeleteFunc(list, func(x outgoingPublish) bool { return !x.o.awaits(x.w) })
	for _, x := range list {
		stamp(x.body, x.o.number, x.o.deadline)
	}
	most := 0
	if p.told.Load().Together {
		most = int(min(togetherBytes, n.link.most.Load()))
	}
	for len(list) > 0 {
		k := fit(list, most)
		body := list[0].body
		if k > 1 {
			body = together(list[:k])
		}
		if err := n.send(p.subject, body); err != nil {
			for _, x := range list[:k] {
				x.o.settle(x.w, whyOf(err))
			}
		}
		list = list[k:]
	}
}

// fit is how many of list go together in a message of most bytes: at least one.
func fit(list []outgoingPublish, most int) (k int) {
	for size := len(head(kindTogether)); k < len(list); k++ {
		if size += len(list[k].body) + binary.MaxVarintLen32; size > most && k > 0 {
			break
		}
	}
	return k
}

func whyOf(err error) string {
	if errors.Is(err, nats.ErrMaxPayload) {
		return whyNoAnswer
	}
	return whyPartitioned
}

// release puts a node into a state in which publishes are held, or out of it: then what
// was held is sent. All of that is under the locks, so nothing newer comes before it, and
// nothing is sent after this node has said that it knows of a move.
func (n *Node) release(p *peer, state int32) {
	s := &n.sender
	s.busy.Lock()
	defer s.busy.Unlock()
	if s.mu.Lock(); state == stateMoving {
		p.state.Store(state)
		p.moved.Store(int64(n.now()))
	} else {
		for _, x := range p.held.list {
			if x.o.restart(x.w, n.now()) { // else it was given up
				n.putOut(p, x)
			}
		}
		p.held = outgoing{}
		p.state.Store(state)
	}
	s.mu.Unlock()
	n.flushBusy()
}

// dropHeld gives up what is held for a node that moves for too long.
func (n *Node) dropHeld(p *peer) {
	if p.state.Load() != stateMoving || !n.movesLong(p) {
		return
	}
	n.sender.mu.Lock()
	defer n.sender.mu.Unlock()
	for _, x := range p.held.list {
		x.o.settle(x.w, whyMoving)
	}
	p.held = outgoing{}
}
