//go:build faults

package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"wsd/dispatch"
	"wsd/netpoll"
)

// Faults: a whole server, its sockets real, is driven by a script of what clients
// and a publisher do and of which system calls fail how. Beside it a model knows
// what each client may see (faultmodel_test.go). The bytes of a script are a fuzz
// target's input, or come from a seed; any bytes are a script.

// faultTotals is what all scripts of this process did.
var faultTotals struct{ scripts, sessions, publishes, faults atomic.Uint64 }

// drama runs a script.
type drama struct {
	t      *testing.T
	s      *site
	data   []byte // what is left of the script
	lines  []string
	policy Policy
	tight  bool // there is little memory for all
	ample  bool // as much may wait for a client as all scripts publish

	clients   []*actor // the first is never harmed
	published []publication
	stopping  bool

	// Of the faults, which the loops ask about.
	mu     sync.Mutex
	armed  []*armedFault
	ports  map[uint16]*actor
	counts map[string]int // injected errors that end a connection or keep one out
}

// armedFault has calls of a name fail, after the first skip of them, count times.
type armedFault struct {
	name        string
	who         *actor // whose calls; nil: anybody's but the first client's
	skip, count int
	fault       netpoll.Fault
}

// publication is a message that was published.
type publication struct {
	topic    int // -1: to all
	coalesce bool
	payload  string
}

const faultTopics = 3

// faultable are the calls that fail in a script.
var faultable = []string{"recvfrom", "sendto", "sendmsg", "accept4", "epoll_ctl", "epoll_wait", "write", "close", "shutdown", "open"}

// perform runs the script from the first to the last byte, with further faults, and
// then ends all.
func perform(t *testing.T, script []byte, more ...*armedFault) {
	before := inUse()
	d := &drama{t: t, data: script, armed: more, ports: map[uint16]*actor{}, counts: map[string]int{}}
	defer func() {
		netpoll.SetFaults(nil)
		if t.Failed() {
			t.Logf("script %x:\n%s", script, strings.Join(d.lines, "\n"))
		}
		for _, c := range d.clients {
			c.hangUp()
		}
	}()
	d.open()
	for len(d.data) > 0 {
		d.step()
	}
	d.finish()
	d.end()
	checkNoMore(t, before)
	faultTotals.scripts.Add(1)
	faultTotals.sessions.Add(uint64(len(d.clients)))
	faultTotals.publishes.Add(uint64(len(d.published)))
}

// next is the script's next byte, 0 behind its end.
func (d *drama) next() int {
	if len(d.data) == 0 {
		return 0
	}
	b := d.data[0]
	d.data = d.data[1:]
	return int(b)
}

func (d *drama) note(format string, args ...any) {
	d.lines = append(d.lines, fmt.Sprintf(format, args...))
}

// open starts the server that the first bytes ask for.
func (d *drama) open() {
	kind := d.next()
	d.policy = Policy(kind >> 1 & 3 % 3)
	m := dispatch.NewMux()
	dispatch.Builtins(m)
	dispatch.Handle(m, "pooled", func(_ *dispatch.Context, n int) (int, error) { return n, nil })
	cfg := Config{Mux: m, Logger: slog.New(alarm{slog.DiscardHandler, d.t}), Loops: 1 + kind&1, SlowConsumer: d.policy, MaxClients: 64, CloseTimeout: 300 * time.Millisecond,
		PendingLimit: []int{1 << 10, 8 << 10, 64 << 10, 4 << 20}[kind>>3&3], Workers: 4}
	d.s = newSite(d.t, cfg)
	if d.tight = kind>>5&3 == 3; d.tight {
		d.s.memory.limit.Store(24 << 10)
	}
	if kind&128 != 0 { // else a script is too short to fill it
		for _, l := range d.s.loops {
			l.scratch = l.scratch[:256]
		}
	}
	d.ample = cfg.PendingLimit == 4<<20 && !d.tight
	d.note("server: %d loops, %v, %d may wait, tight: %v", cfg.Loops, d.policy, cfg.PendingLimit, d.tight)
	if err := d.s.Start(); err != nil {
		d.t.Fatal(err)
	}
	first := d.connect()
	first.flush(-1)
	d.until("the first client is let in", func() bool { first.read(-1); return first.open })
	netpoll.SetFaults(d.plan)
}

