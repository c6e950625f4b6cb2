package bench

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"wsd/conn"
	"wsd/netpoll"
)

// engine has the clients of one worker and drives them from one goroutine, its
// run method; only post may be called from elsewhere.
type engine struct {
	// Set before run, then constant.
	part    Part
	proto   conn.Protocol
	clock   clock
	poll    *netpoll.Poller
	targets []target
	sources []netip.Addr
	seed    uint64 // of the handshakes' nonces
	emit    func(event)

	// Owned by run. The clients: well-behaved ones first, then the groups'.
	clients     []client
	wellBehaved int
	now         int64 // read after each wait and each read
	quiet       int   // waits in a row that had no event
	events      []netpoll.Event
	inbuf       []byte
	outbuf      []byte
	bufs        buffers
	pend        pendings
	timers      timers
	rng         *rand.Rand
	cur         uint32          // the client being fed
	pinged      int             // pings in what it was fed
	again       []netpoll.Token // clients that were not read to the end
	up          int             // well-behaved clients connected, first answer included
	dialer      dialer
	groups      []groupState
	fan         *fanReader
	fanBase     uint32 // number of the phase's first published message
	fanMost     uint32 // how many there can be
	fanReported int64  // when the coordinator last heard of deliveries
	fanLog      []fanSeen
	phase       phaseState

	// Guarded by mu.
	mu    sync.Mutex
	inbox []command
}

// A busy loop waits for briefWait at most, which costs it the least (see
// netpoll.WaitFine). After quietWaits waits without an event it sleeps as long
// as it can.
const (
	briefWait  = time.Millisecond
	quietWaits = 4
)

// tickEvery is how often a worker says how it is doing.
const tickEvery = int64(time.Second)

func newEngine(part Part, emit func(event)) (*engine, error) {
	clk, err := newClock()
	if err != nil {
		return nil, err
	}
	poll, err := netpoll.NewFinePoller()
	if err != nil {
		return nil, err
	}
	total := part.Plan.Clients
	for _, g := range part.Plan.Groups {
		total += g.Count
	}
	e := &engine{
		part: part, emit: emit, clock: clk, poll: poll,
		proto:   conn.Protocol{Client: true, MaxMessage: part.Plan.MaxMessage},
		targets: part.Targets, sources: part.Sources, seed: rand.Uint64(),
		clients: make([]client, total), wellBehaved: part.Plan.Clients,
		events: make([]netpoll.Event, eventsAtOnce),
		inbuf:  make([]byte, part.Plan.MaxMessage+256<<10),
		outbuf: make([]byte, 0, 64<<10),
		rng:    rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
		fan:    newFanReader(part.Run),
	}
	e.bufs.most = part.Plan.MaxBuffered
	e.placeGroups()
	e.phase.template = new(template)
	e.now = clk.now()
	return e, nil
}

// post hands a command to run. Any goroutine may call it.
func (e *engine) post(c command) {
	e.mu.Lock()
	e.inbox = append(e.inbox, c)
	e.mu.Unlock()
	e.poll.Wake()
}

// next takes the oldest command.
func (e *engine) next() (c command, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.inbox) == 0 {
		return c, false
	}
	c = e.inbox[0]
	e.inbox = e.inbox[1:]
	return c, true
}

// run obeys commands until it is told to quit. Between phases clients are
// looked after all the same: pings are answered, closes noticed.
func (e *engine) run() error {
	defer e.close()
	for {
		c, ok := e.next()
		switch {
		case !ok:
			if err := e.pump(e.now + tickEvery); err != nil {
				return err
			}
		case c.Quit:
			return nil
		case c.Start != nil:
			if err := e.runPhase(c.Start); err != nil {
				return err
			}
		}
	}
}

func (e *engine) close() {
	for i := range e.clients {
		if c := &e.clients[i]; c.phase != down && c.phase != gone {
			e.drop(c)
		}
	}
	e.poll.Close()
}

// eventsAtOnce bounds how long what is due waits for what is ready: some 0.3 ms.
const eventsAtOnce = 64

// pump is one round of the loop: wait until something is ready or due, but
// not beyond until; then handle it.
func (e *engine) pump(until int64) error {
	e.now = e.clock.now()
	timeout := time.Duration(max(0, e.wake(until)-e.now))
	switch {
	case len(e.again) > 0:
		timeout = 0
	case e.quiet < quietWaits:
		timeout = min(timeout, briefWait)
	}
	n, _, err := e.poll.WaitFine(e.events, timeout)
	if err != nil {
		return err
	}
	e.quiet++
	if n > 0 {
		e.quiet = 0
	}
	e.now = e.clock.now()
	for i := range e.events[:n] {
		e.handle(&e.events[i])
	}
	e.readOn()
	e.fire()
	e.dialNext()
	return nil
}

// wake is when the next round has to come at the latest.
func (e *engine) wake(until int64) int64 {
	if at, ok := e.timers.next(); ok {
		until = min(until, at)
	}
	if at, ok := e.dialer.next(); ok {
		until = min(until, at)
	}
	return until
}

func (e *engine) handle(ev *netpoll.Event) {
	slot := ev.Token().Slot()
	c := &e.clients[slot]
	if c.gen != ev.Token().Generation() || c.phase == down || c.phase == gone {
		return // of a connection that this round has closed
	}
	if c.phase == dialing {
		e.decided(slot, c)
		return
	}
	if c.out != 0 && ev.Writable() {
		e.flush(c)
	}
	if c.behaviour.readsLate() && c.phase == open && !ev.Ended() {
		return
	}
	if ev.Readable() {
		e.read(slot, c, ev.Ended())
	}
}

// firedAtOnce bounds what is done of what is due before the sockets are looked
// at again.
const firedAtOnce = 256

// fire does what is due.
func (e *engine) fire() {
	for range firedAtOnce {
		at, ok := e.timers.next()
		if !ok || at > e.now {
			return
		}
		t := e.timers.pop()
		c := &e.clients[t.slot]
		if c.gen != t.gen {
			continue
		}
		switch t.what {
		case dueDeadline:
			e.expire(t.slot, c)
		case dueDial:
			e.enqueue(t.slot, c)
		case dueBeat:
			e.beat(t, c)
		case dueDeath:
			e.die(t.slot, c)
		default:
			e.misbehave(t, c)
		}
	}
}

func (e *engine) after(d int64, slot uint32, c *client, what due) {
	e.timers.push(timer{at: e.now + d, slot: slot, gen: c.gen, what: what})
}
