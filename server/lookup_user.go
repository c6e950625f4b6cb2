package server

import (
	"cmp"
	"context"

	"github.com/gobwas/ws"
)

// CloseTopic closes every subscriber of a topic and says how many there were.
// They get what was published before, and, as in a publish, all others are served
// while a crowd is being closed. ctx ends the waiting, not the closing: the count
// is then that of the loops that are done.
func (s *Server) CloseTopic(ctx context.Context, name string, code int, reason string) (int, error) {
	return s.closeAll(ctx, Topic(name), code, reason)
}

// CloseUser is CloseTopic for the clients of a user.
func (s *Server) CloseUser(ctx context.Context, name string, code int, reason string) (int, error) {
	return s.closeAll(ctx, User(name), code, reason)
}

func (s *Server) closeAll(ctx context.Context, t Target, code int, reason string) (int, error) {
	d := newDelivery(nil, t)
	d.closing = &closing{code: ws.StatusCode(code), reason: reason, why: ReasonAdmin}
	if err := s.publishWhenRoom(ctx, d); err != nil {
		return 0, err
	}
	r, err := publishing{s, d}.Wait(ctx)
	return r.Matched, err
}

// UserClients lists the clients of a user, at most limit (1 to 1000) of them.
func (s *Server) UserClients(ctx context.Context, name string, limit int) (list []ClientInfo, err error) {
	limit = min(max(limit, 1), 1000)
	var set loopSet
	hash := s.users.hash(name)
	s.users.addTo(&set, hash)
	for i := range set.all {
		part := make(chan []ClientInfo, 1)
		if !s.on(ctx, s.loops[i], func(l *loop) { part <- l.userPage(hash, name, limit-len(list)) }) {
			return list, cmp.Or(ctx.Err(), ErrStopped)
		}
		if list = append(list, <-part...); len(list) >= limit {
			break
		}
	}
	return list, nil
}

// userPage lists up to n of a user's open clients, the youngest first; it may be fewer
// if they have very much.
func (l *loop) userPage(hash uint64, name string, n int) (list []ClientInfo) {
	work := 0
	for next := l.server.users.first(hash, l.number); next != 0 && len(list) < n && work < pageWork; {
		slot := next - 1
		id := l.idents.at(slot)
		work += slotWork
		if c := l.clients.at(slot); c.state == stateOpen && string(l.names.of(id.user)) == name {
			in := l.info(slot, c)
			work += in.QueuedMessages + topicWork*len(in.Topics)
			list = append(list, in)
		}
		next = id.next
	}
	return list
}
