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
	// First slot plus one; linked through client.next and prev. The last one
	// is not of a tick: it has who is being looked at.
	buckets [wheelSize + 1]uint32
	now     uint32 // ticks since the loop began, wrapping
	lag     uint32 // ticks up to now whose buckets have still to be looked at
}

// wheelSize bounds how many ticks ahead a look can be planned; who is due
// later is looked at and planned again.
const wheelSize = 254 // client.due is a byte, 0 means none, 255 the last bucket

// lookSlice is how many clients are looked at in one turn: a look may be a
// ping, and a million clients that were all sent to in one moment fall silent
// in one tick.
const lookSlice = 256

// plan puts the client into the bucket of tick at, which is not before the next.
func (l *loop) plan(slot uint32, c *client, at uint32) {
	l.unplan(slot, c)
	at = l.wheel.now + uint32(min(max(int32(at-l.wheel.now), 1), wheelSize-1))
	b := at % wheelSize
	head := &l.wheel.buckets[b]
	c.next, c.prev, c.due = *head, 0, uint8(b)+1
	if *head != 0 {
		l.clients.at(*head - 1).prev = slot + 1
	}
	*head = slot + 1
}

// planned says whether the client is looked at at tick at, or before.
func (l *loop) planned(c *client, at uint32) bool {
	if c.due == 0 || c.due > wheelSize {
		return c.due != 0 // it is being looked at
	}
	in := (uint32(c.due-1) + wheelSize - l.wheel.now%wheelSize) % wheelSize
	return !before(at, l.wheel.now+in)
}

func (l *loop) unplan(slot uint32, c *client) {
	if c.due == 0 {
		return
	}
	if c.next != 0 {
		next := l.clients.at(c.next - 1)
		if next.prev = c.prev; c.prev == 0 {
			next.due = c.due // the first of a bucket tells which it is
		}
	}
	if c.prev != 0 {
		l.clients.at(c.prev - 1).next = c.next
	} else {
		l.wheel.buckets[c.due-1] = c.next
	}
	c.next, c.prev, c.due = 0, 0, 0
}

// turnWheel moves time on to tick now. The looks that fall due by it are
// lookOn's; they see the real time: a loop that was late must not think that a
// ping it sends now has been waiting for its answer.
func (l *loop) turnWheel(now uint32) {
	w := &l.wheel
	w.lag = min(w.lag+now-w.now, wheelSize) // after a long stand once round is enough
	w.now = now
}

// looking says that somebody is due.
func (w *wheel) looking() bool { return w.lag > 0 || w.buckets[wheelSize] != 0 }

// lookOn looks at up to n of the clients that are due. A bucket is emptied
// before its clients are looked at, since whoever is not due after all may be
// planned into it again.
func (l *loop) lookOn(n int) {
	w := &l.wheel
	for n > 0 && w.looking() {
		head := w.buckets[wheelSize]
		if head == 0 {
			w.lag--
			l.takeBucket((w.now - w.lag) % wheelSize)
			continue
		}
		c := l.clients.at(head - 1)
		l.unplan(head-1, c)
		l.look(head-1, c)
		if l.heavier {
			l.shed()
		}
		n--
	}
}

// takeBucket makes a bucket the one being looked at.
func (l *loop) takeBucket(b uint32) {
	w := &l.wheel
	if head := w.buckets[b]; head != 0 {
		w.buckets[b], w.buckets[wheelSize] = 0, head
		l.clients.at(head - 1).due = wheelSize + 1
	}
}
