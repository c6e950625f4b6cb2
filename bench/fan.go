package bench

import (
	"math"
	"time"
)

// fanSeen is what a worker saw of one published message.
type fanSeen struct {
	Count int   `json:"count"`
	First int64 `json:"first"` // CLOCK_MONOTONIC ns
	Last  int64 `json:"last"`
}

// publishes is how many messages the phase publishes at most.
func (ph *Phase) publishes() uint32 {
	if ph.Kind == Publish {
		return uint32(min(int64(ph.Count), math.MaxUint32))
	}
	return uint32(min(math.Ceil(ph.PublishRate*time.Duration(ph.Duration).Seconds())+1, math.MaxUint32))
}

// lastPublished is the number of the last published message seen by anybody.
func (e *engine) lastPublished() uint32 { return e.fanBase + uint32(len(e.fanLog)) - 1 }

// delivered counts published message n, due at time at, for client c.
func (e *engine) delivered(c *client, n uint32, at int64) {
	counts := &e.phase.counts
	if n < e.fanBase {
		counts.Late++
		return
	}
	if n-e.fanBase >= e.fanMost {
		counts.Unsolicited++ // not of ours, whatever it says
		return
	}
	switch {
	case n == c.seen:
		counts.Duplicates++
		return
	case n < c.seen:
		counts.Reordered++
	default:
		c.seen = n
	}
	i := int(n - e.fanBase)
	for len(e.fanLog) <= i {
		e.fanLog = append(e.fanLog, fanSeen{})
	}
	f := &e.fanLog[i]
	if f.Count == 0 {
		f.First = e.now
	}
	f.Count++
	f.Last = e.now
	counts.Deliveries++
	e.phase.fanout.Record(e.now - at)
	switch {
	case f.Count == e.up:
		e.emit(event{Fan: &fanEvent{Number: n, Count: f.Count}})
	case e.now-e.fanReported >= arrivalEvery:
		e.emit(event{Fan: &fanEvent{Number: n}})
	default:
		return
	}
	e.fanReported = e.now
}

// arrivalEvery is how often a worker says that deliveries come in.
const arrivalEvery = int64(100 * time.Millisecond)

// countUndelivered counts what the clients that were there at the begin of the
// phase did not get of what was published in it.
func (e *engine) countUndelivered() {
	if !e.phase.publishing {
		return
	}
	want := min(e.phase.upAtStart, e.up)
	for i := range e.phase.published {
		got := 0
		if i < len(e.fanLog) {
			got = e.fanLog[i].Count
		}
		if got < want {
			e.phase.counts.Lost += uint64(want - got)
		}
	}
}
