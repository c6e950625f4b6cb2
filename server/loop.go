package server

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"wsd/conn"
	"wsd/dispatch"
	"wsd/netpoll"
	"wsd/topic"
)

const (
	// batch is how many ready sockets are served before inbox, publishes and
	// time get their turn.
	batch = 256
	// readSize is the most that is read from one client at a time.
	readSize = 64 << 10
	// flushSize is how many bytes of answers collect before they are written.
	flushSize = 32 << 10
)

// loop owns a share of the clients: it alone reads, writes and closes them.
// A worker of the server's pool runs it while it has something to do; the
// watcher tells when that is. Nothing in here needs a lock but the inbox.
type loop struct {
	// Constant once the loop runs.
	server *Server
	number int
	poll   *netpoll.Poller
	start  time.Time     // of tick 0
	tick   time.Duration // length of one
	nanos  func() int64  // since start, for measuring

	// running is held by the worker that runs the loop: there is never a
	// second one, and each one sees what the one before it did.
	running sync.Mutex

	// Owned by the running worker.
	clients slab
	byID    *directory
	topics  topic.Table
	wheel   wheel
	extras  extras
	idents  idents // of the clients that are known
	names   names  // of their users
	grants  grantsTable
	buffers buffers
	queue   queue
	joiners joiners
	dead    []uint32 // clients to be freed at the end of the batch
	walks   []*walk  // publishes under way, oldest first
	fans    []*walk  // what clients send to each other, likewise
	drain   drain
	count   counters
	accept  *acceptor // of the first loop; nil in the others
	warned  time.Time // of sockets that cannot be watched

	// Of the turn.
	events  []netpoll.Event
	ready   int    // events of this turn
	scratch []byte // what read reads into
	out     []byte // answers of the client that is being read
	again   fifo   // clients that are read on after others
	budget  budget // of the client that is being fed
	active  uint32 // tick at which something happened last
	yield   bool   // other goroutines have got something to do
	stopped bool

	// feeding is the client whose bytes are being fed, and its request, for the
	// sink's methods.
	feeding struct {
		slot uint32
		cur  *client
		env  dispatch.Envelope
		ctx  dispatch.Context
		code dispatch.Code // of the last answer
		own  []byte        // payload to be sent out of the client's own buffer: see sendOwn
		// subscribed are topics of this request that the cluster may have to hear of first.
		subscribed []string
	}
	req conn.Request // of the handshake that is being answered

	// pooled is what workers, and others, do for clients.
	pooled struct {
		calls   []*call // requests under way, oldest first, and some that have ended
		waiting int     // clients of those that have not
		handed  bool    // some began in this turn: see letWork
		checks  []check // what waits for a look at a token, oldest first
		looking int     // workers that are at it
	}

	reaching []*reaching // answers to subscribe that wait for the cluster

	// slow is the clients that do not take what is sent to them.
	slow struct {
		stuck []uint32 // those with a send queue
		// unchecked is how many of stuck have still to be looked at in this round,
		// which is the first after the loop stood still if stalled is set.
		unchecked int
		stalled   bool
		from      uint32 // the tick at which it began to stand still
	}

	holders  holders     // the clients that make the server hold memory, by how much
	heavier  bool        // somebody has come to hold more since shed looked last
	shedding bool        // more have to go, in the next turn
	asked    atomic.Bool // shed is posted

	handover struct {
		drainingActions bool     // pooled actions are put off
		fanoutPaused    bool     // so is what is for other clients
		waiters         []uint32 // clients whose request was put off
		barrier         *barrier // to stand still by at the end of the turn
	}

	snapshot snapshot // what Stats knows; has a lock of its own

	// inbox is the door for everyone else.
	inbox struct {
		mu      sync.Mutex
		tasks   []func(*loop)
		answers []*call // that came back, for what was handed over
		posted  bool    // a wake-up is on its way
		awake   bool    // none is needed: the loop looks into it before it sleeps
		closed  bool    // nobody looks into it any more

		// Of the running worker: the other halves, to be swapped.
		spare        []func(*loop)
		spareAnswers []*call
	}
}

// run is the worker's task: it turns the loop until it is dry, and then asks
// the watcher to call again.
func (l *loop) run() {
	l.running.Lock()
	for l.turn() {
	}
	stopped := l.stopped
	if stopped {
		l.shut()
	}
	l.running.Unlock()
	if stopped {
		l.server.loopEnded(l)
		return
	}
	if err := l.server.watcher.Rearm(l.poll); err != nil {
		l.server.log.Error("loop is lost: the watcher does not take it back", "loop", l.number, "error", err)
	}
}

