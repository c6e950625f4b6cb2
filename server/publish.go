package server

import (
	"context"
	"errors"
	"fmt"
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
//  2. spread: it is posted to the loops that may have somebody it is for.
//  3. deliver (walk.go): each loop begins a walk over those of its clients that match.
//  4. walk: a few clients per turn, with the ready sockets served in
//     between, so that heartbeats keep their latency.
//  5. offer: one write per client; what does not fit is queued by reference.
//  6. The last loop to end its walk reports.

// Target says which clients a message is for.
type Target struct {
	all     bool
	topics  []string
	clients []uuid.UUID
	users   []string
}

// All is every client.
func All() Target { return Target{all: true} }

// Topic is the subscribers of any of the topics; who has several gets it once.
// names is copied.
func Topic(names ...string) Target { return Target{topics: slices.Clone(names)} }

// Client is the clients with these ids; unknown ones are skipped. ids is copied.
func Client(ids ...uuid.UUID) Target { return Target{clients: slices.Clone(ids)} }

// User is all clients of these users; who has none is skipped. names is copied.
func User(names ...string) Target { return Target{users: slices.Clone(names)} }

// ValidUser returns an error unless name can be that of a user: 1 to MaxUser bytes of
// UTF-8.
func ValidUser(name string) error {
	if name == "" || len(name) > MaxUser || !utf8.ValidString(name) {
		return fmt.Errorf("user %q: a name has 1 to %d bytes of UTF-8", name, MaxUser)
	}
	return nil
}

// ValidTopic returns an error unless name can be that of a topic: 1 to 128 bytes
// of UTF-8 without control characters.
func ValidTopic(name string) error { return topic.ValidName(name) }

// Message is what is published: it arrives in one frame, as it is.
type Message struct {
	// Binary chooses the opcode. A text message must be UTF-8.
	Binary bool
	// Data is copied once and may be reused after Publish.
	Data []byte
	// Deadline, if set: clients that the message has not been sent to by then do
	// not get it. Publish takes the time that is left, so a clock that is set later
	// changes nothing.
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
	// Reach tells which nodes of a cluster this is about; nil if the server is in
	// none, or this is what became of it on one node.
	Reach *Reach `json:"-"`
}

// ErrNotText is returned for a text message that is not UTF-8: a client would have
// to fail its connection (RFC 6455 §8.1).
var ErrNotText = errors.New("a text message has to be UTF-8")

// ErrStopped is returned once the server has stopped.
var ErrStopped = errors.New("the server has stopped")

// Outcome is what becomes of a publish that was begun. Any number of goroutines
// may ask, or none. The error is ErrStopped if the server stopped before all
// loops had ended their walks.
type Outcome interface {
	// Wait returns when the walks have ended, or with ctx's error; then the publish
	// goes on, and may be waited for again.
	Wait(ctx context.Context) (Result, error)
	// Poll does not wait; done is false while the publish is under way.
	Poll() (r Result, done bool, err error)
}

// Publish sends m to every client of t and waits until all of them have been
// written to, or queued for; a slow client delays nobody. Messages of one
// publisher, each published after the last returned, arrive in order. ctx ends
// the waiting, not the publish, unless that has still to wait for too many
// others under way. Errors are ctx's, ErrTooLarge, ErrNotText and ErrStopped, and
// those of ValidTopic and ValidUser.
func (s *Server) Publish(ctx context.Context, t Target, m Message) (Result, error) {
	outcome, err := s.Begin(ctx, t, m)
	if err != nil {
		return Result{}, err
	}
	return outcome.Wait(ctx)
}

// Begin is Publish in two steps: it returns as soon as the message is on its
// way, which takes time only while too many others are. Messages arrive in the
// order in which they were begun. After an error nobody gets the message.
func (s *Server) Begin(ctx context.Context, t Target, m Message) (Outcome, error) {
	if s.cluster != nil {
		return s.cluster.Begin(ctx, t, m)
	}
	return s.BeginHere(ctx, t, m)
}

// publishing is the Outcome of a delivery.
type publishing struct {
	s *Server
	d *delivery
}

func (p publishing) Wait(ctx context.Context) (Result, error) {
	select {
	case <-p.d.done:
	case <-ctx.Done():
	case <-p.s.ended:
	}
	// Whatever else has ended meanwhile, a publish that is done is done.
	if r, done, err := p.Poll(); done {
		return r, err
	}
	return p.d.result(), ctx.Err()
}

func (p publishing) Done() <-chan struct{} { return p.d.done }

func (p publishing) Poll() (r Result, done bool, err error) {
	select {
	case <-p.d.done:
		return p.d.result(), true, nil
	default:
	}
	select {
	case <-p.s.ended:
		return p.d.result(), true, ErrStopped
	default:
		return p.d.result(), false, nil
	}
}

// Post is Publish without waiting for what becomes of it. It returns ErrBacklog
// when too many publishes are under way.
func (s *Server) Post(t Target, m Message) error {
	if s.cluster != nil {
		return s.cluster.Post(t, m)
	}
	return s.PostHere(t, m)
}

// publishWhenRoom is publish once the backlog has room, for which it waits until
// ctx is done.
func (s *Server) publishWhenRoom(ctx context.Context, d *delivery) error {
	if err := s.backlog.enter(ctx, s.ended, len(d.frame)); err != nil {
		return err
	}
	return s.publish(d)
}

// publish is spread for those outside the loops. It waits while the clients are
// being handed over: afterwards the message is for all of them, or for none.
func (s *Server) publish(d *delivery) error {
	s.memory.holdFrame(d)
	s.handoverLock.RLock()
	defer s.handoverLock.RUnlock()
	if s.gone {
		s.over(d)
		return ErrStopped
	}
	return s.spread(d)
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
	for _, name := range t.users {
		if err := ValidUser(name); err != nil {
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
	why    Reason
	only   func(l *loop, slot uint32, c *client) bool // if set: the others stay
}

func newDelivery(frame []byte, t Target) *delivery {
	return &delivery{frame: frame, target: t, began: time.Now(), done: make(chan struct{})}
}

func (d *delivery) result() Result {
	return Result{Matched: int(d.matched.Load()), Sent: int(d.sent.Load()), Queued: int(d.queued.Load()),
		Dropped: int(d.dropped.Load()), Expired: int(d.expired.Load()), LastClient: time.Duration(d.last.Load())}
}

// spread posts the delivery, which is in the backlog, to the loops that may have
// clients it is for. When the server has stopped it returns ErrStopped.
func (s *Server) spread(d *delivery) error {
	select {
	case <-s.ended:
		s.over(d)
		return ErrStopped
	default:
	}
	if d.closing == nil {
		s.publishes.Add(1)
	}
	loops := s.concerned(d.target)
	n := loops.len()
	if n == 0 {
		s.over(d)
		if d.closing == nil {
			s.unmatched.Add(1)
		}
		close(d.done)
		return nil
	}
	d.left.Store(int32(n))
	for i := range loops.all {
		s.loops[i].post(func(l *loop) { l.deliver(d) })
	}
	return nil
}

// over ends the delivery's time under way: its last walk has ended, or none will
// begin.
func (s *Server) over(d *delivery) {
	s.memory.freeFrame(d)
	s.backlog.leave(len(d.frame), d.fan)
}

// concerned are the loops that may have clients of a target: those of its ids,
// and those that have subscribers of its topics, or clients of its users, or any. A
// client whose handshake or subscription was answered is among them: its loop counts
// as one that has some before the answer is made.
func (s *Server) concerned(t Target) (set loopSet) {
	switch {
	case t.all:
		for i, l := range s.loops {
			if l.clients.some.Load() {
				set.add(i)
			}
		}
	case len(t.topics) > 0:
		for _, name := range t.topics {
			s.topicLoops.addTo(&set, name)
		}
	case len(t.users) > 0:
		for _, name := range t.users {
			s.users.addTo(&set, s.users.hash(name))
		}
	default:
		for _, id := range t.clients {
			set.add(s.loopOf(id))
		}
	}
	return set
}
