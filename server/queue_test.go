package server

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"
)

// waiting is a queued message as the twin sees it.
type waiting struct {
	data  []byte
	drop  bool
	since uint32
}

// TestQueue: the send queues of several clients against plain slices, with
// messages that come, are sent in pieces, and are dropped in every way.
func TestQueue(t *testing.T) {
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(seed, 3))
		l := bare()
		l.tick = time.Millisecond
		cfg := &l.server.cfg
		cfg.PendingLimit, cfg.PendingTotal, cfg.SlowConsumer = 4000, 25_000, DropOld
		const n = 5
		var twins [n][]waiting
		var clients [n]*client
		for i := range clients {
			_, clients[i] = l.clients.alloc()
			clients[i].state = stateOpen
		}
		total := func() (sum int) {
			for _, q := range twins {
				sum += bytesOf(q)
			}
			return sum
		}
		for step := range 5000 {
			i := r.IntN(n)
			c, q := clients[i], &twins[i]
			slot := uint32(i)
			fits := func(size int) bool {
				size += nodeCost
				return (bytesOf(*q) == 0 || bytesOf(*q)+size <= cfg.PendingLimit) && int64(total()+size) <= cfg.PendingTotal
			}
			switch r.IntN(8) {
			case 0, 1, 2:
				w := waiting{bytes.Repeat([]byte{byte(step)}, 1+r.IntN(400)), r.IntN(3) > 0, l.wheel.now}
				nd := node{data: w.data, drop: w.drop}
				if w.drop {
					nd.from = &delivery{}
				}
				l.enqueue(slot, c, nd)
				*q = append(*q, w)
			case 3, 4:
				k := r.IntN(bytesOf(*q) - nodeCost*len(*q) + 1)
				l.sent(c, k)
				for k > 0 {
					first := &(*q)[0]
					if k < len(first.data) {
						first.data, first.drop, k = first.data[k:], false, 0
						continue
					}
					k -= len(first.data)
					*q = (*q)[1:]
				}
			case 5:
				size := r.IntN(4000)
				l.dropOldest(c, size)
				for k := 0; k < len(*q) && !fits(size); {
					if (*q)[k].drop {
						*q = append((*q)[:k:k], (*q)[k+1:]...)
					} else {
						k++
					}
				}
				if l.fits(c, size) != fits(size) {
					t.Fatalf("seed %d, step %d: they disagree whether %d bytes fit", seed, step, size)
				}
			case 6:
				l.wheel.now += uint32(r.IntN(3))
				l.dropAged(c, 20)
				var kept []waiting
				for _, w := range *q {
					if !w.drop || l.wheel.now-w.since < 20 {
						kept = append(kept, w)
					}
				}
				*q = kept
			case 7:
				if all := r.IntN(20) == 0; all || r.IntN(10) == 0 {
					l.dropQueue(c, all)
					rest := *q
					*q = nil
					for _, w := range rest {
						if !all && !w.drop { // it may be sent in part
							*q = []waiting{w}
							break
						}
					}
				}
			}
			same(t, l, c, *q)
			if got := l.server.pending.Load(); got != int64(total()) {
				t.Fatalf("seed %d, step %d: %d bytes in all, want %d", seed, step, got, total())
			}
		}
		used := 0
		for _, q := range twins {
			used += len(q)
		}
		if l.queue.used != used {
			t.Fatalf("%d nodes in use, want %d", l.queue.used, used)
		}
	}
}

// bytesOf is what the limits see: the messages, and a node for each.
func bytesOf(q []waiting) (sum int) {
	for _, w := range q {
		sum += len(w.data) + nodeCost
	}
	return sum
}

// TestNodesCount: many tiny messages are bounded by what they cost, not by what
// they say.
func TestNodesCount(t *testing.T) {
	if size := unsafe.Sizeof(node{}); size != nodeCost {
		t.Fatalf("a node is %d bytes, %d are counted", size, nodeCost)
	}
	for _, policy := range []Policy{DropNew, DropOld} {
		l := bare()
		l.tick = time.Millisecond
		cfg := &l.server.cfg
		cfg.PendingLimit, cfg.PendingTotal, cfg.SlowConsumer = 64<<10, 1<<20, policy
		slot, c := l.clients.alloc()
		c.state = stateOpen
		d := &delivery{frame: []byte("x\n")}
		for range 1 << 16 {
			if l.room(slot, c, len(d.frame)) {
				l.enqueue(slot, c, node{data: d.frame, from: d, drop: true})
			}
		}
		if most := cfg.PendingLimit / nodeCost; l.queue.used > most || l.queue.used < most/2 || int(c.pending) > cfg.PendingLimit {
			t.Errorf("%v: %d messages of two bytes wait, and count %d; the limit is %d bytes", policy, l.queue.used, c.pending, cfg.PendingLimit)
		}
		if l.dropQueue(c, true); c.pending != 0 || l.server.pending.Load() != 0 {
			t.Errorf("%v: %d bytes of nothing", policy, c.pending)
		}
	}
}

func same(t *testing.T, l *loop, c *client, q []waiting) {
	t.Helper()
	n, last := c.head, uint32(0)
	for _, w := range q {
		if n == 0 {
			t.Fatal("a message is missing")
		}
		if nd := l.queue.at(n); !bytes.Equal(nd.data, w.data) || nd.drop != w.drop || nd.since != w.since {
			t.Fatalf("%d bytes (%v, tick %d) wait, want %d (%v, tick %d)", len(nd.data), nd.drop, nd.since, len(w.data), w.drop, w.since)
		}
		n, last = l.queue.at(n).next, n
	}
	if n != 0 {
		t.Fatal("there is a message too many")
	}
	if len(q) > 0 && c.tail != last || int(c.pending) != bytesOf(q) {
		t.Fatalf("tail %d, want %d; %d bytes, want %d", c.tail, last, c.pending, bytesOf(q))
	}
}

// TestQueueMemory: nodes are used again, and the memory of a jam is given back
// once it is over.
func TestQueueMemory(t *testing.T) {
	var q queue
	for range 3 {
		var nodes []uint32
		seen := map[uint32]bool{}
		for range 20 * queueChunk {
			n := q.alloc()
			if n == 0 || seen[n] {
				t.Fatalf("node %d twice", n)
			}
			seen[n] = true
			q.at(n).data = []byte("x")
			nodes = append(nodes, n)
		}
		if len(q.chunks) != 20 {
			t.Fatalf("%d chunks", len(q.chunks))
		}
		for _, n := range nodes {
			q.release(n)
		}
		if q.used != 0 || len(q.chunks) != 0 {
			t.Fatalf("%d nodes, %d chunks", q.used, len(q.chunks))
		}
	}
}