// alarm fails the test at an error in the log: a fault of the kernel's is none of ours.
type alarm struct {
	slog.Handler
	t *testing.T
}

func (a alarm) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelError }
func (a alarm) Handle(_ context.Context, r slog.Record) error {
	a.t.Errorf("the server logs: %s", r.Message)
	return nil
}

// until waits for what has to happen.
func (d *drama) until(what string, ok func() bool) {
	d.t.Helper()
	for end := time.Now().Add(patience / 4); !ok(); time.Sleep(200 * time.Microsecond) {
		if time.Now().After(end) {
			d.t.Fatalf("did not happen: %s; %s", what, describe(d.s.Stats()))
		}
	}
}

// step does what the next bytes say.
func (d *drama) step() {
	op, who := d.next(), d.next()
	c := d.clients[who%len(d.clients)]
	switch op % 16 {
	case 0, 1:
		if len(d.clients) < 12 {
			c = d.connect()
			c.flush(cut(d.next()))
		}
	case 2:
		c.ask(d.next())
		c.flush(cut(d.next()))
	case 3:
		c.ask(d.next())
	case 4:
		c.flush(cut(d.next()))
	case 5:
		c.read(cut(d.next()))
	case 6:
		d.publish(who, d.next())
	case 7:
		c.setFull(!c.full, 8*max(d.next()-128, 0))
	case 8:
		d.leave(c, d.next())
	case 9, 10, 11:
		d.arm(who)
	case 12, 13:
		d.armShort(who)
	case 14:
		d.note("%d clients at a time from epoll_wait", 1+who%2)
		d.add(&armedFault{name: "epoll_wait", count: 1 + d.next()%32, fault: netpoll.Fault{Size: 1 + who%2}})
	case 15:
		switch who % 8 {
		case 3:
			d.closeTopic(who / 8 % faultTopics)
		case 5:
			d.letIn()
		}
		d.healthy()
	}
	if op < 192 { // else the next one comes upon it
		d.s.each(func(*loop) {})
		d.s.each(func(*loop) {})
	}
}

// cut is up to where bytes are written or read: mostly all.
func cut(b int) int {
	if b < 128 {
		return -1
	}
	return (b-128)*(b-128)/16 + 1
}

func (d *drama) connect() *actor {
	c := newActor(d, len(d.clients))
	d.clients = append(d.clients, c)
	d.note("%v connects", c)
	return c
}

