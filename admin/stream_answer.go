package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"wsd/server"
)

// maxErrors bounds the errors told with answer=errors: a publisher that first
// sends everything and then reads must not be stuck on them.
const maxErrors = 1000

// summary is the last line of the answer.
type summary struct {
	Lines     int    `json:"lines"`     // that were not empty
	Published int    `json:"published"` // without an error
	Failed    int    `json:"failed"`
	Replayed  int    `json:"replayed"` // published before, by their key
	End       string `json:"end"`      // complete, or why the stream ended before its body
	server.Result
}

func (s *summary) add(r *server.Result) {
	s.Matched += r.Matched
	s.Sent += r.Sent
	s.Queued += r.Queued
	s.Dropped += r.Dropped
	s.Expired += r.Expired
}

// lineAnswer is the answer to a line that failed, or was not waited for.
type lineAnswer struct {
	Line     int    `json:"line"` // from 1, empty ones counted
	Status   int    `json:"status,omitempty"`
	Error    string `json:"error,omitempty"`
	Accepted bool   `json:"accepted,omitempty"`
	Replayed bool   `json:"replayed,omitempty"`
}

// lineOutcome is the answer to one that was.
type lineOutcome struct {
	Line int `json:"line"`
	outcome
	Replayed bool `json:"replayed,omitempty"`
}

// tell answers what the reader began, in that order, until there is no more.
func (s *stream) tell() {
	for b := range s.begun {
		if b.answer == nil {
			s.write()
			continue
		}
		p, ok := b.answer.poll()
		if !ok {
			s.write()
			p, _ = b.answer.wait(context.Background()) // which ends by itself
		}
		s.done(b, p)
	}
}

// done is for a line whose answer is there, and all before it have been told.
func (s *stream) done(b begun, p reply) {
	// Before the publisher is told, who may take his time: a handover waits for
	// publishes, not for readers.
	s.api.turnstile.leave()
	s.mu.Lock()
	s.answer(b.line, p)
	s.mu.Unlock()
	s.window.leave(b.bytes, p.outcome.Matched)
}

// conclude tells the summary, when all else has been told.
func (s *stream) conclude(end string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sum.End = end
	s.say(struct {
		Summary summary `json:"summary"`
	}{s.sum})
	_ = s.flush() // the publisher may be gone
}

// answer counts what became of a line and tells it.
func (s *stream) answer(n int, p reply) {
	s.sum.Lines++
	if p.failed() {
		s.sum.Failed++
		if !s.quiet || s.sum.Failed <= maxErrors {
			s.say(lineAnswer{Line: n, Status: p.status, Error: p.detail})
		}
		return
	}
	s.sum.Published++
	if p.replayed {
		s.sum.Replayed++
	} else {
		s.sum.add(&p.outcome.Result)
	}
	switch {
	case s.quiet:
	case p.status == http.StatusAccepted:
		s.say(lineAnswer{Line: n, Accepted: true, Replayed: p.replayed})
	default:
		s.say(lineOutcome{Line: n, outcome: p.outcome, Replayed: p.replayed})
	}
}

// say puts a line of the answer into the buffer; when that is full it is
// written, and a publisher that does not read is waited for.
func (s *stream) say(v any) {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // only our own structs come here
	}
	if len(text) >= s.out.Available() {
		s.extend()
	}
	_, _ = s.out.Write(append(text, '\n')) // an error stays, and flush returns it
}

// write sends what there is; who cannot be told any more is not listened to.
func (s *stream) write() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flush() != nil {
		s.broken.Store(true)
		s.hangUp()
	}
}

func (s *stream) flush() error {
	s.extend()
	if err := s.out.Flush(); err != nil {
		return err
	}
	return s.c.Flush()
}

// extend gives the publisher answerTimeout, from now on, to read.
func (s *stream) extend() { _ = s.c.SetWriteDeadline(time.Now().Add(answerTimeout)) }
