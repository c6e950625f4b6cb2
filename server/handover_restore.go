package server

import (
	"bytes"
	"slices"
	"time"

	"wsd/conn"
	"wsd/handoff"
	"wsd/netpoll"
)

// From records to clients. Nothing here acts: no socket is read or written, and
// what is overdue is left to the first turns of the loops.

// taker rebuilds a server from records. It is the sink of their stream.
type taker struct {
	s      *Server
	stream handoff.Reader
	fds    []int // for the clients to come
	clock  handoverClock
	frames []*delivery
	watch  *registrar
	count  int
}

// take takes in the next bytes of the stream.
func (t *taker) take(p []byte) error {
	err := t.stream.Feed(p, t)
	if err == nil && t.stream.Ended() && len(t.fds) > 0 {
		err = garbled("something is missing")
	}
	return err
}

// Server is the record of the older process as a whole.
func (t *taker) Server(r *handoff.Server) error {
	t.clock = handoverClockOf(r)
	t.s.rebase(r)
	return nil
}

// Frame is the record of a message that clients wait for.
func (t *taker) Frame(r *handoff.Frame) error {
	t.frames = append(t.frames, &delivery{frame: bytes.Clone(r.Frame), coalesce: r.Coalesce, deadline: t.clock.deadline(r.Left)})
	return nil
}

// Client is the record of a client, whose descriptor is the next.
func (t *taker) Client(r *handoff.Client) error {
	if len(t.fds) == 0 {
		return garbled("a client without a descriptor")
	}
	fd := t.fds[0]
	t.fds = t.fds[1:]
	if t.count++; t.count == 1 {
		t.s.cfg.Inheritance.fault("state")
	}
	return t.s.loops[t.s.loopOf(r.ID)].restore(r, t.clock.since(r.Age), fd, t.frames, t.watch)
}

// Blob is the record of what the older process's application had to say, or its
// revocations. Others are not known here.
func (t *taker) Blob(b *handoff.Blob) error {
	switch b.Name {
	case handoff.BlobApplication:
		t.s.cfg.Inheritance.extra = bytes.Clone(b.Value)
	case handoff.BlobCluster:
		t.s.cfg.Inheritance.cluster = bytes.Clone(b.Value)
	case handoff.BlobRevocations:
		return t.s.revocations.read(b.Value)
	}
	return nil
}

// rebase continues the older process's counters. Its ticks end with it: the new
// ones begin anew, and who came before them has a stamp before tick 0.
func (s *Server) rebase(r *handoff.Server) {
	s.began = time.Now().Add(-time.Duration(r.Uptime))
	s.publishes.Store(r.Publishes)
	s.panics.Store(r.Panics)
	s.loops[0].count.read(s.mux.Actions(), r.Counters)
	for _, l := range s.loops {
		l.wheel.now = l.ticks(time.Since(l.start))
		l.active = l.wheel.now
	}
}

// longestAge is beyond every time-out, in ticks, and far from where ages wrap.
const longestAge = 1 << 30

// restore makes a client of what was written down, and came at instant since. fd is the loop's from here
// on, whatever happens.
func (l *loop) restore(r *handoff.Client, since int64, fd int, frames []*delivery, watch *registrar) error {
	var proto conn.State
	err := proto.UnmarshalBinary(r.Conn[:])
	switch _, double := l.byID.find(r.ID); {
	case err != nil:
		err = garbled("client record: " + err.Error())
	case double:
		err = garbled("two clients of one id")
	case (r.State == handoff.StateOpen || r.State == handoff.StateClosing) && proto.Have() > len(r.Leftover):
		err = garbled("a client's partial message is missing")
	}
	if err != nil {
		_ = netpoll.Close(fd)
		return err
	}
	slot, c := l.clients.alloc()
	c.id, c.addr, c.port, c.fd, c.proto = r.ID, r.Addr, r.Port, int32(fd), proto
	c.since = since
	if r.Flags&handoff.FlagSpoke == 0 { // else it is for people only
		c.since = max(since, instant()-longestAge*int64(l.tick))
	}
	c.stamp = l.ago(r.Silence)
	c.messages, c.bytes, c.controls = r.Buckets[0], r.Buckets[1], r.Buckets[2]
	c.refilled = l.millis() - r.Refilled
	for _, f := range wiredFlags {
		if r.Flags&f.wire != 0 {
			c.set(f.flag)
		}
	}
	for _, f := range proxyFlags {
		if r.Proxy&f.wire != 0 {
			c.set(f.flag)
		}
	}
	l.restoreState(slot, c, r.State)
	l.restoreExtra(slot, c, r)
	if err := l.restoreTopics(slot, c, r.Topics); err != nil {
		return err
	}
	if err := l.restoreIdentity(slot, c, r); err != nil {
		return err
	}
	l.restoreQueue(slot, c, r.Queue, frames)
	c.pinged = l.wheel.now // an answer to its ping may be late for the pause's sake
	if which, at := l.nextLimit(slot, c); which != noLimit {
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

func (l *loop) restoreState(slot uint32, c *client, wire handoff.State) {
	s := l.server
	st := state(slices.Index(wireStates[:], wire))
	if st == stateRefused {
		c.set(flagRefused)
	}
	peer := c.remote()
	if st == stateJoining && s.forwarders.covers(peer) { // they may be new in this process's configuration
		c.set(flagProxy)
	}
	if s.cfg.MaxPerAddress > 0 && peer.IsValid() && !c.is(flagRefused|flagProxy) {
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

func (l *loop) restoreExtra(slot uint32, c *client, r *handoff.Client) {
	if len(r.Leftover) > 0 {
		l.keep(slot, c, r.Leftover)
	}
	if r.MessageAge != 0 && c.state == stateOpen {
		e := l.extras.make(slot, c)
		e.began, e.unfinished = l.ago(r.MessageAge), true
	}
	if len(r.Waiting) > 0 {
		l.feeding.slot, l.feeding.cur = slot, c
		l.putOff(r.Waiting)
	}
	if r.Flags&handoff.FlagAgain != 0 {
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

func (l *loop) restoreQueue(slot uint32, c *client, queue []handoff.Queued, frames []*delivery) {
	for i := range queue {
		r := &queue[i]
		nd := node{drop: r.Flags&handoff.QueuedDrop != 0}
		if r.Flags&handoff.QueuedShared != 0 {
			nd.from = frames[r.Frame]
			nd.data = nd.from.frame[len(nd.from.frame)-int(r.Left):]
		} else {
			nd.data = append([]byte(nil), r.Data...)
			nd.array = arrayOf(cap(nd.data))
		}
		l.enqueue(slot, c, nd)
		l.queue.at(c.tail).since = l.ago(r.Age)
	}
}
