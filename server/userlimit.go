package server

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/gobwas/ws"
	"github.com/google/uuid"
)

// limitOf is how many clients a user may have; 0: any number.
func (s *Server) limitOf(who *Identity) int {
	switch {
	case who.Subject == "":
		return 0
	case who.Limit > 0:
		return who.Limit
	}
	return s.cfg.MaxPerUser
}

// refuseBeyond is limitOf if one more is refused, else 0.
func (s *Server) refuseBeyond(who *Identity) int {
	if s.cfg.MaxPerUserPolicy == CloseOldest {
		return 0
	}
	return s.limitOf(who)
}

// closeBeyond has the oldest clients of a user closed who has more than they may, if
// that is the policy: those here, and then those of all nodes.
func (s *Server) closeBeyond(who *Identity) {
	limit := s.limitOf(who)
	if limit == 0 || s.cfg.MaxPerUserPolicy != CloseOldest {
		return
	}
	s.thin(who.Subject, limit)
	if s.cluster != nil {
		s.cluster.ThinUser(who.Subject, limit)
	}
}

// thin closes the oldest client of a user who has more than limit here. It asks all
// loops that have clients of the user.
func (s *Server) thin(user string, limit int) {
	var set loopSet
	hash := s.users.hash(user)
	if s.users.addTo(&set, hash) <= limit {
		return
	}
	search := &oldestSearch{left: set.len(), limit: limit}
	for i := range set.all {
		s.loops[i].post(func(l *loop) { l.searchOldest(search, user, hash) })
	}
}

// oldestSearch is for a user's client that came first, over several loops.
type oldestSearch struct {
	limit int

	mu    sync.Mutex
	left  int
	loop  *loop
	slot  uint32
	gen   uint32
	since int64
}

func (l *loop) searchOldest(o *oldestSearch, user string, hash uint64) {
	slot, c := l.oldestOf(user, hash)
	o.mu.Lock()
	defer o.mu.Unlock()
	if c != nil && (o.loop == nil || c.since < o.since) {
		o.loop, o.slot, o.gen, o.since = l, slot, c.generation, c.since
	}
	if o.left--; o.left > 0 || o.loop == nil {
		return
	}
	slot, gen, limit := o.slot, o.gen, o.limit
	o.loop.post(func(l *loop) {
		if c := l.clients.at(slot); c.generation == gen {
			l.displace(slot, c)
		}
		l.server.thin(user, limit) // two searches may have found the same one
	})
}

// oldestOf is the open client of a user that came first to this loop; nil: none.
func (l *loop) oldestOf(user string, hash uint64) (slot uint32, oldest *client) {
	for next := l.server.users.first(hash, l.number); next != 0; next = l.idents.at(next - 1).next {
		c := l.clients.at(next - 1)
		if c.state == stateOpen && (oldest == nil || c.since < oldest.since) && string(l.names.of(l.idents.at(next-1).user)) == user {
			slot, oldest = next-1, c
		}
	}
	return slot, oldest
}

// displace closes a client for a newer one of its user.
func (l *loop) displace(slot uint32, c *client) {
	l.close(slot, c, ReasonUserLimit, ws.StatusPolicyViolation, "a newer connection of this user took its place")
}

// The rest is for a cluster, whose nodes look for the oldest one together.

// UserCount is how many clients a user has here, newcomers whose handshake is not
// answered yet among them. It takes no time.
func (s *Server) UserCount(name string) int {
	var set loopSet
	return s.users.addTo(&set, s.users.hash(name))
}

// OldestOfUser finds the client of a user that came first, and how long ago that was.
// ok is false if there is none. The error is ctx's, or ErrStopped.
func (s *Server) OldestOfUser(ctx context.Context, name string) (id uuid.UUID, age time.Duration, ok bool, err error) {
	var set loopSet
	hash := s.users.hash(name)
	s.users.addTo(&set, hash)
	type found struct {
		id    uuid.UUID
		since int64
	}
	var first int64
	for i := range set.all {
		part := make(chan found, 1)
		if !s.on(ctx, s.loops[i], func(l *loop) {
			if _, c := l.oldestOf(name, hash); c != nil {
				part <- found{c.id, c.since}
			}
		}) {
			return id, 0, false, cmp.Or(ctx.Err(), ErrStopped)
		}
		select {
		case f := <-part:
			if !ok || f.since < first {
				id, first, ok = f.id, f.since, true
			}
		default:
		}
	}
	return id, time.Duration(instant() - first), ok, nil
}

// Displace closes a client since its user has a newer one too many, and reports whether
// it was there.
func (s *Server) Displace(ctx context.Context, id uuid.UUID) bool {
	found := make(chan struct{}, 1)
	s.on(ctx, s.loops[s.loopOf(id)], func(l *loop) {
		if slot, ok := l.byID.find(id); ok {
			l.displace(slot, l.clients.at(slot))
			found <- struct{}{}
		}
	})
	return len(found) == 1
}
