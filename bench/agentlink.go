package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// Agent is another host that takes part in a run: ServeRun is at the other end.
type Agent struct {
	// Name is what the report calls it.
	Name string
	// Here says that it is on the coordinator's own host.
	Here bool
	// Conn carries bytes both ways, in order. Run closes it. If it breaks, so does
	// the agent's part in the run.
	Conn io.ReadWriteCloser
}

// agentLink is the coordinator's end of an agent.
type agentLink struct {
	Agent
	clock   *clock
	checked chan *checked
	poked   chan struct{} // an answer to a probe has come
	gone    chan struct{} // closed when the agent is lost, or the run over
	heard   atomic.Int64  // when it last said something

	ahead atomic.Int64 // of its clock, in the phase that runs, ns

	writing sync.Mutex // of enc
	enc     *json.Encoder

	mu   sync.Mutex
	err  error // why it is lost
	emit func(i int, ev event)
	n    int         // workers
	best clockOffset // of the probes since measure began
}

// clockOffset is how far an agent's clock is ahead of the coordinator's, in ns. It
// is off by half the round trip at most, because the agent read its clock in the
// midst of it.
type clockOffset struct{ ahead, trip int64 }

func (o clockOffset) error() int64 { return (o.trip + 1) / 2 }

func newAgentLink(a Agent, clk *clock) *agentLink {
	l := &agentLink{
		Agent: a, clock: clk, enc: json.NewEncoder(a.Conn),
		checked: make(chan *checked, 1), poked: make(chan struct{}, 1), gone: make(chan struct{}),
	}
	l.heard.Store(clk.now())
	go l.listen()
	go l.watch()
	return l
}

func (l *agentLink) send(m toAgent) {
	l.writing.Lock()
	defer l.writing.Unlock()
	l.enc.Encode(m) // one that is gone is noticed by listen or watch
}

// listen takes what the agent says until it is lost.
func (l *agentLink) listen() {
	dec := json.NewDecoder(l.Conn)
	for {
		var m fromAgent
		if err := dec.Decode(&m); err != nil {
			l.lose(fmt.Errorf("its connection has ended: %w", err))
			return
		}
		now := l.clock.now()
		l.heard.Store(now)
		switch {
		case m.Probe != nil:
			l.probed(now, m.Probe)
		case m.Checked != nil:
			select {
			case l.checked <- m.Checked:
			default:
			}
		case m.Event != nil:
			l.pass(m.Worker, *m.Event)
		case m.Bye != "":
			l.lose(errors.New(m.Bye))
			return
		}
	}
}

func (l *agentLink) pass(worker int, ev event) {
	l.mu.Lock()
	emit := l.emit
	known := worker >= 0 && worker < l.n
	l.mu.Unlock()
	if emit != nil && known {
		emit(worker, ev)
	}
}

// watch asks for the agent's clock now and then, so that both know that the other
// is there.
func (l *agentLink) watch() {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		select {
		case <-l.gone:
			return
		case <-tick.C:
		}
		if time.Duration(l.clock.now()-l.heard.Load()) > aliveWithin {
			l.lose(fmt.Errorf("it has said nothing for %s", aliveWithin))
			return
		}
		l.probe()
	}
}

func (l *agentLink) probe() { l.send(toAgent{Probe: &probe{Sent: l.clock.now()}}) }

func (l *agentLink) probed(now int64, p *probe) {
	l.mu.Lock()
	if trip := now - p.Sent; l.best.trip == 0 || trip < l.best.trip {
		l.best = clockOffset{ahead: p.At - p.Sent - trip/2, trip: max(trip, 1)}
	}
	l.mu.Unlock()
	select {
	case l.poked <- struct{}{}:
	default:
	}
}

// How an agent's clock is measured: the shortest round trip of a few.
const (
	probesAtOnce  = 16
	measureWithin = 2 * time.Second
)

// measure compares the clocks. The estimate before stands if nothing comes back.
func (l *agentLink) measure(ctx context.Context) clockOffset {
	l.mu.Lock()
	before := l.best
	l.best = clockOffset{}
	l.mu.Unlock()
	late := time.NewTimer(measureWithin)
	defer late.Stop()
	for range probesAtOnce {
		l.probe()
		select {
		case <-l.poked:
			continue
		case <-late.C:
		case <-l.gone:
		case <-ctx.Done():
		}
		break
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.best.trip == 0 {
		l.best = before
	}
	return l.best
}

// lose gives the agent up; its workers are said to have ended.
func (l *agentLink) lose(why error) {
	l.mu.Lock()
	if l.err != nil {
		l.mu.Unlock()
		return
	}
	l.err = why
	emit, n := l.emit, l.n
	close(l.gone)
	l.mu.Unlock()
	l.Conn.Close()
	if emit != nil {
		for i := range n {
			emit(i, event{Error: why.Error()})
		}
	}
}

// check asks the agent what it can do of its share.
func (l *agentLink) check(ctx context.Context, req *checkRequest) (*checked, error) {
	l.send(toAgent{Check: req})
	select {
	case c := <-l.checked:
		return c, nil
	case <-l.gone:
		return nil, l.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// start has the agent start a worker for each part.
func (l *agentLink) start(parts []Part, emit func(i int, ev event)) error {
	l.mu.Lock()
	l.emit, l.n = emit, len(parts)
	err := l.err
	l.mu.Unlock()
	if err == nil {
		l.send(toAgent{Start: parts})
	}
	return err
}

// close ends the agent's part in the run.
func (l *agentLink) close() {
	l.mu.Lock()
	l.emit = nil
	l.mu.Unlock()
	l.send(toAgent{Quit: true})
	l.lose(errors.New("the run is over"))
}

// agentWorker is a worker of an agent.
type agentWorker struct {
	link  *agentLink
	index int // among the agent's
}

// post tells the worker, with a start how far its clock is ahead.
func (w *agentWorker) post(c command) {
	if c.Start != nil {
		start := *c.Start
		start.Ahead = w.link.ahead.Load()
		c.Start = &start
	}
	w.link.send(toAgent{Worker: w.index, Command: &c})
}

// wait does nothing: the agent ends its workers when its link is closed.
func (w *agentWorker) wait() error { return nil }
