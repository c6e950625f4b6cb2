package server

import (
	"time"

	"wsd/netpoll"
)

// From records to clients. Nothing here acts: no socket is read or written, and
// what is overdue is left to the first turns of the loops.

// taker rebuilds a server from records.
type taker struct {
	s      *Server
	buf    []byte // of a record not whole yet
	fds    []int  // for the clients to come
	clock  handoverClock
	frames []*delivery
	watch  *registrar
	record clientRecord
	ended  bool
	count  uint64
}

// take takes in the next bytes of the stream.
func (t *taker) take(p []byte) error {
	in := p
	if len(t.buf) > 0 {
		t.buf = append(t.buf, p...)
		in = t.buf
	}
	for {
		kind, body, n, err := cutRecord(in)
		if err == nil && n > 0 && t.ended {
			err = garbled("something follows the end")
		}
		if err == nil && n > 0 {
			err = t.one(kind, body)
		}
		if err != nil {
			return err
		}
		if n == 0 {
			if len(in) != len(t.buf) { // else it is t.buf, and grows where it is
				t.buf = append(t.buf[:0], in...)
			}
			return nil
		}
		in = in[n:]
	}
}

// one takes in one record.
func (t *taker) one(kind byte, body []byte) error {
	switch kind {
	case recordServer, recordWall:
		r, err := readServer(kind, body)
		if err == nil {
			t.clock = handoverClockOf(&r)
			t.s.rebase(&r)
		}
		return err
	case recordFrame:
		r, err := readFrame(body)
		t.frames = append(t.frames, &delivery{frame: r.frame, coalesce: r.coalesce, deadline: t.clock.deadline(r.left)})
		return err
	case recordClient:
		if err := readClient(body, t.frames, &t.record); err != nil {
			return err
		}
		if len(t.fds) == 0 {
			return garbled("a client without a descriptor")
		}
		fd := t.fds[0]
		t.fds = t.fds[1:]
		if t.count++; t.count == 1 {
			t.s.cfg.Estate.fault("state")
		}
		since := t.clock.since(t.record.since)
		return t.s.loops[t.s.loopOf(t.record.id)].restore(&t.record, since, fd, t.frames, t.watch)
	case recordExtra:
		t.s.cfg.Estate.extra = append([]byte(nil), body...)
		return nil
	default:
		r, err := readEnd(body)
		if err == nil && (r.clients != t.count || r.frames != uint64(len(t.frames)) || len(t.fds) > 0) {
			err = garbled("something is missing")
		}
		t.ended = true
		return err
	}
}

// rebase continues the older process's counters. Its ticks end with it: the new
// ones begin anew, and who came before them has a stamp before tick 0.
func (s *Server) rebase(r *serverRecord) {
	s.began = time.Now().Add(-time.Duration(r.uptime))
	s.publishes.Store(r.publishes)
	s.panics.Store(r.panics)
	s.loops[0].count.read(s.mux.Actions(), r.counters)
	for _, l := range s.loops {
		l.wheel.now = l.ticks(time.Since(l.start))
		l.active = l.wheel.now
	}
}

// longestAge is beyond every time-out, in ticks, and far from where ages wrap.
const longestAge = 1 << 30

// restore makes a client of what was written down, and came at instant since. fd is the loop's from here
// on, whatever happens.
func (l *loop) restore(r *clientRecord, since int64, fd int, frames []*delivery, watch *registrar) error {
	if _, double := l.byID.find(r.id); double {
		_ = netpoll.Close(fd)
		return garbled("two clients of one id")
	}
	slot, c := l.clients.alloc()
	c.id, c.addr, c.port, c.fd, c.proto = r.id, r.addr, r.port, int32(fd), r.proto
	c.since = since
	if r.flags&wireSpoke == 0 { // else it is for people only
		c.since = max(since, instant()-longestAge*int64(l.tick))
	}
	c.stamp = l.ago(r.age)
	c.messages, c.bytes, c.controls = r.buckets[0], r.buckets[1], r.buckets[2]
	c.refilled = l.millis() - r.refilled
	for _, f := range wiredFlags {
		if r.flags&f.wire != 0 {
			c.set(f.flag)
		}
	}
	l.restoreState(slot, c, r.state)
	l.restoreExtra(slot, c, r)
	if err := l.restoreTopics(slot, c, r.topics); err != nil {
		return err
	}
	l.restoreQueue(slot, c, r.queue, frames)
	c.pinged = l.wheel.now // an answer to its ping may be late for the pause's sake
	if which, at := l.nextLimit(c); which != noLimit {
		l.plan(slot, c, at)
	}
	// The kernel will report what is there to be read, or room to write.
	interest := netpoll.Edge
	if c.head != 0 {
		interest = netpoll.EdgeWrite
		c.set(flagWriting)
	}
	watch.add(l.number, registration{fd, c.token(slot), interest})
	return nil
}

// ago is the tick so many nanoseconds ago.
func (l *loop) ago(age int64) uint32 {
	return l.wheel.now - uint32(min(age/int64(l.tick), longestAge))
}

func (l *loop) restoreState(slot uint32, c *client, st state) {
	s := l.server
	if st == stateRefused {
		c.set(flagRefused)
	}
	if peer := c.remote(); s.cfg.MaxPerAddress > 0 && peer.IsValid() && !c.is(flagRefused) {
		s.population.shares.add(peer)
		c.set(flagCounted)
	}
	s.population.enter(c.place())
	l.setState(c, st)
	switch st {
	case stateJoining:
		l.joins(slot, c)
	case stateOpen:
		l.byID.add(slot)
	}
}

func (l *loop) restoreExtra(slot uint32, c *client, r *clientRecord) {
	if len(r.rest) > 0 {
		l.keep(slot, c, r.rest)
	}
	if r.unfinished {
		e := l.extras.make(slot, c)
		e.began, e.unfinished = l.ago(r.began), true
	}
	if len(r.waiting) > 0 {
		l.feeding.slot, l.feeding.cur = slot, c
		l.putOff(r.waiting)
	}
	if r.flags&wireAgain != 0 {
		l.readLater(slot, c)
	}
}

// restoreTopics is not bound by limits: it had them before those were set.
func (l *loop) restoreTopics(slot uint32, c *client, topics []string) error {
	t := &l.topics
	each, all := t.MaxPerClient, t.MaxTopics
	t.MaxPerClient, t.MaxTopics = 0, 0
	defer func() { t.MaxPerClient, t.MaxTopics = each, all }()
	for _, name := range topics {
		c.set(flagSubscribed)
		if err := t.Subscribe(slot, name); err != nil {
			return err
		}
	}
	return nil
}

func (l *loop) restoreQueue(slot uint32, c *client, queue []nodeRecord, frames []*delivery) {
	for i := range queue {
		r := &queue[i]
		nd := node{drop: r.flags&wireDrop != 0}
		if r.flags&wireShared != 0 {
			nd.from = frames[r.frame]
			nd.data = nd.from.frame[len(nd.from.frame)-int(r.left):]
		} else {
			nd.data = append([]byte(nil), r.data...)
		}
		l.enqueue(slot, c, nd)
		l.queue.at(c.tail).since = l.ago(r.age)
	}
}
