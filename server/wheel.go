package server

// wheel is the only timer of all clients of a loop. Every client is in exactly
// one bucket: the one of the tick at which somebody has to look at it, because
// by then its state has lasted too long unless something happened meanwhile.
// What happens (bytes arrive) only writes a stamp; the client is moved when
// its turn comes and it turns out that its time is not over.
//
// That is one look per client and time-out, and no work at all per message.
// Separate lists per time-out, the front always next, would do the same only
// if each byte moved its client to the back; looking lazily, they would find a
// silent peer up to one time-out late, the wheel finds it within a tick.
type wheel struct {
	buckets [wheelSize]uint32 // first slot plus one; linked through client.next and prev
	now     uint32            // ticks since the loop began; all before it are done
	due     []uint32          // slots of the bucket being looked at, between looks unused
}

// wheelSize bounds how many ticks ahead a look can be planned; who is due
// later is looked at and planned again.
const wheelSize = 255 // client.due is a byte, 0 means none

// plan puts the client into the bucket of tick at, which is not before the next.
func (l *loop) plan(slot uint32, c *client, at uint32) {
	l.unplan(slot, c)
	at = min(max(at, l.wheel.now+1), l.wheel.now+wheelSize-1)
	b := at % wheelSize
	head := &l.wheel.buckets[b]
	c.next, c.prev, c.due = *head, 0, uint8(b)+1
	if *head != 0 {
		l.clients.at(*head - 1).prev = slot + 1
	}
	*head = slot + 1
}

func (l *loop) unplan(slot uint32, c *client) {
	if c.due == 0 {
		return
	}
	if c.next != 0 {
		l.clients.at(c.next - 1).prev = c.prev
	}
	if c.prev != 0 {
		l.clients.at(c.prev - 1).next = c.next
	} else {
		l.wheel.buckets[c.due-1] = c.next
	}
	c.next, c.prev, c.due = 0, 0, 0
}

// turnWheel moves time on to tick now and looks at every client that is due.
func (l *loop) turnWheel(now uint32) {
	past := l.wheel.now
	if now-past > wheelSize { // the loop stood still for long: once round is enough
		past = now - wheelSize
	}
	// The looks see the real time: a loop that was late must not think that a
	// ping it sends now has been waiting for its answer.
	l.wheel.now = now
	for past < now {
		past++
		l.lookAt(past % wheelSize)
	}
}

// lookAt looks at every client of a bucket, once: it is emptied first, since
// whoever is not due after all may be planned into it again.
func (l *loop) lookAt(bucket uint32) {
	due := l.wheel.due[:0]
	for head := &l.wheel.buckets[bucket]; *head != 0; {
		slot := *head - 1
		l.unplan(slot, l.clients.at(slot))
		due = append(due, slot)
	}
	for _, slot := range due {
		l.look(slot, l.clients.at(slot))
	}
	if l.wheel.due = due; cap(due) > 1<<16 {
		l.wheel.due = nil // a burst is over
	}
}
