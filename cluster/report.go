package cluster

import (
	"encoding/binary"
	"sync"
	"time"

	"wsd/server"
)

// reports are the publishes of other nodes that are under way here, in their order. The
// walks of the loops end in nearly that order, too, so one goroutine waits for the
// first of them, and tells about all that have ended by then.
type reports struct {
	mu   sync.Mutex
	list []report
	more chan struct{} // holds a token when there is a new one
}

type report struct {
	to     string // subject of the node that asks
	number uint64
	here   server.OutcomeHere
	as     status    // what it is when it is done
	at     time.Time // it came
	said   time.Time // that it is at work; zero: never
}

func (r *reports) init() { r.more = make(chan struct{}, 1) }

func (r *reports) add(x report) {
	r.mu.Lock()
	r.list = append(r.list, x)
	r.mu.Unlock()
	select {
	case r.more <- struct{}{}:
	default:
	}
}

// When a node says that it is at work on a publish.
const (
	atWorkAfter = 100 * time.Millisecond
	atWorkEvery = time.Second
	// lookEvery is how often all are looked at while one of them takes long.
	lookEvery = 20 * time.Millisecond
)

func (n *Node) report() {
	look := time.NewTimer(time.Hour)
	defer look.Stop()
	for {
		first := n.firstReport()
		if first == nil {
			select {
			case <-n.reports.more:
				continue
			case <-n.alive().Done():
				return
			}
		}
		look.Reset(lookEvery)
		select {
		case <-first:
		case <-look.C:
		case <-n.alive().Done():
			return
		}
		n.tellReports()
	}
}

func (n *Node) firstReport() <-chan struct{} {
	r := &n.reports
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.list) == 0 {
		return nil
	}
	return r.list[0].here.Done()
}

// under is how many are under way.
func (r *reports) under() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.list)
}

func (n *Node) resultHead() []byte {
	return binary.LittleEndian.AppendUint64(append(make([]byte, 0, 128), version, kindResult), n.life)
}

// tellReports tells all that there is to tell, in one message for each node.
func (n *Node) tellReports() {
	r := &n.reports
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	var to string
	var body []byte
	kept := r.list[:0]
	for i := range r.list {
		x := r.list[i]
		a := answer{number: x.number, status: statusAtWork}
		result, done, err := x.here.Poll()
		switch {
		case err != nil: // the server has stopped
			continue
		case done:
			a.status, a.result, a.took = x.as, result, now.Sub(x.at)
		case now.Sub(x.at) > atWorkAfter && (x.said.IsZero() || now.Sub(x.said) > atWorkEvery):
			x.said = now
		default:
			kept = append(kept, x)
			continue
		}
		if !done {
			kept = append(kept, x)
		}
		if to != x.to && to != "" {
			_ = n.send(to, body)
			body = nil
		}
		if to = x.to; body == nil {
			body = n.resultHead()
		}
		body = a.append(body)
	}
	if to != "" {
		_ = n.send(to, body)
	}
	clear(r.list[len(kept):])
	if r.list = kept; len(kept) == 0 && cap(kept) > 1024 {
		r.list = nil
	}
}
