package server

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"
	"github.com/google/uuid"

	"wsd/conn"
	"wsd/topic"
)

// The way of a publish:
//
//  1. Publish, on any goroutine: the frame is made once; nobody changes it any
//     more, so all clients share it.
//  2. spread: it is posted to the loops.
//  3. deliver: each loop begins a walk over those of its clients that match.
//  4. walk: a few clients per turn, with the ready sockets served in
//     between, so that heartbeats keep their latency.
//  5. offer: one write per client; what does not fit is queued by reference.
//  6. The last loop to end its walk reports.

// Target says which clients a message is for.
type Target struct {
	all     bool
	topics  []string
	clients []uuid.UUID
}

// All is every client.
func All() Target { return Target{all: true} }

// Topic is the subscribers of any of the topics; who has several gets it once.
// names is copied.
func Topic(names ...string) Target { return Target{topics: slices.Clone(names)} }

// Client is the clients with these ids; unknown ones are skipped. ids is copied.
func Client(ids ...uuid.UUID) Target { return Target{clients: slices.Clone(ids)} }

// ValidTopic returns an error unless name can be that of a topic: 1 to 128 bytes
// of UTF-8 without control characters.
func ValidTopic(name string) error { return topic.ValidName(name) }

// Message is what is published: it arrives in one frame, as it is.
type Message struct {
	// Binary chooses the opcode. A text message must be UTF-8.
	Binary bool
	// Data is copied once and may be reused after Publish.
	Data []byte
	// Deadline, if set, is when the message is worth nothing any more: whom it
	// has not been sent to by then does not get it. What is left until then counts,
	// as of Publish: a clock that is set later changes nothing.
	Deadline time.Time
	// Coalesce, if not empty, names what this is the latest value of: for a
	// client in whose queue an older message of that name still waits, this one
	// takes its place (at the end of the queue).
	Coalesce string
}

// Result tells what became of a publish by the time its walk ended.
type Result struct {
	Matched int `json:"matched"` // clients it was for
	Sent    int `json:"sent"`    // taken by the kernel whole
	Queued  int `json:"queued"`  // at least in part still waiting in the client's queue
	Dropped int `json:"dropped"` // left out by the slow-consumer policy, or the client's end
	Expired int `json:"expired"` // their turn came after the deadline
	// LastClient is the time from Publish to the write to the last client.
	LastClient time.Duration `json:"-"`
}

// ErrNotText is returned for a text message that is not UTF-8: a client would have
// to fail its connection (RFC 6455 §8.1).
var ErrNotText = errors.New("a text message has to be UTF-8")

// ErrStopped is returned once the server has stopped.
var ErrStopped = errors.New("the server has stopped")

// Outcome waits for what becomes of a publish. When ctx ends first, the error is
// ctx's, and it may be asked again: the publish goes on. Any number of
// goroutines may call it, or none.
type Outcome func(ctx context.Context) (Result, error)

// Publish sends m to every client of t and waits until all of them have been
// written to, or queued for; a slow client delays nobody. Messages of one
// publisher, each published after the last returned, arrive in order. ctx ends
// the waiting, not the publish, unless that has still to wait for too many
// others under way. Errors are ctx's, ErrTooLarge, ErrNotText and ErrStopped, and
// that of ValidTopic.
func (s *Server) Publish(ctx context.Context, t Target, m Message) (Result, error) {
	outcome, err := s.Begin(ctx, t, m)
	if err != nil {
		return Result{}, err
	}
	return outcome(ctx)
}

// Begin is Publish in two steps: it returns as soon as the message is on its
// way, which takes time only while too many others are. Messages arrive in the
// order in which they were begun. After an error nobody gets the message.
func (s *Server) Begin(ctx context.Context, t Target, m Message) (Outcome, error) {
	d, err := m.delivery(t)
	if err == nil {
		err = s.backlog.enter(ctx, s.ended, len(d.frame))
	}
	if err == nil {
		err = s.publish(d)
	}
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (Result, error) { return s.await(ctx, d) }, nil
}

// await waits for the end of a delivery's walks, or that of ctx or the server.
func (s *Server) await(ctx context.Context, d *delivery) (Result, error) {
	select {
	case <-d.done: // whatever else has ended
		return d.result(), nil
	default:
	}
	select {
	case <-d.done:
		return d.result(), nil
	case <-ctx.Done():
		return d.result(), ctx.Err()
	case <-s.ended:
		return d.result(), ErrStopped
	}
}

