package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gobwas/ws"
	"github.com/google/uuid"
)

// ClientInfo describes a connected client.
type ClientInfo struct {
	ID          uuid.UUID
	Address     string // empty on a unix socket; without a port if a proxy told none
	Path        string // it came to
	ConnectedAt time.Time
	// LastSeen is when a byte of it was read last, as exact as the server's
	// tick: half a second, or less with short time-outs.
	LastSeen time.Time
	Topics   []string // sorted
	// User is whose it is, "" if that is not known. Expires is when its token does, the
	// zero time if it does not.
	User    string
	Expires time.Time
	// QueuedBytes and QueuedMessages wait because the client does not take
	// them. The bytes are the messages' own.
	QueuedBytes, QueuedMessages int
}

func (l *loop) info(slot uint32, c *client) ClientInfo {
	in := ClientInfo{ID: c.id, Path: l.server.cfg.Path, ConnectedAt: wallTime(c.since), Topics: l.topics.Of(slot),
		LastSeen: l.tickTime(c.stamp)}
	if in.LastSeen.Before(in.ConnectedAt) { // within the tick it came in
		in.LastSeen = in.ConnectedAt
	}
	if c.is(flagEcho) {
		in.Path = l.server.cfg.EchoPath
	}
	if c.is(flagKnown) {
		id := l.idents.at(slot)
		if in.Expires = timeOf(id.expires); id.user != 0 {
			in.User = string(l.names.of(id.user))
		}
	}
	switch a := c.remote(); {
	case !a.IsValid():
	case a.Port() == 0:
		in.Address = a.Addr().String()
	default:
		in.Address = a.String()
	}
	for n := c.head; n != 0; n = l.queue.at(n).next {
		in.QueuedMessages++
	}
	in.QueuedBytes = int(c.pending) - in.QueuedMessages*nodeCost
	return in
}

// tickTime is the beginning of a tick that has been, for people.
func (l *loop) tickTime(tick uint32) time.Time {
	now := time.Since(l.start) / l.tick
	return l.start.Add((now - time.Duration(uint32(now)-tick)) * l.tick).Round(0)
}

// on runs f in the loop and waits for it, or for ctx. It reports whether f ran.
func (s *Server) on(ctx context.Context, l *loop, f func(*loop)) bool {
	done := make(chan struct{})
	if !l.post(func(l *loop) { f(l); close(done) }) {
		return false
	}
	select {
	case <-done:
		return true
	case <-ctx.Done():
	case <-s.ended:
	}
	return false
}

// Client looks a client up. ok is false if there is none of that id, or ctx
// ended first.
func (s *Server) Client(ctx context.Context, id uuid.UUID) (info ClientInfo, ok bool) {
	found := make(chan ClientInfo, 1)
	s.on(ctx, s.loops[s.loopOf(id)], func(l *loop) {
		if slot, ok := l.byID.find(id); ok {
			found <- l.info(slot, l.clients.at(slot))
		}
	})
	select {
	case info = <-found:
		return info, true
	default:
		return info, false
	}
}

// What a page may cost the loop that makes it, so that a listing holds nobody up:
// some 0.5 ms. The unit is a message that waits for a client; each record costs
// some more to look at, and each topic is put in order and copied.
const (
	pageWork  = 1 << 14
	slotWork  = 4
	topicWork = 16
)

// ErrCursor is returned for a cursor that Clients did not make.
var ErrCursor = errors.New("not a cursor of this listing")

// Clients lists clients, at most limit (1 to 1000) of them, from cursor on, ""
// being the beginning. next is where to go on, "" at the end. A page may have
// fewer than limit, even none, with more to follow. Whoever is connected all
// the while is listed once.
func (s *Server) Clients(ctx context.Context, cursor string, limit int) (list []ClientInfo, next string, err error) {
	number, slot, err := s.parseCursor(cursor)
	if err != nil {
		return nil, "", err
	}
	limit = min(max(limit, 1), 1000)
	type page struct {
		list []ClientInfo
		next uint32
		more bool
	}
	result := make(chan page, 1)
	if !s.on(ctx, s.loops[number], func(l *loop) {
		var p page
		p.list, p.next, p.more = l.page(slot, limit)
		result <- p
	}) {
		return nil, "", cmp.Or(ctx.Err(), ErrStopped)
	}
	p := <-result
	switch {
	case p.more:
		next = fmt.Sprintf("%d-%d", number, p.next)
	case number+1 < len(s.loops):
		next = fmt.Sprintf("%d-0", number+1)
	}
	return p.list, next, nil
}

func (s *Server) parseCursor(cursor string) (number int, slot uint32, err error) {
	if cursor == "" {
		return 0, 0, nil
	}
	a, b, ok := strings.Cut(cursor, "-")
	n, err1 := strconv.Atoi(a)
	k, err2 := strconv.ParseUint(b, 10, 32)
	if !ok || err1 != nil || err2 != nil || n < 0 || n >= len(s.loops) {
		return 0, 0, ErrCursor
	}
	return n, uint32(k), nil
}

// page lists the open clients in slots from first on. The last of them may cost
// more than is left: whoever has the most topics and messages is listed, too.
func (l *loop) page(first uint32, limit int) (list []ClientInfo, next uint32, more bool) {
	size, work := l.clients.size(), 0
	for slot := first; slot < size; slot++ {
		if len(list) == limit || work >= pageWork {
			return list, slot, true
		}
		work += slotWork
		if c := l.clients.at(slot); c.state == stateOpen {
			in := l.info(slot, c)
			work += in.QueuedMessages + topicWork*len(in.Topics)
			list = append(list, in)
		}
	}
	return list, 0, false
}

// CloseClient closes a client with a close code and a reason. It reports
// whether there was one of that id.
func (s *Server) CloseClient(ctx context.Context, id uuid.UUID, code int, reason string) bool {
	found := make(chan struct{}, 1)
	s.on(ctx, s.loops[s.loopOf(id)], func(l *loop) {
		if slot, ok := l.byID.find(id); ok {
			l.close(slot, l.clients.at(slot), ReasonAdmin, ws.StatusCode(code), reason)
			found <- struct{}{}
		}
	})
	return len(found) == 1
}
