package server

import (
	"net/netip"
	"time"

	"github.com/google/uuid"

	"wsd/dispatch"
	"wsd/topic"
)

// here is the client as an inline handler sees it: the one whose bytes the
// loop is feeding. It is the loop itself, so it costs nothing.
type here loop

func (h *here) ID() uuid.UUID              { return h.feeding.cur.id }
func (h *here) ConnectedAt() time.Time     { return wallTime(h.feeding.cur.since) }
func (h *here) RemoteAddr() netip.AddrPort { return h.feeding.cur.remote() }
func (h *here) Topics() []string           { return h.topics.Of(h.feeding.slot) }

func (h *here) Subscribe(topics ...string) error {
	err := (*loop)(h).subscribe(h.feeding.slot, h.feeding.cur, topics, false)
	if err == nil {
		h.subscribed(topics)
	}
	return err
}

func (h *here) Identity() any {
	return known((*loop)(h).identity(h.feeding.slot, h.feeding.cur))
}

func (h *here) SetIdentity(who any) error {
	err := (*loop)(h).reidentify(h.feeding.slot, h.feeding.cur, who)
	if err == nil {
		h.subscribed(identityOf(who).Topics)
	}
	return err
}

// subscribed has the answer wait until the cluster knows of the topics.
func (h *here) subscribed(topics []string) {
	if h.server.cluster != nil && len(topics) > 0 {
		h.feeding.subscribed = append(h.feeding.subscribed, topics...)
	}
}

// known is nobody as nil.
func known(who *Identity) any {
	if who == nil {
		return nil
	}
	return who
}

func (h *here) Unsubscribe(topics ...string) error {
	return (*loop)(h).unsubscribe(h.feeding.slot, topics)
}

// there is the client as a handler sees it from another goroutine. It asks the
// loop, and finds the client gone if it is.
type there struct {
	loop       *loop
	slot       uint32
	generation uint32
	id         uuid.UUID
	since      int64
	addr       netip.AddrPort
}

func (l *loop) there(slot uint32, c *client) there {
	return there{loop: l, slot: slot, generation: c.generation, id: c.id, since: c.since, addr: c.remote()}
}

func (t *there) ID() uuid.UUID              { return t.id }
func (t *there) ConnectedAt() time.Time     { return wallTime(t.since) }
func (t *there) RemoteAddr() netip.AddrPort { return t.addr }

func (t *there) Topics() (topics []string) {
	_ = t.do(func(l *loop, _ *client) error { topics = l.topics.Of(t.slot); return nil })
	return topics
}

func (t *there) Subscribe(topics ...string) error {
	err := t.do(func(l *loop, c *client) error { return l.subscribe(t.slot, c, topics, false) })
	if err == nil {
		t.loop.server.reachNow(topics)
	}
	return err
}

func (t *there) Identity() (who any) {
	_ = t.do(func(l *loop, c *client) error { who = known(l.identity(t.slot, c)); return nil })
	return who
}

func (t *there) SetIdentity(who any) error {
	err := t.do(func(l *loop, c *client) error { return l.reidentify(t.slot, c, who) })
	if err == nil {
		t.loop.server.reachNow(identityOf(who).Topics)
	}
	return err
}

func (t *there) Unsubscribe(topics ...string) error {
	return t.do(func(l *loop, _ *client) error { return l.unsubscribe(t.slot, topics) })
}

// errGone is for handlers whose client has left.
var errGone = &dispatch.Error{Code: dispatch.SystemException, Msg: "the client has left"}

// do runs f on the client's loop and waits for it.
func (t *there) do(f func(*loop, *client) error) error {
	done := make(chan error, 1)
	posted := t.loop.post(func(l *loop) {
		if c := l.clients.at(t.slot); c.generation == t.generation && c.state == stateOpen {
			done <- f(l, c)
			return
		}
		done <- errGone
	})
	if !posted {
		return errGone
	}
	select {
	case err := <-done:
		return err
	case <-t.loop.server.ended:
		return errGone
	}
}

// subscribe adds topics to the client's, all or none. granted: they are its token's.
func (l *loop) subscribe(slot uint32, c *client, topics []string, granted bool) error {
	for _, name := range topics {
		if err := topic.ValidName(name); err != nil {
			return &dispatch.Error{Code: dispatch.InvalidParams, Msg: err.Error()}
		}
		if !granted && !l.maySubscribe(slot, c, name) {
			return &dispatch.Error{Code: dispatch.PermissionDenied}
		}
	}
	c.set(flagSubscribed)
	added := make([]string, 0, len(topics))
	for _, name := range topics {
		if l.topics.Has(slot, name) {
			continue
		}
		if err := l.topics.Subscribe(slot, name); err != nil {
			l.count.n[nTopicLimit]++
			_ = l.unsubscribe(slot, added) // all or nothing
			return &dispatch.Error{Code: dispatch.PermissionDenied, Msg: err.Error()}
		}
		added = append(added, name)
	}
	return nil
}

func (l *loop) unsubscribe(slot uint32, topics []string) error {
	for _, name := range topics {
		l.topics.Unsubscribe(slot, name)
	}
	return nil
}
