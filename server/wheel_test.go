package server

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// bare is a loop without a poller or clients, for its data structures.
func bare() *loop {
	l := &loop{server: &Server{}}
	l.server.memory.limit.Store(math.MaxInt64)
	return l
}

// TestWheel: against a list of who is due when, with clients that are planned,
// planned again and unplanned at random, and time that stands still or leaps.
func TestWheel(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		l := bare()
		l.wheel.now = uint32(r.IntN(1000))
		twin := map[uint32]uint32{}
		for range 300 { // nobody asks a dead one anything
			_, c := l.clients.alloc()
			c.state = stateDead
		}
		for range 2000 {
			slot := uint32(r.IntN(300))
			c := l.clients.at(slot)
			switch k := r.IntN(20); {
			case k < 12:
				at := l.wheel.now + uint32(r.IntN(400)) // also the past and what is too far off
				l.plan(slot, c, at)
				twin[slot] = min(max(at, l.wheel.now+1), l.wheel.now+wheelSize-1)
			case k < 15:
				l.unplan(slot, c)
				delete(twin, slot)
			default:
				leap := r.IntN(5)
				if k == 19 {
					leap = r.IntN(1000)
				}
				now := l.wheel.now + uint32(leap)
				l.turnWheel(now)
				for l.wheel.looking() { // in slices of any size
					l.lookOn(1 + r.IntN(40))
				}
				if l.wheel.now != now {
					t.Fatalf("it is %d, want %d", l.wheel.now, now)
				}
				for slot, at := range twin {
					if at <= now {
						delete(twin, slot)
					}
				}
			}
			for slot := range uint32(300) {
				at, planned := twin[slot]
				if due := l.clients.at(slot).due; planned != (due != 0) || planned && uint32(due-1) != at%wheelSize {
					t.Fatalf("seed %d, tick %d: client %d is in bucket %d, want tick %d (%v)", seed, l.wheel.now, slot, due, at, planned)
				}
			}
		}
	}
}

// TestWheelSlices: while a crowd is being looked at little by little, its
// clients speak, are planned again, and time goes on. Nobody is forgotten, or
// looked at too late.
func TestWheelSlices(t *testing.T) {
	const crowd = 2000
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(seed, 3))
		l := bare()
		l.tick = 10 * time.Millisecond
		l.server.cfg.HandshakeTimeout = time.Duration(20+r.IntN(400)) * l.tick
		limit := l.timeout(l.server.cfg.HandshakeTimeout)
		for slot := range uint32(crowd) {
			_, c := l.clients.alloc()
			c.state = stateJoining
			l.plan(slot, c, limit)
		}
		for range 300 {
			// Whose time would be over speaks just before.
			now := l.wheel.now + uint32(r.IntN(30))
			for slot := range uint32(crowd) {
				if c := l.clients.at(slot); c.stamp+limit <= now {
					c.stamp = now - uint32(r.IntN(5))
				}
			}
			l.turnWheel(now)
			for range r.IntN(12) { // it may lag behind for many ticks
				l.lookOn(lookSlice)
				slot := uint32(r.IntN(crowd))
				l.plan(slot, l.clients.at(slot), now+uint32(r.IntN(300)))
			}
		}
		for l.wheel.looking() {
			l.lookOn(lookSlice)
		}
		for slot := range uint32(crowd) {
			c := l.clients.at(slot)
			if c.due == 0 || c.state != stateJoining {
				t.Fatalf("seed %d: client %d is forgotten", seed, slot)
			}
		}
	}
}

// TestSlab: against a map, with slots that are given back and events that come late.
func TestSlab(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	var s slab
	type live struct {
		slot, generation uint32
		c                *client
	}
	var all, gone []live
	used := map[uint32]bool{}
	for i := range 20_000 {
		if r.IntN(5) < 3 || len(all) == 0 {
			slot, c := s.alloc()
			if used[slot] || c.generation == 0 || c.state != stateFree || c.fd != 0 || c.extra != 0 || c.flags != 0 || slot >= s.size() || s.at(slot) != c {
				t.Fatalf("slot %d: %+v", slot, c)
			}
			used[slot] = true
			c.state, c.fd, c.extra, c.flags = stateOpen, int32(i), 7, 3
			all = append(all, live{slot, c.generation, c})
		} else {
			k := r.IntN(len(all))
			old := all[k]
			s.release(old.slot)
			delete(used, old.slot)
			all[k] = all[len(all)-1]
			all = all[:len(all)-1]
			gone = append(gone, old)
		}
		if s.used != len(all) {
			t.Fatalf("%d used, want %d", s.used, len(all))
		}
	}
	for _, x := range all {
		if c := s.find(x.c.token(x.slot)); c != x.c || c.generation != x.generation {
			t.Fatalf("slot %d is not found", x.slot)
		}
	}
	for _, x := range gone {
		old := client{generation: x.generation}
		if c := s.find(old.token(x.slot)); c != nil {
			t.Fatalf("slot %d, generation %d: found %+v", x.slot, x.generation, c)
		}
	}
	if limit := (len(all) + len(gone)); int(s.size()) > limit+chunkSize {
		t.Errorf("%d slots for at most %d clients", s.size(), limit)
	}
}

// TestGenerationWraps: generation 0 is the listeners', so no client gets it.
func TestGenerationWraps(t *testing.T) {
	var s slab
	slot, c := s.alloc()
	c.generation = 1<<32 - 1
	s.release(slot)
	if again, c := s.alloc(); again != slot || c.generation != 1 {
		t.Errorf("slot %d, generation %d", again, c.generation)
	}
}

// TestTicks: no time-out is ever shorter than asked for.
func TestTicks(t *testing.T) {
	l := bare()
	for _, tick := range []int64{1, 10, 333, 1000} {
		l.tick = time.Duration(tick) * time.Millisecond
		for d := range time.Duration(2500) {
			if n := int64(l.timeout(d * time.Millisecond)); (n-1)*tick < int64(d) || (n-2)*tick >= int64(d) && d > 0 {
				t.Fatalf("%d ticks of %d ms for %d ms", n, tick, d)
			}
			if n := int64(l.ticks(d * time.Millisecond)); n != int64(d)/tick {
				t.Fatalf("%d ticks of %d ms passed after %d ms", n, tick, d)
			}
		}
		if l.timeout(1<<62) < 1<<30 {
			t.Error("a very long time-out has become a short one")
		}
	}
}
