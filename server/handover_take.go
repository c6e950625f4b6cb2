package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"wsd/netpoll"
)

// A live upgrade, as the newer process sees it:
//
//	e, err := server.Inherit(link, "v1.2.3", nil)  // is the state one we can read? which listeners?
//	cfg.Estate = e
//	s, err := server.New(cfg)                      // with those listeners
//	err = s.TakeOver()                             // instead of Start

// Estate is what an older process hands over.
type Estate struct {
	link      *Link
	fault     func(string)
	listeners []heirloom
	files     []heirloom
	extra     []byte
}

// Extra is what the older process's application had to say, once TakeOver has
// returned; it is the caller's. A nil Estate has none.
func (e *Estate) Extra() []byte {
	if e == nil {
		return nil
	}
	return e.extra
}

// Inherit makes the first contact with the older process at the other end of
// link, whose end it takes over. version is ours, for its log. fault, if set, is
// called at each step of the way, with its name: a test's.
func Inherit(link *Link, version string, fault func(step string)) (*Estate, error) {
	e := &Estate{link: link, fault: fault}
	if fault == nil {
		e.fault = func(string) {}
	}
	e.fault("started")
	link.patience(heirStart)
	format := formatNumber()
	h := hello{oldest: format, newest: format, version: version}
	if err := link.say(sayHello, h.append(nil), nil); err != nil {
		return nil, err
	}
	e.fault("hello")
	body, fds, err := link.expect(sayWelcome)
	if err != nil {
		return nil, err
	}
	list, err := readHeirlooms(body, fds)
	if err != nil {
		closeAll(fds)
		return nil, err
	}
	for _, h := range list {
		if h.listener {
			e.listeners = append(e.listeners, h)
		} else {
			e.files = append(e.files, h)
		}
	}
	e.fault("welcome")
	return e, nil
}

// File is a descriptor of Heir.Files, which is the caller's from here on; nil
// if there is none of that name.
func (e *Estate) File(name string) *os.File {
	if e == nil {
		return nil
	}
	i := slices.IndexFunc(e.files, func(h heirloom) bool { return h.name == name })
	if i < 0 {
		return nil
	}
	f := os.NewFile(uintptr(e.files[i].fd), name)
	e.files = slices.Delete(e.files, i, i+1)
	return f
}

// Passed reports whether there are listeners that the older process had not
// opened itself, but had been started with (Config.Inherited).
func (e *Estate) Passed() bool {
	return e != nil && slices.ContainsFunc(e.listeners, func(h heirloom) bool { return h.name == "" })
}

// listener is the one that was configured as addr, or any of those that were
// not configured at all (addr ""); nil if there is none.
func (e *Estate) listener(addr string) (*netpoll.Listener, error) {
	if e == nil {
		return nil, nil
	}
	i := slices.IndexFunc(e.listeners, func(h heirloom) bool { return h.name == addr })
	if i < 0 {
		return nil, nil
	}
	h := e.listeners[i]
	e.listeners = slices.Delete(e.listeners, i, i+1)
	if h.path {
		return netpoll.InheritPath(h.fd)
	}
	return netpoll.Inherit(h.fd)
}

// drop closes what nobody asked for: what the new configuration does not name.
func (e *Estate) drop() {
	for _, h := range append(e.listeners, e.files...) {
		_ = netpoll.Close(h.fd)
	}
	e.listeners, e.files = nil, nil
}

// TakeOver is Start for a server that was made with an Estate: it takes the
// clients over and returns when it serves them. On an error it has touched no
// client's socket, and what it had been given is closed: the older process
// serves on.
func (s *Server) TakeOver() error {
	e := s.cfg.Estate
	e.drop()
	for _, l := range s.loops {
		l.running.Lock() // no turn before the word is given
	}
	err := s.receive(e)
	if err == nil {
		err = s.Start()
	}
	if err == nil {
		err = s.awaitCommit(e)
	}
	if err != nil {
		_ = e.link.say(sayRefused, []byte(err.Error()), nil)
		s.abandon()
		return err
	}
	// From here on the older process will not touch a socket again, whatever
	// becomes of this one; and nothing below can fail.
	_ = e.link.say(sayRunning, nil, nil) // if nobody hears it, nobody is left
	for _, l := range s.loops {
		l.post((*loop).beginPutOff)
		l.running.Unlock()
	}
	e.fault("running")
	return nil
}

