package admin

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"
)

// The answers to publishes with an idempotency key go along to the process that
// takes over: who repeats a request to it must not publish twice.

// remembered is an entry of once, written down.
type remembered struct {
	Key     string  `json:"key"`
	Print   []byte  `json:"print"`
	Status  int     `json:"status"`
	Outcome outcome `json:"outcome"`
	// Left is for how long; an older process had Until instead, by the wall
	// clock. One of the two is set.
	Left  time.Duration `json:"left_ns,omitempty"`
	Until *time.Time    `json:"until,omitempty"`
}

// until is when the entry is to be forgotten, on the clock that nobody sets.
// What an older process said is bounded by window: its clock may have been set.
func (r *remembered) until(now time.Time, window time.Duration) time.Time {
	if r.Until != nil {
		return now.Add(min(r.Until.Sub(now.Round(0)), window))
	}
	return now.Add(r.Left)
}

// Remembered writes down what the admin side of the process that takes over has
// to know. It is for when Hold has returned: no publish is under way then.
func (s *Server) Remembered() ([]byte, error) {
	o := s.once
	o.mu.Lock()
	defer o.mu.Unlock()
	list := make([]remembered, 0, len(o.ended))
	now := o.now()
	for _, e := range o.ended {
		if left := e.until.Sub(now); left > 0 {
			list = append(list, remembered{Key: e.key, Print: e.print[:], Status: e.reply.status, Outcome: e.reply.outcome, Left: left})
		}
	}
	return json.Marshal(list)
}

// Remember takes in what another process's Remembered returned, nothing if that
// was nothing. It is for before Serve.
func (s *Server) Remember(state []byte) error {
	if len(state) == 0 {
		return nil
	}
	var list []remembered
	if err := json.Unmarshal(state, &list); err != nil {
		return fmt.Errorf("admin: the remembered publishes: %w", err)
	}
	o := s.once
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.now()
	for _, r := range list {
		until := r.until(now, o.window)
		if len(r.Print) != sha256.Size || o.entries[r.Key] != nil || !now.Before(until) {
			continue
		}
		if len(o.entries) >= o.max {
			if len(o.ended) == 0 {
				return nil // keys are not honoured here
			}
			o.forgetOldest()
		}
		e := &entry{key: r.Key, print: [sha256.Size]byte(r.Print), until: until, done: make(chan struct{}),
			reply: reply{status: r.Status, outcome: r.Outcome}}
		close(e.done)
		o.entries[e.key] = e
		o.ended = append(o.ended, e)
	}
	return nil
}
