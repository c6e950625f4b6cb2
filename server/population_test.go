package server

import (
	"math/rand/v2"
	"net/netip"
	"testing"
)

// TestPopulation: whatever a connection takes up, and from whatever state it
// goes, nothing of it is left, and who waits for the last is told.
func TestPopulation(t *testing.T) {
	s := newSite(t, Config{Loops: 1, Listen: []string{"none"}, MaxPerAddress: 10})
	defer s.stop()
	l, p := s.loops[0], &s.population
	peer := netip.MustParseAddrPort("10.0.0.1:1")
	counts := func() [4]int64 {
		return [4]int64{p.connected.Load(), p.joining.Load(), p.refused.Load(), int64(len(p.shares.counts))}
	}
	come := func(refuse bool) newcomer {
		n := newcomer{fd: -1, id: s.newID(), peer: peer, refuse: refuse, share: !refuse}
		if n.share {
			p.shares.add(peer)
		}
		p.enter(n.place())
		return n
	}
	gone := func(what string) {
		t.Helper()
		if got := counts(); got != [4]int64{} {
			t.Errorf("%s: %d are connected, %d joining, %d refused, %d shares", what, got[0], got[1], got[2], got[3])
		}
		select {
		case <-p.empty:
		default:
			t.Errorf("%s: nobody was told that the last is gone", what)
		}
	}
	for _, refuse := range []bool{false, true} {
		n := come(refuse)
		if got, want := counts(), [4]int64{1, one(!refuse), one(refuse), one(!refuse)}; got != want {
			t.Errorf("refused %v: %v, want %v", refuse, got, want)
		}
		p.leave(n.place())
		gone("a newcomer")
		for to := stateJoining; to < stateDead; to++ {
			n := come(refuse)
			slot, c := l.clients.alloc()
			c.id, c.fd, c.addr, c.port = n.id, -1, peer.Addr().As16(), peer.Port()
			if refuse {
				c.set(flagRefused)
			} else {
				c.set(flagCounted)
			}
			l.setState(c, to)
			if got, want := counts(), [4]int64{1, one(!refuse && to == stateJoining), one(refuse), one(!refuse)}; got != want {
				t.Errorf("state %d, refused %v: %v, want %v", to, refuse, got, want)
			}
			if l.count.states[to] != 1 {
				t.Errorf("state %d: %v", to, l.count.states)
			}
			l.remove(slot, c)
			l.free(slot, c)
			gone("a client")
		}
	}
	if l.count.states != (states{}) {
		t.Errorf("%v are left", l.count.states)
	}
}

// TestSlabBounds: what says where the clients of a slab end, and that there are some,
// is true of those that are in it, and is as little as can be once it is empty.
func TestSlabBounds(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var s slab
	used := map[uint32]bool{}
	for step := range 20000 {
		if fill := step / 1000 % 2; len(used) > 0 && r.IntN(3) > fill {
			for slot := range used {
				s.release(slot)
				delete(used, slot)
				break
			}
		} else {
			slot, _ := s.alloc()
			used[slot] = true
		}
		if s.some.Load() != (len(used) > 0) {
			t.Fatalf("%d are in use; some: %v", len(used), s.some.Load())
		}
		if len(used) == 0 && s.end != 0 {
			t.Fatalf("nobody is there, before slot %d", s.end)
		}
		for slot := range used {
			if slot >= s.end {
				t.Fatalf("slot %d is in use, not before %d", slot, s.end)
			}
		}
	}
}
