package server

import (
	"container/heap"
	"slices"
	"time"

	"wsd/netpoll"
)

// When all places are taken, those for handshakes or those for clients, a
// newcomer may get the place of a handshake under way. The address with the most
// handshakes gives up its oldest for a newcomer of an address with fewer. A
// handshake that has used a tenth of its time gives way to any newcomer: behind
// a load balancer all have one address.
//
// Each loop decides among its own handshakes. Ids are random, so these are a
// fair sample. While there are places a handshake costs one entry in a list.

// squeezeAfter is the least time after which a handshake gives way to any
// newcomer. In a storm of clients that are slow, but come in, the oldest must
// not be ended for the youngest.
const squeezeAfter = time.Second

// joiners are the handshakes under way of a loop.
type joiners struct {
	queue []joiner // oldest first, by when their address was known; some that are over among them
	crowd *crowd   // by address; nil unless places were short a moment ago
	used  uint32   // tick at which they were
}

type joiner struct {
	token netpoll.Token
	key   [16]byte // shareKey of the address; zero on a unix socket
}

// joinersSlack is how many handshakes that are over may be in joiners.queue
// before they are taken out.
const joinersSlack = 64

// joins notes a handshake that begins.
func (l *loop) joins(slot uint32, c *client) {
	j := &l.joiners
	if len(j.queue) > 2*int(l.count.states[stateJoining])+joinersSlack {
		l.tidyJoiners()
	}
	key := shareKey(c.addr)
	j.queue = append(j.queue, joiner{c.token(slot), key})
	if j.crowd != nil {
		j.crowd.add(key, 1)
	}
}

// joined notes that a handshake is over, however it ended.
func (l *loop) joined(c *client) {
	if crowd := l.joiners.crowd; crowd != nil {
		crowd.add(shareKey(c.addr), -1)
	}
}

// joining returns the client of an entry, nil if its handshake is over, or a proxy
// has told another address of it, under which it has a newer entry.
func (l *loop) joining(j joiner) *client {
	if c := l.clients.find(j.token); c != nil && c.state == stateJoining && shareKey(c.addr) == j.key {
		return c
	}
	return nil
}

func (l *loop) tidyJoiners() {
	j := &l.joiners
	j.queue = slices.DeleteFunc(j.queue, func(e joiner) bool { return l.joining(e) == nil })
	if cap(j.queue) > 4*len(j.queue)+4*joinersSlack {
		j.queue = slices.Clone(j.queue) // a storm is over
	}
}

// calm forgets who the crowd was when places have not been short for a tick.
func (j *joiners) calm(now uint32) {
	if now-j.used > 1 {
		j.crowd = nil
	}
}

// shortOf says which places are all taken, -1 if none are.
func (s *Server) shortOf(more int64) int {
	switch {
	case s.population.clients()+more > int64(s.limits.MaxClients):
		return refusedClients
	case s.population.joining.Load()+more > int64(s.cfg.MaxHandshakes):
		return refusedHandshakes
	}
	return -1
}

// maySqueeze says whether a newcomer may go to its loop although all places are
// taken. Until the loop has decided it is one too many. A batch of handshakes may
// be too many at a time, and of clients an eighth of the spare descriptors.
func (s *Server) maySqueeze() bool {
	joining := s.population.joining.Load()
	return joining > 0 && joining < int64(s.cfg.MaxHandshakes+acceptBatch) &&
		s.population.clients() < int64(s.limits.MaxClients+s.limits.Spare()/8)
}

// squeeze finds a place for a newcomer that came when all were taken, or has it
// refused. false: not even that is possible, and it is gone.
func (l *loop) squeeze(n *newcomer) bool {
	s := l.server
	if l.makeRoom(n) {
		s.letIn()
		return true
	}
	l.count.refusals[n.short]++
	s.keepOut(n.short)
	s.unspent.Add(1)
	if s.population.refused.Load() >= s.refusals() {
		l.count.n[nTurnedAway]++
		_ = netpoll.Abort(n.fd)
		s.population.leave(n.place())
		return false
	}
	was := n.place()
	n.refuse, n.share = true, false
	s.population.move(was, n.place())
	return true
}