// leave ends a client in one of several ways.
func (d *drama) leave(c *actor, how int) {
	if c.n == 0 || c.gone {
		return
	}
	switch how % 4 {
	case 0:
		d.note("%v says goodbye", c)
		c.say(frame(ws.OpClose, "\x03\xe8"))
		c.leaving = true
		c.flush(-1)
	case 1:
		d.note("%v is at its end", c)
		c.leaving = true
		_ = syscall.Shutdown(c.fd, syscall.SHUT_WR)
		c.out, c.shut = nil, true
	case 2:
		d.note("%v resets", c)
		_ = syscall.SetsockoptLinger(c.fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
		c.hangUp()
	case 3:
		d.note("%v hangs up", c)
		c.hangUp()
	}
}

func (d *drama) arm(who int) {
	name := faultable[d.next()%len(faultable)]
	errnos := netpoll.Possible[name]
	errno := errnos[d.next()%len(errnos)]
	when := d.next()
	d.add(&armedFault{name: name, who: d.whose(who), skip: when % 16 % 8, count: 1 + when/16%4, fault: netpoll.Fault{Errno: errno}})
}

func (d *drama) armShort(who int) {
	name := faultable[d.next()%3]
	size, when := 1+d.next(), d.next()
	d.add(&armedFault{name: name, who: d.whose(who), skip: when % 8, count: 1 + when/8, fault: netpoll.Fault{Size: size}})
}

// whose is the client that a fault is for, nil: anybody.
func (d *drama) whose(who int) *actor {
	if c := d.clients[who%len(d.clients)]; c.n != 0 {
		return c
	}
	return nil
}

func (d *drama) add(f *armedFault) {
	d.note("%s of %v, %d after %d: %v", f.name, f.who, f.count, f.skip, f.fault)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.armed = append(d.armed, f)
}

// plan answers the loops: what becomes of a call.
func (d *drama) plan(call netpoll.Call) netpoll.Fault {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.ports[peerPort(call.Fd)]
	if c != nil {
		if c.n == 0 {
			return netpoll.Fault{}
		}
		c.serverFd = call.Fd
		if c.full && strings.HasPrefix(call.Name, "send") {
			return c.takes(call.Size)
		}
	}
	for _, f := range d.armed {
		if f.name != call.Name || f.count == 0 || f.who != nil && f.who != c {
			continue
		}
		if f.skip > 0 {
			f.skip--
			continue
		}
		f.count--
		faultTotals.faults.Add(1)
		d.blame(c, f)
		return f.fault
	}
	return netpoll.Fault{}
}

// blame notes what a fault may do to a client.
func (d *drama) blame(c *actor, f *armedFault) {
	errno := f.fault.Errno
	soft := errno == 0 || errno == syscall.EAGAIN || errno == syscall.EINTR
	switch f.name {
	case "recvfrom", "sendto", "sendmsg":
		if c != nil && soft && f.name != "recvfrom" {
			c.slow = true // what is not taken has to wait, for a limit
		}
		if soft {
			return
		}
	case "epoll_ctl":
	case "accept4":
		if soft {
			return
		}
		c = nil
	default:
		return
	}
	d.counts[f.name]++
	if c != nil {
		c.broken = true
	}
}

// peerPort is that of the socket's other end, 0 if there is none.
func peerPort(fd int) uint16 {
	if fd < 0 {
		return 0
	}
	if sa, err := syscall.Getpeername(fd); err == nil {
		if in, ok := sa.(*syscall.SockaddrInet4); ok {
			return uint16(in.Port)
		}
	}
	return 0
}

// publish publishes to all or to a topic.
func (d *drama) publish(who, size int) {
	p := publication{topic: who%(faultTopics+1) - 1, coalesce: size%4 == 3}
	n := len(d.published)
	p.payload = fmt.Sprintf("P %d %d %s", n, p.topic, strings.Repeat("x", size*size/8))
	d.note("publish %d to topic %d, %d bytes", n, p.topic, len(p.payload))
	d.published = append(d.published, p)
	to := All()
	if p.topic >= 0 {
		to = Topic(topicName(p.topic))
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	m := Message{Data: []byte(p.payload)}
	if p.coalesce {
		m.Coalesce = "latest"
	}
	r, err := d.s.Publish(ctx, to, m)
	if err != nil {
		d.t.Fatalf("publish %d: %v", n, err)
	}
	if r.Matched != r.Sent+r.Queued+r.Dropped+r.Expired || r.Expired != 0 || r.Matched > len(d.clients) {
		d.t.Fatalf("publish %d: %+v", n, r)
	}
}

// closeTopic closes whoever has a topic.
func (d *drama) closeTopic(topic int) {
	d.note("topic %d is closed", topic)
	if d.clients[0].may[topic] >= 0 {
		return // it is harmed by nobody
	}
	most := 0
	for _, c := range d.clients[1:] {
		if c.may[topic] >= 0 {
			c.dismissed = true
			most++
		}
	}
	n, err := d.s.CloseTopic(context.Background(), topicName(topic), 4000, "")
	if err != nil || n > most {
		d.t.Fatalf("%d of at most %d clients of a topic were closed, %v", n, most, err)
	}
}

func topicName(n int) string { return fmt.Sprintf("topic.%d", n) }

// letIn waits until all newcomers are let in, faults or not.
func (d *drama) letIn() {
	d.t.Helper()
	d.note("newcomers are let in")
	for _, c := range d.clients {
		d.until(fmt.Sprintf("%v is let in", c), func() bool {
			if !c.open {
				c.read(-1)
			}
			return c.open || c.ended || c.gone || c.shut || c.full || !c.asked
		})
	}
}

// healthy: the first client is served, whatever happens to others.
func (d *drama) healthy() {
	d.t.Helper()
	c := d.clients[0]
	c.ask(0)
	d.served(c)
}

// served waits until a client has all its answers, or is at its end.
func (d *drama) served(c *actor) {
	d.t.Helper()
	d.until(fmt.Sprintf("%v has its answers", c), func() bool {
		c.flush(-1)
		c.read(-1)
		return c.ended || c.gone || len(c.requests) == 0 && c.open && len(c.out) == 0 && !c.leaving
	})
}

// finish lifts all faults and brings everybody to where the model knows for
// certain what was to be seen.
func (d *drama) finish() {
	d.note("no more faults")
	netpoll.SetFaults(nil)
	for _, c := range d.clients {
		c.setFull(false, 0)
	}
	for _, c := range d.clients { // nothing new helps a reader or a writer on
		d.served(c)
	}
	open := 0
	for _, c := range d.clients {
		if !c.gone && !c.ended && !c.leaving {
			c.ask(0)
		}
		d.served(c)
		if c.ended || c.gone {
			c.hangUp()
			continue
		}
		open++
		d.complete(c)
	}
	d.s.balanced()
	d.until("those who are open are counted", func() bool { return d.s.Stats().Clients.Open == int64(open) })
}

// complete: a client that was always served has got all that was for it.
func (d *drama) complete(c *actor) {
	missing := 0
	for n, p := range d.published {
		if since := c.subscribed(p.topic); since >= 0 && n >= since && !c.got[n] {
			missing++
			if p.coalesce && c.slow {
				missing-- // a newer one may have come instead
			} else if d.policy == CloseSlow {
				d.t.Errorf("%v did not get publish %d", c, n)
			}
		}
	}
	if missing > 0 && (!c.slow || d.ample) {
		d.t.Errorf("%v did not get %d messages, though it was never slow", c, missing)
	}
}

// end stops the server, some clients being there, and looks for what is left.
func (d *drama) end() {
	for i, c := range d.clients {
		if i%3 == 1 {
			c.hangUp()
		}
	}
	d.note("stop")
	d.stopping = true
	ctx, cancel := context.WithTimeout(context.Background(), patience/4)
	defer cancel()
	over := make(chan error, 1)
	go func() { over <- d.s.Stop(ctx, false) }()
	for {
		for _, c := range d.clients {
			if !c.gone {
				c.flush(-1)
				c.read(-1)
				if c.ended {
					c.hangUp()
				}
			}
		}
		select {
		case err := <-over:
			if err != nil {
				d.t.Errorf("Stop: %v", err)
			}
			d.s.checkEmpty()
			d.reasons()
			for _, c := range d.clients {
				c.hangUp()
			}
			return
		case <-time.After(200 * time.Microsecond):
		}
	}
}

// reasons: nobody is counted for what nobody did.
func (d *drama) reasons() {
	closed := d.s.Stats().Closed
	for _, why := range []Reason{ReasonHandshake, ReasonHandshakeTimeout, ReasonProtocol, ReasonUTF8, ReasonTooBig, ReasonPolicy,
		ReasonRate, ReasonIdle, ReasonSilent, ReasonUnfinished} {
		if closed[why.String()] != 0 {
			d.t.Errorf("%d clients are counted as %v", closed[why.String()], why)
		}
	}
	if n := closed[ReasonInternal.String()]; n > uint64(d.counts["epoll_ctl"]) {
		d.t.Errorf("%d clients ended for an error of ours, with %d of epoll_ctl", n, d.counts["epoll_ctl"])
	}
	var slow, dismissed, tight uint64
	for _, c := range d.clients {
		if c.slow {
			slow++
		}
		if c.dismissed {
			dismissed++
		}
		if d.tight {
			tight++
		}
	}
	for why, most := range map[Reason]uint64{ReasonSlow: slow, ReasonAdmin: dismissed, ReasonMemory: tight} {
		if n := closed[why.String()]; n > most {
			d.t.Errorf("%d clients ended as %v, of %d who can have", n, why, most)
		}
	}
}

var errTooLong = errors.New("the server sends more than it was asked for")
