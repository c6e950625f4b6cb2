package cluster

import (
	"context"
	"sync"
	"time"

	"wsd/server"
)

// Why a node is missing.
const (
	whyNoAnswer    = "no_answer"
	whyBehind      = "behind"
	whyMoving      = "moving"
	whyGone        = "gone"
	whyPartitioned = "partitioned"
	whyOtherKey    = "other_message" // its key was used there for another
)

// outcome adds up what becomes of a publish on all nodes.
type outcome struct {
	// Set before it is shared, then constant.
	n        *Node
	here     server.OutcomeHere // nil: nobody asks
	began    time.Time
	number   uint64
	deadline time.Time
	others   int  // nodes that have nobody it is for
	silent   bool // nobody asks, nor is there anybody to answer
	done     chan struct{}
	replayed bool // guarded by mu: all who answered did so before

	mu      sync.Mutex
	waits   []waitFor
	left    int // of them
	missing []server.Missing
	sum     server.Result // of the other nodes
}

// waitFor is a node whose answer is awaited.
type waitFor struct {
	p       *peer
	sent    time.Duration // Node.now
	acked   bool
	settled bool
	overdue bool          // check saw it so
	note    bool          // it has nobody it is for
	result  server.Result // if it answered
	ok      bool
}

// miss notes a node that is missing from the start.
func (o *outcome) miss(p *peer, why string) {
	o.missing = append(o.missing, server.Missing{Node: p.name, Why: why, Since: o.n.lastSeen(p)})
}

// lastSeen is when p was heard of, for people.
func (n *Node) lastSeen(p *peer) time.Time {
	return n.began.Add(time.Duration(p.seen.Load())).Round(0).UTC()
}