// turn serves one batch of whatever there is. It says whether to go on.
func (l *loop) turn() bool {
	n, woken, err := l.wait()
	if err != nil {
		l.server.log.Error("waiting for events failed", "loop", l.number, "error", err)
		return false
	}
	var began time.Time
	timed := sampled(l.count.n[nTurns])
	if timed {
		began = time.Now()
	}
	l.ready = n + l.again.len()
	var reading int64 // nanoseconds
	if l.walking() > 0 {
		reading = -l.nanos()
	}
	for i := range l.events[:n] {
		l.event(&l.events[i])
	}
	l.continueReading()
	if reading != 0 {
		reading += l.nanos()
	}
	switch {
	case l.pooled.handed:
		l.letWork()
	case woken:
		l.takeInbox()
	}
	if woken {
		l.passTime()
	}
	l.walkOn(reading)
	l.workOff()
	l.shed()
	l.reap()
	if l.handover.barrier != nil {
		l.quiesce()
	}
	l.count.n[nTurns]++
	l.count.n[nEvents] += uint64(n)
	l.count.batchSize.number(n)
	if timed {
		l.count.turnSeconds.duration(time.Since(began))
	}
	return l.goOn(n)
}

// goOn says whether the worker keeps the loop: until one whole tick has passed
// in which nothing happened.
func (l *loop) goOn(n int) bool {
	if n > 0 || l.busy() {
		l.active = l.wheel.now
	}
	return !l.stopped && l.wheel.now-l.active < 2
}

// wait gets the next batch. It sleeps for it if there is nothing else to do: first
// briefly, keeping the processor, which is cheapest (Doze); then so that other
// goroutines get the processor (Park), at once if this loop has given them work.
func (l *loop) wait() (n int, woken bool, err error) {
	if l.busy() {
		yield := l.yield
		l.yield = false
		return l.poll.Look(l.events, yield)
	}
	if !l.yield {
		n, woken, err = l.poll.Doze(l.events)
		if n > 0 || woken || err != nil {
			return n, woken, err
		}
	}
	l.yield = false
	return l.poll.Park(l.events)
}

// busy says that there is work which no event will announce.
func (l *loop) busy() bool {
	return l.pooled.handed || l.again.len() > 0 || l.walking() > 0 || l.wheel.looking() || l.slow.unchecked > 0 || l.drain.quota > 0 || l.shedding ||
		l.accept != nil && l.accept.sweeping
}

// workOff does a slice of what a tick brought for many clients at once, so that
// the ready sockets are served in between.
func (l *loop) workOff() {
	l.lookOn(lookSlice)
	l.checkStuck(stuckSlice)
	l.drainOn(drainSlice)
	if l.accept != nil && l.accept.sweeping {
		l.accept.sweep(l)
	}
}

// event serves one ready descriptor. Stale ones name a generation that is gone.
func (l *loop) event(ev *netpoll.Event) {
	t := ev.Token()
	if t.Generation() == 0 { // no client has generation 0
		if l.accept != nil {
			l.accept.ready(l, int(t.Slot()))
		}
		return
	}
	c := l.clients.find(t)
	if c == nil || c.state == stateDead {
		l.count.n[nStale]++
		return
	}
	if ev.Writable() && c.head != 0 {
		l.flush(t.Slot(), c)
	}
	if ev.Readable() {
		l.readable(t.Slot(), c, ev.Ended())
		if l.heavier {
			l.shed()
		}
	}
}

// passTime looks at the clock and sees to what has fallen due.
func (l *loop) passTime() {
	now := l.ticks(time.Since(l.start))
	if now == l.wheel.now {
		return
	}
	stalled := now-l.wheel.now > l.timeout(time.Second)
	if stalled {
		l.slow.from = l.wheel.now
	}
	l.turnWheel(now)
	if l.slow.stalled = stalled || l.slow.stalled && l.slow.unchecked > 0; l.slow.unchecked == 0 {
		l.slow.unchecked = len(l.slow.stuck) // else a round of an earlier tick is under way
	}
	l.checkCalls()
	l.joiners.calm(now)
	l.drainTick()
	if l.accept != nil {
		l.accept.tick(l)
	}
}

// ticks converts a duration to ticks, rounded down. They wrap: see before.
func (l *loop) ticks(d time.Duration) uint32 { return uint32(d / l.tick) }

// timeout converts a time-out to ticks, rounded up, and one more, since the
// present tick is already partly over: nobody is cut short.
func (l *loop) timeout(d time.Duration) uint32 {
	return uint32(min(int64((d+l.tick-1)/l.tick)+1, math.MaxInt32))
}

// reap closes and frees the clients that died in this batch. Not before its
// end: until then an event of the batch may still name them, and the kernel
// must not give their descriptors to newcomers.
func (l *loop) reap() {
	for _, slot := range l.dead {
		l.free(slot, l.clients.at(slot))
	}
	l.dead = l.dead[:0]
}
