package server

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"
)

// waiting is a queued message as the twin sees it. One that may be dropped is
// published: until it is gone, all of its frame is in memory.
type waiting struct {
	data  []byte
	frame int // bytes, if it is published
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
		cfg.PendingLimit, cfg.SlowConsumer = 4000, DropOld
		const n = 5
		var twins [n][]waiting
		var clients [n]*client
		for i := range clients {
			_, clients[i] = l.clients.alloc()
			clients[i].state = stateOpen
		}
		total := func() (sum int) {
			for _, q := range twins {
				sum += memoryOf(q)
			}
			return sum
		}
		for step := range 5000 {
			i := r.IntN(n)
			c, q := clients[i], &twins[i]
			slot := uint32(i)
			fits := func(size int) bool {
				return bytesOf(*q) == 0 || bytesOf(*q)+size+nodeCost <= cfg.PendingLimit
			}
			switch r.IntN(8) {
			case 0, 1, 2:
				w := waiting{data: bytes.Repeat([]byte{byte(step)}, 1+r.IntN(400)), drop: r.IntN(3) > 0, since: l.wheel.now}
				nd := node{data: w.data, drop: w.drop}
				if w.drop {
					nd.from, w.frame = &delivery{frame: w.data}, len(w.data)
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
			if got := l.server.memory.held.Load(); got != int64(total()) {
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

// TestLatest: for each key only the latest value waits, whatever else is queued,
// sent in part or dropped in between; against a plain slice. The index holds
// what waits and nothing else.
func TestLatest(t *testing.T) {
	type valued struct {
		key  string
		n    int
		part bool // sent in part
	}
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 4))
		l := bare()
		l.tick = time.Millisecond
		l.server.cfg.PendingLimit = mostBytes
		var clients [3]*client
		var twins [3][]valued
		for i := range clients {
			_, clients[i] = l.clients.alloc()
		}
		for step := range 3000 {
			i := r.IntN(len(clients))
			c, q := clients[i], &twins[i]
			switch k := r.IntN(10); {
			case k < 6:
				v := valued{key: []string{"", "a", "b", "c"}[r.IntN(4)], n: step}
				d := &delivery{frame: fmt.Appendf(nil, "%06d", step), coalesce: v.key}
				if v.key != "" {
					l.coalesce(c, d)
					*q = slices.DeleteFunc(*q, func(o valued) bool { return o.key == v.key && !o.part })
				}
				l.enqueue(uint32(i), c, node{data: d.frame, from: d, drop: true})
				*q = append(*q, v)
			case k < 9 && len(*q) > 0:
				if first := l.queue.at(c.head); len(first.data) == 6 && r.IntN(2) == 0 {
					l.sent(c, 2)
					(*q)[0].part = true
				} else {
					l.sent(c, len(first.data))
					*q = (*q)[1:]
				}
			case k == 9 && r.IntN(10) == 0:
				l.dropQueue(c, true)
				*q = nil
			}
			n := c.head
			for _, v := range *q {
				if want := fmt.Sprintf("%06d", v.n); n == 0 || !strings.HasSuffix(want, string(l.queue.at(n).data)) {
					t.Fatalf("seed %d, step %d: message %d does not wait where it should", seed, step, v.n)
				}
				n = l.queue.at(n).next
			}
			if n != 0 {
				t.Fatalf("seed %d, step %d: a message too many", seed, step)
			}
		}
		for _, c := range clients {
			l.dropQueue(c, true)
		}
		if len(l.queue.latest) != 0 || l.queue.used != 0 {
			t.Errorf("seed %d: the index remembers %d of nothing", seed, len(l.queue.latest))
		}
	}
}

// TestCoalesceCost: what a newer value costs does not grow with the queue. Looked
// for in 100,000 waiting messages, a million of them would take minutes.
func TestCoalesceCost(t *testing.T) {
	l := bare()
	l.tick = time.Millisecond
	_, c := l.clients.alloc()
	key := &delivery{frame: []byte("v"), coalesce: "key"}
	other := &delivery{frame: []byte("o")}
	l.enqueue(0, c, node{data: key.frame, from: key, drop: true})
	for range 100_000 {
		l.enqueue(0, c, node{data: other.frame, from: other, drop: true})
	}
	for range 1_000_000 {
		l.coalesce(c, key)
		l.enqueue(0, c, node{data: key.frame, from: key, drop: true})
	}
	if l.count.n[nCoalesced] != 1_000_000 || l.queue.used != 100_001 || l.queue.at(c.tail).from != key {
		t.Errorf("%d replaced, %d wait", l.count.n[nCoalesced], l.queue.used)
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
		cfg.PendingLimit, cfg.SlowConsumer = 64<<10, policy
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
		if l.dropQueue(c, true); c.pending != 0 || l.server.memory.held.Load() != 0 {
			t.Errorf("%v: %d bytes of nothing", policy, c.pending)
		}
	}
}

// memoryOf is what they take.
func memoryOf(q []waiting) (sum int) {
	for _, w := range q {
		sum += max(w.frame, len(w.data)) + nodeCost
	}
	return sum
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
		if l.queue.at(n).prev != last {
			t.Fatalf("node %d is behind %d, and says %d", n, last, l.queue.at(n).prev)
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
