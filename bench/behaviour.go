package bench

import (
	"strings"
	"time"

	"github.com/gobwas/ws"

	"wsd/bench/report"
	"wsd/conn"
	"wsd/netpoll"
)

// behaviour is what a client does. All but the well-behaved are in groups of
// their own: what becomes of them is reported, their messages are not measured.
type behaviour uint8

const (
	wellBehaved   behaviour = iota
	slowReader              // reads Rate bytes a second
	stoppedReader           // never reads
	halfFrame               // sends half a message and nothing more
	slowHandshake           // sends its request at Rate bytes a second
	pingFlood               // sends Rate pings a second
)

var behaviourNames = [...]string{"well-behaved", "slow-reader", "stopped-reader", "half-frame", "slow-handshake", "ping-flood"}

// What a group does per second if its plan does not say.
var behaviourRates = [...]float64{slowReader: 1024, slowHandshake: 1, pingFlood: 100}

func behaviourOf(name string) behaviour {
	for i, n := range behaviourNames {
		if n == name {
			return behaviour(i)
		}
	}
	return wellBehaved
}

func behaviourList() string { return strings.Join(behaviourNames[1:], ", ") }

func (m behaviour) readsLate() bool { return m == slowReader || m == stoppedReader }

// dialed gives late readers a small receive buffer, so that the server soon
// sees that they do not read.
func (m behaviour) dialed(c *client) {
	if m.readsLate() {
		netpoll.SetReceiveBuffer(int(c.fd), 2048)
	}
}

// groupState is a group of an engine: clients[from:from+spec.Count].
type groupState struct {
	spec   Group
	from   int
	result report.Group
}

// placeGroups gives the groups their records, behind the well-behaved clients'.
func (e *engine) placeGroups() {
	at := e.wellBehaved
	for _, g := range e.part.Plan.Groups {
		m := behaviourOf(g.Behaviour)
		if g.Rate <= 0 && int(m) < len(behaviourRates) {
			g.Rate = behaviourRates[m]
		}
		for i := range g.Count {
			e.clients[at+i].behaviour = m
		}
		e.groups = append(e.groups, groupState{spec: g, from: at, result: report.Group{Behaviour: g.Behaviour, Count: g.Count}})
		at += g.Count
	}
	for i := range e.clients {
		e.clients[i].fd = -1
	}
}

func (e *engine) groupOf(slot uint32) *groupState {
	i := 0
	for i+1 < len(e.groups) && e.groups[i+1].from <= int(slot) {
		i++
	}
	return &e.groups[i]
}

// begun: a client of a group is connected and begins to misbehave.
func (e *engine) begun(slot uint32, c *client) {
	g := e.groupOf(slot)
	g.result.Opened++
	if c.behaviour != slowHandshake {
		e.dialer.inflight--
	}
	c.since = e.now
	switch c.behaviour {
	case slowReader:
		e.after(slowReadEvery, slot, c, dueSlowRead)
	case halfFrame:
		frame := conn.AppendMasked(nil, ws.OpText, true, make([]byte, 100), [4]byte{1, 2, 3, 4})
		e.write(slot, c, frame[:len(frame)/2])
	case pingFlood:
		e.after(0, slot, c, duePing)
	}
}

// refused: a client of a group was turned away or closed. It does not come back.
func (e *engine) refused(slot uint32, c *client, kind string) {
	r := &e.groupOf(slot).result
	if c.phase == dialing || c.phase == upgrading {
		r.Refused++
		if c.phase == dialing || c.behaviour != slowHandshake {
			e.dialer.inflight--
		}
	}
	r.Closes.Add(kind, 1)
	r.ClosedAfter.Record(e.now - c.since)
	e.shut(c)
	c.phase = gone
}

// Slow readers read this often.
const slowReadEvery = int64(100 * time.Millisecond)

// misbehave does the next thing that a client of a group is there for.
func (e *engine) misbehave(t timer, c *client) {
	g := e.groupOf(t.slot)
	switch t.what {
	case dueTrickle:
		e.trickle(t, c, g.spec.Rate)
	case dueSlowRead:
		e.slowRead(t, c, g.spec.Rate)
	case duePing:
		e.flood(t, c, g.spec.Rate)
	}
}

// groupResults is what became of the groups' clients in the phase.
func (e *engine) groupResults() []report.Group {
	var all []report.Group
	for i := range e.groups {
		r := &e.groups[i].result
		out := *r
		out.ClosedAfter = r.ClosedAfter.Take()
		all = append(all, out)
		*r = report.Group{Behaviour: r.Behaviour, Count: r.Count}
	}
	return all
}