// settle ends the wait for a node without its answer.
func (o *outcome) settle(w int, why string) {
	o.n.count.missing(why)
	if o.silent {
		o.n.count.untold.Add(1)
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.waits[w].settled {
		return
	}
	o.miss(o.waits[w].p, why)
	o.endLocked(w)
}

func (o *outcome) endLocked(w int) {
	o.waits[w].settled = true
	if o.left--; o.left == 0 {
		o.n.requests.remove(o.number)
		close(o.done)
	}
}

// awaits says whether a node's answer is still awaited, or there is none to await.
func (o *outcome) awaits(w int) bool {
	if o.silent {
		return true
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.waits[w].settled
}

// restart says that a publish that was held is sent now, unless it was given up.
func (o *outcome) restart(w int, now time.Duration) bool {
	if o.silent {
		return true
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waits[w].sent = now
	return !o.waits[w].settled
}

// take is for an answer of p.
func (o *outcome) take(p *peer, a *answer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range o.waits {
		w := &o.waits[i]
		if w.p != p || w.settled {
			continue
		}
		switch w.acked = true; a.status {
		case statusDone, statusAgain:
			o.replayed = o.replayed && a.status == statusAgain
			took := time.Since(o.began)
			away := max(took-a.took, 0) // there and back
			if w.result, w.ok = a.result, true; a.result.Matched > 0 {
				w.result.LastClient = min(a.result.LastClient+away/2, took)
			}
			p.noteRTT(away)
			add(&o.sum, &w.result)
			o.endLocked(i)
		case statusBehind:
			o.n.count.missing(whyBehind)
			o.miss(p, whyBehind)
			o.endLocked(i)
		case statusOther:
			o.miss(p, whyOtherKey)
			o.endLocked(i)
		}
	}
}

func (p *peer) noteRTT(d time.Duration) {
	old := p.rtt.Load()
	if old == 0 {
		p.rtt.Store(int64(d))
		return
	}
	p.rtt.Store(old + (int64(d)-old)/8)
}

func add(sum, r *server.Result) {
	sum.Matched += r.Matched
	sum.Sent += r.Sent
	sum.Queued += r.Queued
	sum.Dropped += r.Dropped
	sum.Expired += r.Expired
	sum.LastClient = max(sum.LastClient, r.LastClient)
}

// check gives up nodes that do not answer: one that has not even said that it is at
// work, and one whose heartbeat is late.
func (o *outcome) check() {
	now := o.n.now()
	for i := range o.waits {
		o.mu.Lock()
		w := o.waits[i]
		o.mu.Unlock()
		if w.settled {
			continue
		}
		switch st := o.n.standing(w.p); {
		case st == dead:
			o.settle(i, whyGone)
		case st == suspect:
			o.settle(i, whyNoAnswer)
		case st == moving && now-w.sent > moveWithin:
			o.settle(i, whyMoving)
		case st == fine && !w.acked && now-w.sent > o.n.ackWithin(w.p) && o.twice(i):
			o.settle(i, whyNoAnswer)
		}
	}
}

// twice says that check has found the node overdue before. If this process stood still
// itself, the answer may be there already, and has had the time between to be read.
func (o *outcome) twice(w int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	before := o.waits[w].overdue
	o.waits[w].overdue = true
	return before
}

// checkEvery is how often who waits looks whether somebody is to be given up.
const checkEvery = 100 * time.Millisecond

// Wait is server.Outcome's.
func (o *outcome) Wait(ctx context.Context) (server.Result, error) {
	r, err := o.here.Wait(ctx)
	if err != nil {
		return r, err
	}
	select {
	case <-o.done:
		return o.total(r), nil
	default:
	}
	look := time.NewTicker(checkEvery)
	defer look.Stop()
	for {
		select {
		case <-o.done:
			return o.total(r), nil
		case <-look.C:
			o.check()
		case <-ctx.Done():
			return o.total(r), ctx.Err()
		case <-o.n.alive().Done():
			o.n.requests.giveUpAll(whyGone)
		}
	}
}

// Poll is server.Outcome's.
func (o *outcome) Poll() (r server.Result, done bool, err error) {
	r, done, err = o.here.Poll()
	select {
	case <-o.done:
		return o.total(r), done, err
	default:
		return o.total(r), false, err
	}
}

// total adds what became of it here, and who did not answer so far.
func (o *outcome) total(here server.Result) server.Result {
	o.mu.Lock()
	defer o.mu.Unlock()
	r := here
	add(&r, &o.sum)
	reach := &server.Reach{Nodes: 1 + o.others, Missing: append([]server.Missing{}, o.missing...),
		PerNode: append(make([]server.NodeResult, 0, 1+len(o.waits)), nodeResult(o.n.name, here)), Awaited: o.left, Replayed: o.replayed}
	for i := range o.waits {
		if w := &o.waits[i]; w.ok {
			reach.Nodes++
			reach.PerNode = append(reach.PerNode, nodeResult(w.p.name, w.result))
		}
	}
	reach.Complete = len(reach.Missing) == 0 && o.left == 0
	r.Reach = reach
	return r
}

func nodeResult(name string, r server.Result) server.NodeResult {
	return server.NodeResult{Node: name, Result: r, Seconds: r.LastClient.Seconds()}
}

// requests are the publishes whose answers are awaited, by number.
type requests struct {
	mu sync.Mutex
	of map[uint64]*outcome
}

func (q *requests) init() { q.of = map[uint64]*outcome{} }

func (q *requests) add(o *outcome) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.of[o.number] = o
}

func (q *requests) remove(number uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.of, number)
}

func (q *requests) find(number uint64) *outcome {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.of[number]
}

func (q *requests) all() []*outcome {
	q.mu.Lock()
	defer q.mu.Unlock()
	list := make([]*outcome, 0, len(q.of))
	for _, o := range q.of {
		list = append(list, o)
	}
	return list
}

func (q *requests) checkAll() {
	for _, o := range q.all() {
		o.check()
	}
}

// giveUpAll is for when nobody is reached any more.
func (q *requests) giveUpAll(why string) {
	for _, o := range q.all() {
		for i := range o.waits {
			o.settle(i, why)
		}
	}
}

// giveUp is for a node that will not answer any more.
func (q *requests) giveUp(p *peer, why string) {
	for _, o := range q.all() {
		for i := range o.waits {
			if o.waits[i].p == p {
				o.settle(i, why)
			}
		}
	}
}

// answered takes in what a node says of publishes of ours.
func (n *Node) answered(body []byte) {
	r := reader{b: body}
	p := n.members.find(r.u64())
	for !r.bad && len(r.b) > 0 {
		a := readAnswer(&r)
		if r.bad || p == nil {
			return
		}
		n.heardFrom(p)
		if o := n.requests.find(a.number); o != nil {
			o.take(p, &a)
		}
	}
}
