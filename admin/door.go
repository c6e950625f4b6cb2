package admin

import "net/http"

// door stands in front of everything and decides what a request may hold up.
//
//   - A health check is answered at once, whatever else goes on: no publisher and
//     no stranger takes its place.
//   - A stranger's request (what the guard refuses, and the status page's empty
//     frame) gets one answer, of which there are few at once, and little time to
//     take it. A handover does not wait for it.
//   - All others have places: as many as there may be connections, but for some
//     that are left to health checks. One for which there is no place waits, until
//     another connection needs the room.
type door struct {
	guard     *guard
	turnstile *turnstile
	conns     *limitListener
	places    chan struct{}
}

func newDoor(g *guard, t *turnstile, conns *limitListener) *door {
	return &door{guard: g, turnstile: t, conns: conns, places: make(chan struct{}, max(conns.most()-conns.few(), 1))}
}

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := connOf(r)
	switch {
	case isHealth(r.URL.Path):
		d.turnstile.pass(w, r)
	case !d.guard.trusts(r):
		c.toStranger()
		w.Header().Set("Connection", "close")
		d.turnstile.pass(w, r)
	case d.enter(r, c):
		defer func() { <-d.places }()
		d.turnstile.ServeHTTP(w, r)
	default:
		d.refuse(w, r)
	}
}

func (d *door) refuse(w http.ResponseWriter, r *http.Request) {
	d.conns.refused.Add(1)
	deadlines(w, r, false)
	harden(w.Header())
	w.Header().Set("Connection", "close")
	w.Header().Set("Retry-After", "1")
	problem(w, http.StatusServiceUnavailable, "too many requests are under way: this one has not begun")
}

// enter waits for a place.
func (d *door) enter(r *http.Request, c *limitedConn) bool {
	select {
	case d.places <- struct{}{}:
	default:
		select {
		case d.places <- struct{}{}:
		case <-c.toWait():
			return false
		case <-r.Context().Done():
			return false
		}
	}
	if !c.toBusy() {
		<-d.places
		return false
	}
	return true
}