// Close tells the older process that it is not needed any more: it may end. It
// is for after TakeOver, once whoever watches the process knows of this one.
func (e *Estate) Close() error {
	if e == nil {
		return nil
	}
	return e.link.Close()
}

// receive takes the state in.
func (s *Server) receive(e *Estate) error {
	if err := e.link.say(sayPrepared, nil, nil); err != nil {
		return err
	}
	e.fault("prepared")
	t := &taker{s: s}
	defer func() { closeAll(t.fds) }()
	for !t.ended {
		// The older process bounds how long this takes; but if it hangs, this
		// one shall not wait for ever.
		e.link.patience(2 * heirStart)
		body, fds, err := e.link.expectState()
		t.fds = append(t.fds, fds...)
		if err != nil {
			return err
		}
		if err := t.take(body); err != nil {
			return err
		}
	}
	e.fault("restored")
	return nil
}

func (k *Link) expectState() (body []byte, fds []int, err error) {
	what, body, fds, err := k.hear()
	switch {
	case errors.Is(err, io.EOF):
		return nil, nil, errors.New("the old process is gone before it had told all")
	case err == nil && what != sayState:
		err = fmt.Errorf("waiting for the state: there came something else (%d)", what)
	}
	return body, fds, err
}

// awaitCommit says that all is in place and waits for the word. An older
// process that is gone without one had written all down and stood still, and
// nobody but us has its clients: that is as good as the word. It never goes on
// serving before this process is dead, or told so.
func (s *Server) awaitCommit(e *Estate) error {
	if err := e.link.say(sayReady, le.AppendUint64(nil, uint64(s.connected.Load())), nil); err != nil && !s.alone(e) {
		return err
	}
	e.fault("ready")
	what, _, fds, err := e.link.hear()
	closeAll(fds)
	switch {
	case errors.Is(err, io.EOF):
		s.log.Warn("the old process died in the handover: its clients are taken over as it left them")
	case err != nil:
		return err
	case what != sayCommit:
		return fmt.Errorf("waiting for commit: there came something else (%d)", what)
	}
	e.fault("commit")
	return nil
}

// alone reports whether the other process is gone.
func (s *Server) alone(e *Estate) bool {
	_, _, fds, err := e.link.hear()
	closeAll(fds)
	return errors.Is(err, io.EOF)
}

// abandon gives back everything without touching a client's socket.
func (s *Server) abandon() {
	for _, l := range s.loops {
		l.surrender()
		l.running.Unlock()
	}
	_ = s.cfg.Estate.link.Close()
	_ = s.Stop(context.Background(), false)
}

