package server

import (
	"testing"
)

// TestShed: when clients make the server hold too much in all, whoever holds the
// most goes, or has messages dropped, by the policy; who holds little is not
// touched, be it a message or an answer that was too much.
func TestShed(t *testing.T) {
	const total = 1 << 20
	for policy := range policyNames {
		for _, what := range []string{"message", "answer"} {
			t.Run(Policy(policy).String()+" "+what, func(t *testing.T) {
				s := start(t, Config{Loops: 1, SlowConsumer: Policy(policy), PendingLimit: total, PendingTotal: total, CloseTimeout: briefly})
				s.dialMany(3)
				s.each(func(l *loop) {
					open := l.openSlots()
					waits := func(slot uint32, size int) {
						d := &delivery{frame: make([]byte, size)}
						l.enqueue(slot, l.clients.at(slot), node{data: d.frame, from: d, drop: true})
						l.count.n[nQueued]++
					}
					waits(open[0], total/4)
					waits(open[1], total/4)
					waits(open[1], total/4)
					light := l.clients.at(open[2])
					waits(open[2], 100)
					if l.shed(); l.clients.at(open[1]).state != stateOpen {
						t.Fatal("somebody has to go within the limit")
					}
					if what == "message" {
						waits(open[2], total/4)
					} else {
						l.enqueue(open[2], light, node{data: make([]byte, total/4)})
					}
					l.shed()
					if n := s.memory.held.Load(); n > total {
						t.Errorf("%d bytes are held", n)
					}
					if light.state != stateOpen || l.clients.at(open[0]).state != stateOpen {
						t.Error("the lighter ones paid")
					}
					heavy := l.clients.at(open[1])
					if closed := heavy.state != stateOpen; closed != (Policy(policy) == CloseSlow) {
						t.Errorf("the heaviest is closed: %v", closed)
					}
					switch n := l.count.n; {
					case Policy(policy) == CloseSlow && (n[nLost] != 2 || n[nEvicted] != 0 || l.count.closes[ReasonMemory] != 1):
						t.Errorf("%d lost and %d evicted, want 2 and none", n[nLost], n[nEvicted])
					case Policy(policy) != CloseSlow && (n[nLost] != 0 || n[nEvicted] != 1 || l.count.dropped[policy] != 1):
						t.Errorf("%d lost, %d evicted, %v dropped, want one", n[nLost], n[nEvicted], l.count.dropped)
					}
					sum := int64(0)
					for slot := range l.clients.size() {
						sum += int64(l.clients.at(slot).pending)
					}
					if got := s.memory.held.Load(); got != sum {
						t.Errorf("%d bytes are counted, %d wait", got, sum)
					}
				})
			})
		}
	}
}

func (l *loop) openSlots() (open []uint32) {
	for slot := range l.clients.size() {
		if l.clients.at(slot).state == stateOpen {
			open = append(open, slot)
		}
	}
	return open
}

// TestCoalesceWithoutRoom: a newer value that there is no room for does not take
// the older one along, and one that fits in its place needs no other room.
func TestCoalesceWithoutRoom(t *testing.T) {
	const limit = 2048
	s := start(t, Config{Loops: 1, SlowConsumer: DropNew, PendingLimit: limit, CloseTimeout: briefly})
	s.dial()
	s.each(func(l *loop) {
		slot := uint32(0)
		for l.clients.at(slot).state != stateOpen {
			slot++
		}
		c := l.clients.at(slot)
		offer := func(size int, key string) (queued int) {
			w := &walk{d: &delivery{frame: make([]byte, size), coalesce: key}}
			l.offer(w, slot, c)
			l.count.n[nQueued] += uint64(w.queued)
			return int(w.queued)
		}
		l.enqueue(slot, c, node{data: make([]byte, 300), from: &delivery{}, drop: true})
		l.count.n[nQueued]++
		for i, step := range []struct{ size, queued, pending int }{
			{1200, 1, 300 + 1200 + 2*nodeCost},
			{1800, 0, 300 + 1200 + 2*nodeCost}, // no room: the older one stays
			{1600, 1, 300 + 1600 + 2*nodeCost}, // fits in its place only
		} {
			if queued := offer(step.size, "k"); queued != step.queued || int(c.pending) != step.pending {
				t.Errorf("step %d: %d queued, %d bytes wait, want %+v", i, queued, c.pending, step)
			}
		}
	})
}