// Post is Publish without waiting for what becomes of it. It returns ErrBacklog
// when too many publishes are under way.
func (s *Server) Post(t Target, m Message) error {
	d, err := m.delivery(t)
	if err != nil {
		return err
	}
	if !s.backlog.try(len(d.frame)) {
		s.backlog.refused.Add(1)
		return ErrBacklog
	}
	return s.publish(d)
}

// publish is spread for those outside the loops, who have counted the delivery
// into the backlog. It waits while the clients are being handed over: afterwards
// the message is for all of them, or for none.
func (s *Server) publish(d *delivery) error {
	s.memory.holdFrame(d)
	s.gate.RLock()
	defer s.gate.RUnlock()
	if s.gone || !s.spread(d) {
		s.passed(d)
		return ErrStopped
	}
	return nil
}

// passed ends a delivery's time under way.
func (s *Server) passed(d *delivery) {
	s.memory.freeFrame(d)
	s.backlog.leave(len(d.frame), d.fan)
}

func (m *Message) delivery(t Target) (*delivery, error) {
	if len(m.Data) > mostBytes {
		return nil, ErrTooLarge
	}
	for _, name := range t.topics {
		if err := topic.ValidName(name); err != nil {
			return nil, err
		}
	}
	op := ws.OpText
	if m.Binary {
		op = ws.OpBinary
	} else if !utf8.Valid(m.Data) {
		return nil, ErrNotText
	}
	d := newDelivery(conn.Compile(op, m.Data), t)
	d.coalesce = m.Coalesce
	if !m.Deadline.IsZero() {
		d.deadline = instantOf(m.Deadline)
	}
	return d, nil
}

// delivery is one frame on its way to its clients.
type delivery struct {
	frame    []byte
	target   Target
	coalesce string
	deadline int64    // instant, 0: none
	closing  *closing // if set, there is no frame: the clients are closed
	fan      int      // of a client's fan-out: at most for so many; 0: a publisher's
	began    time.Time
	done     chan struct{} // closed when every loop has ended its walk

	// Added to by each loop as it ends its walk.
	matched, sent, queued, dropped, expired, last atomic.Int64
	left                                          atomic.Int32 // loops that still walk
	held                                          atomic.Int32 // nodes that need the frame, and one more while it is under way
}

// closing is how the clients that a walk meets are closed (CloseTopic).
type closing struct {
	code   ws.StatusCode
	reason string
}

func newDelivery(frame []byte, t Target) *delivery {
	return &delivery{frame: frame, target: t, began: time.Now(), done: make(chan struct{})}
}

func (d *delivery) result() Result {
	return Result{Matched: int(d.matched.Load()), Sent: int(d.sent.Load()), Queued: int(d.queued.Load()),
		Dropped: int(d.dropped.Load()), Expired: int(d.expired.Load()), LastClient: time.Duration(d.last.Load())}
}

// spread posts the delivery, which is in the backlog, to every loop. It reports
// false when the server has stopped.
func (s *Server) spread(d *delivery) bool {
	select {
	case <-s.ended:
		return false
	default:
	}
	if d.closing == nil {
		s.publishes.Add(1)
	}
	d.left.Store(int32(len(s.loops)))
	for _, l := range s.loops {
		l.post(func(l *loop) { l.deliver(d) })
	}
	return true
}

// walk is a loop's part of a delivery: a cursor over slots, in rising order.
type walk struct {
	d     *delivery
	slots slots
	at    uint32 // the next slot to serve
	more  bool   // at is one
	began int64  // instant: who came later is not meant

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
		return &everySlot{end: l.clients.size()}
	}
	if len(t.topics) > 0 {
		if b := l.topics.Subscribers(t.topics...); b != nil {
			return b.Iterator()
		}
		return &someSlots{}
	}
	var found someSlots
	for _, id := range t.clients {
		if slot, ok := l.byID[id]; ok {
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
			limit = w.at
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
		if c := l.clients.at(w.at); c.state == stateOpen && c.since <= w.began {
			n--
			w.matched++
			switch {
			case w.d.closing != nil:
				l.close(w.at, c, ReasonAdmin, w.d.closing.code, w.d.closing.reason)
			case late:
				w.expired++
			default:
				l.offer(w, w.at, c)
			}
		}
		w.advance()
	}
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
	l.count.messagesOut += uint64(w.sent)
	l.count.queued += uint64(w.queued)
	l.count.expired += uint64(w.expired)
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
		l.server.passed(d)
		if d.closing == nil {
			l.count.publishSeconds.duration(time.Duration(d.last.Load()))
		}
		close(d.done)
		l.yield = true
	}
}
