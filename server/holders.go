package server

import (
	"math/bits"
	"sync/atomic"
)

// holders are the clients of a loop that make it hold something, in lists by how
// much that is: who holds the most is found, and put elsewhere when that changes,
// in the same time however many they are. A list is in the order in which they
// came to hold so much, so the first of the last one is who has to go first.
type holders struct {
	lists [weights]struct{ first, last uint32 } // extras, by number
	top   uint8                                 // the last list with anybody in it, 0: nobody holds anything
	// rank is that of the first in the top list: read by other loops.
	rank atomic.Uint64
}

// weights is how many lists there are: each power of two is cut in four, so that
// two in one list differ by a quarter at most. List 0 is not used.
const weights = 4*32 + 1

// weight is the list of who holds n > 0 bytes.
func weight(n int) uint8 {
	k := bits.Len(uint(n)) - 1 // 2^k <= n
	return uint8(min(4*k+n<<2>>k-4, weights-2)) + 1
}

// rankOf orders holders of different loops: by weight, then by age. The ticks of
// the loops began together, or nearly.
func rankOf(weight uint8, since uint32) uint64 { return uint64(weight)<<32 | uint64(^since) }

// holds is what the client makes the server hold, in bytes: a published message
// that waits for it counts whole, whoever else it waits for.
func (l *loop) holds(c *client) int {
	n := int(c.pending)
	if e := l.extras.of(c); e != nil {
		n += cap(e.leftover) + len(e.waiting) + int(e.beyond)
		if e.call != nil {
			n += e.call.size
		}
	}
	return n
}

// weigh puts the client, which has an extra if it holds anything, into the list
// of what it holds now. It is called whenever that has changed, and frees an extra
// that is not needed any more.
func (l *loop) weigh(c *client) {
	e := l.extras.of(c)
	if e == nil {
		return
	}
	w := uint8(0)
	if n := l.holds(c); n > 0 {
		w = weight(n)
	}
	if e.weight != w {
		l.heavier = l.heavier || w > e.weight
		l.holders.leave(&l.extras, c.extra, e)
		if w > 0 {
			l.holders.enter(&l.extras, c.extra, e, w, l.wheel.now)
		}
	}
	l.extras.tidy(c)
}

func (h *holders) enter(x *extras, n uint32, e *extra, w uint8, now uint32) {
	list := &h.lists[w]
	e.weight, e.since, e.before, e.after = w, now, list.last, 0
	if list.last == 0 {
		list.first = n
	} else {
		x.at(list.last).after = n
	}
	list.last = n
	if h.top = max(h.top, w); list.first == n && h.top == w {
		h.publish(x)
	}
}

func (h *holders) leave(x *extras, n uint32, e *extra) {
	if e.weight == 0 {
		return
	}
	list, w := &h.lists[e.weight], e.weight
	was := list.first
	if e.before == 0 {
		list.first = e.after
	} else {
		x.at(e.before).after = e.after
	}
	if e.after == 0 {
		list.last = e.before
	} else {
		x.at(e.after).before = e.before
	}
	e.weight, e.before, e.after = 0, 0, 0
	if w == h.top && was == n {
		for h.top > 0 && h.lists[h.top].first == 0 {
			h.top--
		}
		h.publish(x)
	}
}

// publish tells the other loops who holds the most here.
func (h *holders) publish(x *extras) {
	rank := uint64(0)
	if h.top > 0 {
		rank = rankOf(h.top, x.at(h.lists[h.top].first).since)
	}
	h.rank.Store(rank)
}

// heaviest is who holds the most, and of several with as much who has for the
// longest; nil if nobody holds anything.
func (l *loop) heaviest() (slot uint32, c *client) {
	h := &l.holders
	if h.top == 0 {
		return 0, nil
	}
	slot = l.extras.at(h.lists[h.top].first).slot
	return slot, l.clients.at(slot)
}