// roomTries is how many handshakes are looked at for one newcomer: a look may
// find that one is whole.
const roomTries = 4

// makeRoom has others make room until the newcomer has its place.
func (l *loop) makeRoom(n *newcomer) bool {
	var key [16]byte
	if n.peer.IsValid() {
		key = shareKey(n.peer.Addr().As16())
	}
	for range roomTries {
		if l.server.shortOf(0) < 0 {
			return true
		}
		slot, c := l.leastWelcome(key)
		if c == nil {
			return false
		}
		if l.lastRead(slot, c) == stateJoining {
			l.evict(slot, c)
			return true
		}
	}
	return false
}

// evict ends a handshake in favour of another. It does not linger: that would
// take a place as well.
func (l *loop) evict(slot uint32, c *client) {
	l.count.refusals[refusedEvicted]++
	l.out = l.server.upgrader.Refuse(l.withLeftover(c, nil), l.out[:0], l.server.later())
	l.send(slot, c, l.out)
	l.kill(slot, c, ReasonRefused)
}

// leastWelcome is the handshake that gives way to a newcomer whose address has
// this key, if any does.
func (l *loop) leastWelcome(key [16]byte) (slot uint32, c *client) {
	j := &l.joiners
	j.used = l.wheel.now
	if j.crowd == nil {
		l.tidyJoiners()
		j.crowd = &crowd{of: make(map[[16]byte]*address)}
		for _, e := range j.queue {
			j.crowd.add(e.key, 1)
		}
	}
	if most := j.crowd.most(); most != nil && most.count > j.crowd.count(key)+1 {
		return l.oldestJoiner(func(e joiner) bool { return e.key == most.key })
	}
	slot, c = l.oldestJoiner(func(joiner) bool { return true })
	if c == nil || l.wheel.now-c.stamp < l.timeout(max(l.server.cfg.HandshakeTimeout/10, squeezeAfter)) {
		return 0, nil
	}
	return slot, c
}

// oldestJoiner finds the first handshake that is as wanted.
func (l *loop) oldestJoiner(wanted func(joiner) bool) (slot uint32, c *client) {
	j := &l.joiners
	for len(j.queue) > 0 && l.joining(j.queue[0]) == nil {
		j.queue = j.queue[1:]
	}
	for _, e := range j.queue {
		if wanted(e) {
			if c := l.joining(e); c != nil {
				return e.token.Slot(), c
			}
		}
	}
	return 0, nil
}

// crowd counts handshakes by address. The zero map is not ready for use.
type crowd struct {
	of   map[[16]byte]*address
	heap []*address // the one with the most in front
}

type address struct {
	key       [16]byte
	count, at int // at: in the heap
}

func (c *crowd) add(key [16]byte, n int) {
	a := c.of[key]
	if a == nil {
		a = &address{key: key}
		c.of[key] = a
		heap.Push(c, a)
	}
	a.count += n
	heap.Fix(c, a.at)
	if a.count == 0 {
		heap.Remove(c, a.at)
		delete(c.of, key)
	}
}

func (c *crowd) count(key [16]byte) int {
	if a := c.of[key]; a != nil {
		return a.count
	}
	return 0
}

func (c *crowd) most() *address {
	if len(c.heap) == 0 {
		return nil
	}
	return c.heap[0]
}

// For container/heap.

func (c *crowd) Len() int           { return len(c.heap) }
func (c *crowd) Less(i, k int) bool { return c.heap[i].count > c.heap[k].count }

func (c *crowd) Swap(i, k int) {
	c.heap[i], c.heap[k] = c.heap[k], c.heap[i]
	c.heap[i].at, c.heap[k].at = i, k
}

func (c *crowd) Push(x any) {
	a := x.(*address)
	a.at = len(c.heap)
	c.heap = append(c.heap, a)
}

func (c *crowd) Pop() any {
	last := len(c.heap) - 1
	a := c.heap[last]
	c.heap[last] = nil
	c.heap = c.heap[:last]
	return a
}
