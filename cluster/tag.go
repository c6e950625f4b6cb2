package cluster

import (
	"crypto/rand"
	"encoding/binary"
	"slices"
	"sync"
)

// tags are those that this node's clients have in their ids, so that whoever has an id
// knows which node to ask. Two bytes are random, so two nodes may have the same; then
// the younger one draws another, and both are asked for clients of the one that they
// share.
type tags struct {
	mu   sync.Mutex
	list []uint16 // the last is that of clients to come
	any  bool     // there are clients that came without a tag, or before this cluster
}

func (t *tags) draw(tag uint16) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.list = append(t.list, tag)
}

func (t *tags) current() uint16 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.list[len(t.list)-1]
}

func (t *tags) mine() (list []uint16, any bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.list), t.any
}

// seeTags draws another tag if an older node has the one that this node gives out.
func (n *Node) seeTags(h *heartbeat) {
	current := n.tags.current()
	if len(h.Tags) == 0 || h.Tags[len(h.Tags)-1] != current {
		return
	}
	if n.since.Before(h.Since) || n.since.Equal(h.Since) && n.life < h.Life {
		return
	}
	for {
		var b [2]byte
		_, _ = rand.Read(b[:]) // it never fails
		tag := binary.LittleEndian.Uint16(b[:])
		if n.tagFree(tag) {
			n.tags.draw(tag)
			n.server.SetTag(tag)
			n.beat(false)
			return
		}
	}
}

func (n *Node) tagFree(tag uint16) bool {
	for _, p := range n.members.all() {
		if slices.Contains(p.told.Load().Tags, tag) {
			return false
		}
	}
	own, _ := n.tags.mine()
	return !slices.Contains(own, tag)
}

// hasTag says whether a client with that tag may be at p.
func (p *peer) hasTag(tag uint16) bool {
	h := p.told.Load()
	return h == nil || h.Any || slices.Contains(h.Tags, tag)
}
