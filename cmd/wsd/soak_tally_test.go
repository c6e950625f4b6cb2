package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"wsd/server"
)

// tally is what the generator has counted itself. A counter of the server has to
// be what is counted under its name, and at most as much more as under "maybe.".
type tally struct {
	mu sync.Mutex
	n  map[string]int64
}

func newTally() *tally { return &tally{n: map[string]int64{}} }

func (y *tally) add(name string, n int64) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.n[name] += n
}

func (y *tally) get(name string) int64 {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.n[name]
}

// published adds what became of a message: nil if nobody waited for that.
func (y *tally) published(o *outgoing, r *server.Result) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.n["publishes"]++
	if r == nil {
		for _, name := range []string{"queue", "expired", "sent"} {
			y.n["maybe."+name] += int64(len(o.members))
		}
		return
	}
	y.n["matched"] += int64(r.Matched)
	y.n["sent"] += int64(r.Sent)
	y.n["queue"] += int64(r.Queued)
	y.n["dropped"] += int64(r.Dropped)
	y.n["expired"] += int64(r.Expired)
}

// reckon holds the server's counters against the tally, and against each other.
func (s *soak) reckon(st *server.Stats) {
	s.t.Helper()
	s.tally.mu.Lock()
	defer s.tally.mu.Unlock()
	n := s.tally.n
	same := func(name string, got uint64) {
		s.t.Helper()
		s.within(name, int64(got), n[name], n[name]+n["maybe."+name])
	}
	same("accepted", st.Accepted)
	same("opened", st.Opened)
	closed := uint64(0)
	for _, reason := range slices.Sorted(maps.Keys(st.Closed)) {
		same("closed."+reason, st.Closed[reason])
		closed += st.Closed[reason]
	}
	s.within("closed, and members", int64(closed)+int64(len(s.members)), n["accepted"], n["accepted"])
	for _, why := range slices.Sorted(maps.Keys(st.Refused)) {
		same("refused."+why, st.Refused[why])
	}
	same("accept_errors", st.AcceptErrors)
	same("turned_away", st.TurnedAway)
	same("members who lack something", 0)
	same("messages_in", st.MessagesIn)
	same("action.heart_beat", st.Actions["heart_beat"][0])
	same("publishes", st.Publishes)
	same("expired", st.Expired)
	q := st.Queue
	same("queue", q.Queued)
	s.within("what became of the queue", int64(q.Sent+q.Evicted+q.Coalesced+q.Expired+q.Lost), int64(q.Queued), int64(q.Queued))
	least := n["sent"] + int64(q.Sent) + n["answers"]
	s.within("messages_out", int64(st.MessagesOut), least, least+n["maybe.sent"]+n["maybe.answers"])
	s.within("received by members and visitors", n["received"]+n["received by visitors"], 0, n["sent"]+n["maybe.sent"]+int64(q.Sent))
	s.within("left out for members", n["left out"], 0, int64(st.Expired+q.Expired+q.Coalesced))
	s.note("%d upgrades; %d connections, %d of them of strangers; %d publishes, %d broken off, %d streams cut by an upgrade; %d messages received, %d queued, %d coalesced, %d expired; %d storms of %d",
		len(s.upgraded), n["accepted"], n["strangers"], n["publishes"], n["broken off"], n["streams cut"], n["received"]+n["received by visitors"], q.Queued, q.Coalesced, st.Expired+q.Expired,
		n["storms"], s.plan.storm)
	var kinds []string
	for _, name := range slices.Sorted(maps.Keys(n)) {
		if _, kind, ok := strings.Cut(name, ": "); ok {
			kinds = append(kinds, fmt.Sprintf("%s %d", kind, n[name]))
		}
	}
	s.note("visitors and strangers: %s", strings.Join(kinds, ", "))
}

// within expects a counter between two bounds.
func (s *soak) within(name string, got, least, most int64) {
	s.t.Helper()
	line := fmt.Sprintf("%-34s %12d", name, got)
	switch {
	case least != most:
		line += fmt.Sprintf("   of %d to %d", least, most)
	case got == 0:
		return
	}
	s.note("%s", line)
	if got < least || got > most {
		s.t.Errorf("%s: the server counts %d, must be %d to %d", name, got, least, most)
		s.note("%s: FAILED, must be %d to %d", name, least, most)
	}
}

// note adds a line to the report.
func (s *soak) note(format string, args ...any) { fmt.Fprintf(&s.report, format+"\n", args...) }
