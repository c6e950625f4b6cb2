package cluster

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"wsd/server"
)

// inbox has the publishes of other nodes that have come and are not begun, in their
// order. When it is full the sender is told at once that this node is behind.
type inbox struct {
	mu    sync.Mutex
	some  sync.Cond
	list  []arrival
	bytes int
	shut  bool
	busy  bool // deliver is at one of them
	// last is the number of the last publish of each life. What is not above it came by
	// an old connection, and was given up long ago.
	last map[uint64]uint64
}

// arrival is a publish, or a question that waits for its turn among them.
type arrival struct {
	from string // subject of the node that sent it
	data []byte // with its head
	at   time.Time
	ask  *question
}

func (b *inbox) init() {
	b.some.L = &b.mu
	b.last = map[uint64]uint64{}
}

func (b *inbox) put(a arrival) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.list) >= inboxMessages || b.bytes+len(a.data) > inboxBytes && b.bytes > 0 {
		return false
	}
	b.list = append(b.list, a)
	b.bytes += len(a.data)
	b.some.Signal()
	return true
}

// take waits for the next one; ok is false when the inbox was shut.
func (b *inbox) take() (a arrival, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.busy = false
	for len(b.list) == 0 && !b.shut {
		b.some.Wait()
	}
	if b.shut {
		return a, false
	}
	a = b.list[0]
	b.list[0] = arrival{}
	if b.list = b.list[1:]; len(b.list) == 0 {
		b.list = nil // its array has only the past
	}
	b.bytes -= len(a.data)
	b.busy = true
	return a, true
}

// behind is how much waits.
func (b *inbox) behind() (messages, bytes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.list), b.bytes
}

// next notes a publish's number, and says whether it is above the last of its life.
func (b *inbox) next(life, number uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if number <= b.last[life] {
		return false
	}
	if len(b.last) > 4096 {
		clear(b.last) // lives that are over; it takes years
	}
	b.last[life] = number
	return true
}

// lasts is a copy of the last numbers.
func (b *inbox) lasts() map[uint64]uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.last)
}

// idle says that nothing waits, nor is about to begin.
func (b *inbox) idle() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.list) == 0 && !b.busy
}

func (b *inbox) reopen() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.shut = false
}

func (b *inbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.shut = true
	b.some.Broadcast()
}

// arrivedTogether is for publishes that NATS has brought in one message.
func (n *Node) arrivedTogether(from string, body []byte) {
	now := time.Now()
	if !separate(body, func(data []byte) { n.arrived(from, data, now) }) {
		n.count.unknown.Add(1)
	}
}

// arrived is for a publish that NATS has brought.
func (n *Node) arrived(from string, data []byte, now time.Time) {
	if len(data) < atTexts {
		n.count.unknown.Add(1)
		return
	}
	if n.inbox.put(arrival{from: from, data: data, at: now}) {
		return
	}
	n.count.dropped.Add(1)
	if p, err := readPublish(data); err == nil && !p.tell {
		n.say(from, &answer{number: p.number, status: statusBehind})
	}
}

// deliver begins one publish after the other. While as many as may be are under way
// here, it waits, and the inbox fills.
func (n *Node) deliver() {
	stop := context.AfterFunc(n.alive(), n.inbox.close)
	defer stop()
	for {
		a, ok := n.inbox.take()
		if !ok {
			return
		}
		if a.ask != nil {
			n.reply(a.from, a.ask)
			continue
		}
		p, err := readPublish(a.data)
		if err != nil {
			n.count.unknown.Add(1)
			continue
		}
		if !n.inbox.next(p.life, p.number) {
			n.count.stale.Add(1)
			continue
		}
		n.begin(a, &p)
	}
}

// begin begins one publish of another node here.
func (n *Node) begin(a arrival, p *publish) {
	if p.tell {
		if errors.Is(n.server.TellHere(p.to, p.m), server.ErrBacklog) {
			n.count.dropped.Add(1)
		}
		return
	}
	var here server.OutcomeHere
	var err error
	x := report{to: a.from, number: p.number, at: a.at, as: statusDone}
	switch {
	case p.once.Key != "" && n.keys.max > 0:
		var replayed bool
		if here, replayed, err = n.once(n.alive(), p, p.note); replayed {
			x.as = statusAgain
		}
	case p.note:
		n.say(a.from, &answer{number: p.number, status: statusDone})
		return
	default:
		here, err = n.server.BeginHere(n.alive(), p.to, p.m)
	}
	switch {
	case errors.Is(err, server.ErrKeyUsed):
		n.say(a.from, &answer{number: p.number, status: statusOther})
		return
	case err != nil:
		n.say(a.from, &answer{number: p.number, status: statusBehind})
		return
	}
	x.here = here
	n.reports.add(x)
}

// say sends one answer.
func (n *Node) say(to string, a *answer) {
	_ = n.send(to, a.append(n.resultHead())) // if NATS is away, that node knows
}
