package server

import (
	"math"
	"net/netip"
	"sync"
	"sync/atomic"
)

// population counts the connections of a server and the places that they take,
// from their accept to the close of their descriptor: enter, then move for what
// changes, then leave. It is safe for concurrent use.
type population struct {
	connected atomic.Int64 // sockets, whatever their state
	joining   atomic.Int64
	refused   atomic.Int64
	shares    shares
	empty     chan struct{} // gets a token when the last one leaves
}

// place is what one connection takes up.
type place struct {
	joining bool // a handshake under way
	refused bool // one of those kept for saying no, and no client's
	share   bool // one of its address's share: shares.enter
	addr    [16]byte
}

// clients is how many places of clients are taken.
func (p *population) clients() int64 { return p.connected.Load() - p.refused.Load() }

// enter counts a connection in. What it has of a share it has already.
func (p *population) enter(at place) {
	p.connected.Add(1)
	p.joining.Add(one(at.joining))
	p.refused.Add(one(at.refused))
}

// move notes that a connection takes something else now. A share can only be
// given up.
func (p *population) move(from, to place) {
	if from.joining != to.joining {
		p.joining.Add(one(to.joining) - one(from.joining))
	}
	if from.refused != to.refused {
		p.refused.Add(one(to.refused) - one(from.refused))
	}
	if from.share && !to.share {
		p.shares.leave(from.addr)
	}
}

// leave counts a connection out.
func (p *population) leave(from place) {
	p.move(from, place{})
	if p.connected.Add(-1) == 0 {
		select {
		case p.empty <- struct{}{}:
		default: // there is a token already
		}
	}
}

func one(yes bool) int64 {
	if yes {
		return 1
	}
	return 0
}

// states counts a loop's clients by their state, the free and the dead left out.
type states [stateDead + 1]int64

func (n *states) move(from, to state) {
	if from != stateFree {
		n[from]--
	}
	if to != stateDead {
		n[to]++
	}
}

// place is what the client takes up now. A record that has no state yet is a
// newcomer's.
func (c *client) place() place {
	if c.state == stateDead {
		return place{}
	}
	refused := c.is(flagRefused)
	return place{joining: c.state <= stateJoining && !refused, refused: refused, share: c.is(flagCounted), addr: c.addr}
}

// place is what the newcomer takes up until it has a record.
func (n *newcomer) place() place {
	return place{joining: !n.refuse, refused: n.refuse, share: n.share, addr: n.peer.Addr().As16()}
}

// shares counts the clients of each address. An IPv6 host has a /64 of them.
type shares struct {
	mu     sync.Mutex
	counts map[[16]byte]int
}

func shareKey(addr [16]byte) [16]byte {
	if !netip.AddrFrom16(addr).Is4In6() {
		clear(addr[8:])
	}
	return addr
}

// enter counts one more client of the peer's address, unless its share is
// used up. Unix sockets have no address and no bound.
func (s *shares) enter(peer netip.AddrPort, limit int) bool {
	if limit <= 0 || !peer.IsValid() {
		return true
	}
	key := shareKey(peer.Addr().As16())
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counts[key] >= limit {
		return false
	}
	if s.counts == nil {
		s.counts = make(map[[16]byte]int)
	}
	s.counts[key]++
	return true
}

// add counts one more client without asking.
func (s *shares) add(peer netip.AddrPort) { s.enter(peer, math.MaxInt) }

func (s *shares) leave(addr [16]byte) {
	key := shareKey(addr)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counts[key]--; s.counts[key] <= 0 {
		delete(s.counts, key)
	}
}
