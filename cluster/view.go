package cluster

import (
	"encoding/binary"
	"sync/atomic"

	"github.com/nats-io/nats.go"
)

// view is what this node knows of another's interest.
type view struct {
	version atomic.Uint64
	mask    uint64
	open    []atomic.Uint64 // changed by read alone, read by all
}

// doubt has p get everything until it has told all its interest. What it has told
// before does not count any more, even if it comes later: the number changes first.
func (n *Node) doubt(p *peer) {
	p.wanted.Add(1)
	p.view.Store(nil)
	n.wantWhole(p)
}

func (n *Node) wantWhole(p *peer) {
	b := binary.LittleEndian.AppendUint64(head(kindWant), n.life)
	_ = n.send(p.subject, binary.LittleEndian.AppendUint64(b, p.wanted.Load())) // asked again with the next heartbeat
}

// checkVersion compares what p says with what this node knows.
func (n *Node) checkVersion(p *peer, version uint64) {
	switch v := p.view.Load(); {
	case v == nil:
		n.wantWhole(p) // the answer may be on its way
	case v.version.Load() < version:
		n.doubt(p)
	}
}

// doubtAll is for when something that others said may have been missed.
func (n *Node) doubtAll() {
	for _, p := range n.members.all() {
		n.doubt(p)
	}
}

// changed takes in a delta.
func (n *Node) changed(m *nats.Msg) {
	r := reader{b: m.Data[2:]}
	p := n.members.find(r.u64())
	before, after := r.u64(), r.u64()
	if r.bad || p == nil {
		return
	}
	switch v := p.view.Load(); {
	case v == nil: // it gets everything
	case v.version.Load() >= after:
	case v.version.Load() != before:
		n.doubt(p)
	default:
		v.apply(&r)
		v.version.Store(after)
	}
	n.seen(m.Reply, after)
}

func (v *view) apply(r *reader) {
	for !r.bad && len(r.b) > 0 {
		change := r.uvarint()
		b := change / 2
		switch {
		case b > v.mask:
		case change%2 == 1:
			v.open[b/64].Or(1 << (b % 64))
		default:
			v.open[b/64].And(^uint64(1 << (b % 64)))
		}
	}
}

// seen acknowledges a version.
func (n *Node) seen(to string, version uint64) {
	b := binary.LittleEndian.AppendUint64(head(kindSeen), n.life)
	_ = n.send(to, binary.LittleEndian.AppendUint64(b, version)) // else its subscribers wait in vain, for a while
}

// whole takes in a snapshot, if it is the answer to what was asked last. Older programs
// do not tell.
func (n *Node) whole(m *nats.Msg) {
	r := reader{b: m.Data[2:]}
	p := n.members.find(r.u64())
	version, bits := r.u64(), r.byte()
	if r.bad || p == nil || bits < 6 || bits > 24 || len(r.b) != 1<<bits/8 && len(r.b) != 1<<bits/8+8 {
		return
	}
	v := &view{mask: 1<<bits - 1, open: make([]atomic.Uint64, 1<<bits/64)}
	for k := range v.open {
		v.open[k].Store(r.u64())
	}
	v.version.Store(version)
	wanted := p.wanted.Load()
	if len(r.b) > 0 && r.u64() != wanted {
		return
	}
	p.view.Store(v)
	if p.wanted.Load() != wanted { // doubted meanwhile, by another goroutine
		p.view.CompareAndSwap(v, nil)
		return
	}
	n.seen(m.Reply, version)
}

// acknowledged notes what p knows.
func (n *Node) acknowledged(body []byte) {
	r := reader{b: body}
	p, version := n.members.find(r.u64()), r.u64()
	if r.bad || p == nil {
		return
	}
	for {
		old := p.acked.Load()
		if version <= old {
			return
		}
		if p.acked.CompareAndSwap(old, version) {
			break
		}
	}
	if n.interest.unreached.Load() > 0 {
		n.interest.wake()
	}
}

// want is for a node that asks for all interest.
func (n *Node) want(m *nats.Msg) {
	w := wanted{subject: m.Reply}
	if r := (reader{b: m.Data[2:]}); len(r.b) >= 16 { // a newer program, that wants its number back
		r.u64()
		w.number, w.numbered = r.u64(), true
	}
	i := &n.interest
	i.mu.Lock()
	defer i.mu.Unlock()
	i.wanted = append(i.wanted, w)
	i.wake()
}
