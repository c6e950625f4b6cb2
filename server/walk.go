package server

import (
	"math"
	"slices"
	"time"
)

// walk is a loop's part of a delivery: a cursor over slots, in rising order.
type walk struct {
	d     *delivery
	slots slots
	at    uint32 // the next slot to serve
	more  bool   // whether at is a slot
	began int64  // instant: clients that came later do not get it

	matched, sent, queued, dropped, expired int64
}

// slots yields slots in rising order.
type slots interface {
	HasNext() bool
	Next() uint32
}

func (w *walk) advance() {
	if w.more = w.slots.HasNext(); w.more {
		w.at = w.slots.Next()
	}
}

// everySlot yields 0 to end-1.
type everySlot struct{ next, end uint32 }

func (e *everySlot) HasNext() bool { return e.next < e.end }
func (e *everySlot) Next() uint32  { e.next++; return e.next - 1 }

// someSlots yields a sorted list.
type someSlots []uint32

func (s *someSlots) HasNext() bool { return len(*s) > 0 }
func (s *someSlots) Next() uint32  { first := (*s)[0]; *s = (*s)[1:]; return first }

// deliver begins the loop's walk.
func (l *loop) deliver(d *delivery) {
	w := &walk{d: d, slots: l.matching(d.target), began: instant()}
	w.advance()
	list := &l.walks
	if d.fan > 0 {
		list = &l.fans
	}
	*list = append(*list, w)
}

func (l *loop) matching(t Target) slots {
	if t.all {
		return &everySlot{end: l.clients.end}
	}
	if len(t.topics) > 0 {
		if b := l.topics.Subscribers(t.topics...); b != nil {
			return b.Iterator()
		}
		return &someSlots{}
	}
	var found someSlots
	for _, name := range t.users {
		found = l.appendUser(found, name)
	}
	for _, id := range t.clients {
		if l.server.loopOf(id) != l.number {
			continue
		}
		if slot, ok := l.byID.find(id); ok {
			found = append(found, slot)
		}
	}
	slices.Sort(found)
	found = slices.Compact(found)
	return &found
}

const (
	// walkSlice is how many clients all walks together serve in one turn, at most
	// one of each if they are more: some 60 µs of writing. It is what a heartbeat
	// waits for beside publishes. With 32 the p99 was 2.4 times that without
	// publishes, with 16 1.8 times, with 8 1.2 times; a delivery took the same time,
	// since the polls in between cost less than the noise (bench/publish.sh).
	walkSlice = 8
	// walksAtOnce is how many of them are moved on; younger ones wait.
	walksAtOnce = 16
)

// walk moves the oldest walks of a list on a little. A younger one never overtakes
// an older one, so each client gets a list's messages in their order.
func (l *loop) walk(walks []*walk) []*walk {
	if len(walks) == 0 {
		return walks
	}
	moving, waiting := walks, walks[len(walks):]
	if len(moving) > walksAtOnce {
		moving, waiting = moving[:walksAtOnce], moving[walksAtOnce:]
	}
	share := max(1, walkSlice/len(moving))
	limit := uint32(math.MaxUint32)
	going := walks[:0]
	for _, w := range moving {
		l.stride(w, share, limit)
		if w.more {
			limit = min(limit, w.at) // one for a few may be further on than who is before it
			going = append(going, w)
		} else {
			l.arrived(w)
		}
	}
	if len(going) == len(moving) {
		return walks
	}
	going = append(going, waiting...)
	clear(walks[len(going):])
	return going
}

// stride serves up to n clients of a walk, in slots before limit. Slots that
// are passed over cost little, and count little.
func (l *loop) stride(w *walk, n int, limit uint32) {
	late := w.d.deadline != 0 && instant() >= w.d.deadline
	for looks := 16 * n; n > 0 && looks > 0 && w.more && w.at < limit; looks-- {
		if c := l.clients.at(w.at); c.state == stateOpen && c.since <= w.began && w.concerns(l, c) {
			n--
			w.matched++
			switch {
			case w.d.closing != nil:
				l.close(w.at, c, w.d.closing.why, w.d.closing.code, w.d.closing.reason)
			case late:
				w.expired++
			default:
				l.offer(w, w.at, c)
			}
		}
		w.advance()
	}
}

// concerns says whether the walk is for a client that it meets: who has still to
// prove who they are gets nothing, and can be closed.
func (w *walk) concerns(l *loop, c *client) bool {
	if w.d.closing == nil {
		return !c.is(flagUnproven)
	}
	return w.d.closing.only == nil || w.d.closing.only(l, w.at, c)
}

// appendUser adds the slots of a user's clients.
func (l *loop) appendUser(found []uint32, name string) []uint32 {
	for next := l.server.users.first(l.server.users.hash(name), l.number); next != 0; {
		id := l.idents.at(next - 1)
		if string(l.names.of(id.user)) == name {
			found = append(found, next-1)
		}
		next = id.next
	}
	return found
}

// offer writes the frame to one client.
func (l *loop) offer(w *walk, slot uint32, c *client) {
	frame, n := w.d.frame, 0
	if c.head == 0 {
		var ok bool
		if n, ok = l.write(slot, c, frame); !ok {
			w.dropped++
			return
		}
		if n == len(frame) {
			w.sent++
			return
		}
	}
	if n == 0 {
		if !l.replaces(c, w.d) && !l.room(slot, c, len(frame)) {
			w.dropped++
			return
		}
		if w.d.coalesce != "" { // only now: without room the older value stays
			l.coalesce(c, w.d)
		}
	}
	l.enqueue(slot, c, node{data: frame[n:], from: w.d, drop: n == 0})
	w.queued++
	if l.heavier {
		l.shed()
	}
}

// arrived ends the loop's part, and the whole if it was the last.
func (l *loop) arrived(w *walk) {
	d := w.d
	l.count.n[nMessagesOut] += uint64(w.sent)
	l.count.n[nQueued] += uint64(w.queued)
	l.count.n[nExpired] += uint64(w.expired)
	d.matched.Add(w.matched)
	d.sent.Add(w.sent)
	d.queued.Add(w.queued)
	d.dropped.Add(w.dropped)
	d.expired.Add(w.expired)
	took := int64(time.Since(d.began))
	for {
		last := d.last.Load()
		if took <= last || d.last.CompareAndSwap(last, took) {
			break
		}
	}
	if d.left.Add(-1) == 0 {
		l.server.over(d)
		if d.closing == nil {
			l.count.publishSeconds.duration(time.Duration(d.last.Load()))
		}
		close(d.done)
		l.yield = true
	}
}