// taker rebuilds a server from records.
type taker struct {
	s      *Server
	buf    []byte // of a record not whole yet
	fds    []int  // for the clients to come
	frames []*delivery
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
	case recordServer:
		r, err := readServer(body)
		if err == nil {
			t.s.rebase(&r)
		}
		return err
	case recordFrame:
		r, err := readFrame(body)
		t.frames = append(t.frames, &delivery{frame: r.frame, coalesce: r.coalesce, deadline: r.deadline})
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
		return t.s.loops[t.s.loopOf(t.record.id)].restore(&t.record, fd, t.frames)
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

// rebase continues the older process's clock and counters. Its ticks go on from
// the same beginning, so that no stamp of a client lies before it.
func (s *Server) rebase(r *serverRecord) {
	age := max(time.Since(time.Unix(0, r.epoch)), time.Duration(r.frozen-r.epoch), 0)
	start := time.Now().Add(-age)
	for _, l := range s.loops {
		l.start = start
		l.wheel.now = l.ticks(age)
		l.active = l.wheel.now
	}
	s.began = time.Unix(0, r.began)
	s.publishes.Store(r.publishes)
	s.panics.Store(r.panics)
	s.loops[0].count.read(s.mux.Actions(), r.counters)
}

// restore makes a client of what was written down. fd is the loop's from here
// on, whatever happens.
func (l *loop) restore(r *clientRecord, fd int, frames []*delivery) error {
	s := l.server
	if _, double := l.byID[r.id]; double {
		_ = netpoll.Close(fd)
		return garbled("two clients of one id")
	}
	slot, c := l.clients.alloc()
	c.id, c.addr, c.port, c.fd, c.proto = r.id, r.addr, r.port, int32(fd), r.proto
	c.since = min(r.since, l.clock()) // publishes are for those who were there before
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
	if at, due := l.nextLook(c); due {
		l.plan(slot, c, at)
	}
	// The kernel reports what is there to be read, or room to write, at once.
	interest := netpoll.Edge
	if c.head != 0 {
		interest = netpoll.EdgeWrite
		c.set(flagWriting)
	}
	if err := l.poll.Add(fd, c.token(slot), interest); err != nil {
		return fmt.Errorf("watching client %d: %w", s.connected.Load(), err)
	}
	return nil
}

// ago is the tick so many nanoseconds ago.
func (l *loop) ago(age int64) uint32 {
	return l.wheel.now - min(l.ticks(time.Duration(age)), l.wheel.now)
}

func (l *loop) restoreState(slot uint32, c *client, st state) {
	s := l.server
	c.state = st
	l.count.states[st]++
	s.connected.Add(1)
	switch st {
	case stateJoining:
		s.joining.Add(1)
	case stateRefused:
		s.refused.Add(1)
	case stateOpen:
		l.byID[c.id] = slot
	}
	if peer := c.remote(); s.cfg.MaxPerAddress > 0 && peer.IsValid() && (st == stateJoining || st == stateOpen || st == stateClosing) {
		s.shares.add(peer)
		c.set(flagCounted)
	}
}

func (l *loop) restoreExtra(slot uint32, c *client, r *clientRecord) {
	if len(r.rest) > 0 {
		l.extras.make(c).rest = append(l.buffers.get(len(r.rest)), r.rest...)
	}
	if len(r.waiting) > 0 {
		l.slot, l.cur = slot, c
		l.putOff(r.waiting)
	}
	if r.flags&wireAgain != 0 {
		l.readLater(slot, c)
	}
}

// restoreTopics is not bound by limits: it had them before those were set.
func (l *loop) restoreTopics(slot uint32, c *client, topics []string) error {
	t := &l.topics
	each, all, total := t.MaxPerClient, t.MaxTopics, t.MaxTotal
	t.MaxPerClient, t.MaxTopics, t.MaxTotal = 0, 0, 0
	defer func() { t.MaxPerClient, t.MaxTopics, t.MaxTotal = each, all, total }()
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

// nextLook is when look has to see the client; look itself would act.
func (l *loop) nextLook(c *client) (at uint32, due bool) {
	cfg := &l.server.cfg
	switch c.state {
	case stateJoining, stateRefused:
		return c.stamp + l.timeout(cfg.HandshakeTimeout), true
	case stateOpen:
	default:
		return c.stamp + l.timeout(cfg.CloseTimeout), true
	}
	if cfg.FirstMessageTimeout > 0 && !c.is(flagSpoke) {
		return l.ticksSince(c) + l.timeout(cfg.FirstMessageTimeout), true
	}
	at = c.stamp + l.timeout(cfg.IdleTimeout)
	if c.is(flagPinged) {
		at += l.timeout(cfg.PongTimeout)
	}
	return at, cfg.IdleTimeout > 0
}
