package server

import (
	"math/rand/v2"
	"testing"
)

// traced notes when a walk is done with a slot, which is when it asks for the next.
type traced struct {
	slots
	at   uint32
	done func(slot uint32)
}

func (s *traced) HasNext() bool {
	if s.at > 0 {
		s.done(s.at - 1)
	}
	return s.slots.HasNext()
}

func (s *traced) Next() uint32 {
	slot := s.slots.Next()
	s.at = slot + 1
	return slot
}

// TestWalkOrder: whatever the walks are for, all, a few or one far behind, and
// whenever they begin, no slot is passed by a younger walk before an older one
// that has it, too.
func TestWalkOrder(t *testing.T) {
	for seed := range uint64(200) {
		s := newSite(t, Config{Listen: []string{"none"}, Loops: 1})
		l := s.loops[0]
		r := rand.New(rand.NewPCG(seed, 5))
		size := 50 + uint32(r.IntN(150))
		for range size {
			if slot, c := l.clients.alloc(); r.IntN(3) > 0 || slot%40 < 20 {
				c.state = stateOpen
			}
		}
		last := make([]int, l.clients.size()) // the youngest walk that is done with a slot
		started := 0
		begin := func() {
			started++
			number := started
			trace := &traced{done: func(slot uint32) {
				if last[slot] > number {
					t.Errorf("seed %d: walk %d passes slot %d after walk %d", seed, number, slot, last[slot])
				}
				last[slot] = number
			}}
			if trace.slots = (&everySlot{end: size}); r.IntN(2) > 0 {
				some := someSlots{}
				for slot := uint32(r.IntN(40)); slot < size; slot += 1 + uint32(r.IntN(80)) {
					some = append(some, slot)
				}
				trace.slots = &some
			}
			w := &walk{d: &delivery{deadline: 1}, slots: trace, began: instant()} // too late for anybody: nothing is written
			w.d.left.Store(2)
			if w.advance(); w.more {
				l.walks = append(l.walks, w)
			}
		}
		for range 60 {
			if r.IntN(2) > 0 {
				begin()
			}
			l.walks = l.walk(l.walks)
		}
		for len(l.walks) > 0 {
			l.walks = l.walk(l.walks)
		}
		l.clients = slab{}
		s.stop()
		if t.Failed() {
			return
		}
	}
}
