package admin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"wsd/server"
)

// The way of a stream (POST /v1/publish/stream):
//
//  1. lines reads one line of the body, at most about twice a message long.
//  2. The line is published as a request of its own would be. Only when that is
//     done (or, with wait=false, on its way) is the next line read: a publisher
//     that is faster than the server finds its connection full and waits. What a
//     stream holds is one line and one answer.
//  3. The answer to the line goes into a buffer, which is written when no whole
//     line is waiting: many lines at once cost one write, a single one none more.
//  4. At the end of the body, or of patience, the last answer is the summary.
//
// A line that is wrong is answered as such, and the stream goes on.

// streamIdle is how long a line may take, from its predecessor's end to its own.
// An empty line keeps a stream alive that has nothing to say.
const streamIdle = 2 * time.Minute

// maxErrors bounds the errors told with answer=errors: a publisher that first
// sends everything and then reads must not be stuck on them.
const maxErrors = 1000

type stream struct {
	api    *api
	r      *http.Request
	c      *http.ResponseController
	in     *lines
	out    *bufio.Writer
	noWait bool
	quiet  bool // only errors are answered
	sum    summary
}

// summary is the last line of the answer.
type summary struct {
	Lines     int    `json:"lines"`     // that were not empty
	Published int    `json:"published"` // without an error
	Failed    int    `json:"failed"`
	Replayed  int    `json:"replayed"` // published before, by their key
	End       string `json:"end"`      // complete, or why the stream ended before its body
	server.Result
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

func (a *api) publishStream(w http.ResponseWriter, r *http.Request) {
	s := &stream{api: a, r: r, c: http.NewResponseController(w), out: bufio.NewWriterSize(w, 16<<10)}
	if err := s.options(); err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	if err := s.c.EnableFullDuplex(); err != nil && r.ProtoMajor == 1 {
		problem(w, http.StatusNotImplemented, "a stream needs a connection that is read and written at once")
		return
	}
	// JSON may write a byte as \u0000, six times as long; a text that does so
	// throughout has half of the limit at its disposal.
	s.in = newLines(r.Body, 2*int(a.maxPublish)+maxHeader)
	defer context.AfterFunc(a.ending, func() { _ = s.c.SetReadDeadline(time.Unix(1, 0)) })()
	w.Header().Set("Content-Type", ndjson)
	w.WriteHeader(http.StatusOK)
	s.sum.End = s.run()
	s.say(struct {
		Summary summary `json:"summary"`
	}{s.sum})
	_ = s.flush() // the publisher may be gone
	if s.sum.End != "complete" {
		// Else net/http waits for more of the body, to throw it away.
		_ = s.c.SetReadDeadline(time.Unix(1, 0))
	}
}

const streamPath = "/v1/publish/stream"

const ndjson = "application/x-ndjson"

func (s *stream) options() error {
	q, err := query(s.r, "wait", "answer")
	if err != nil {
		return err
	}
	switch q["wait"] {
	case "", "true":
	case "false":
		s.noWait = true
	default:
		return fmt.Errorf("wait=%s: use true or false", q["wait"])
	}
	switch q["answer"] {
	case "", "lines":
	case "errors":
		s.quiet = true
	default:
		return fmt.Errorf("answer=%s: use lines or errors", q["answer"])
	}
	return nil
}

// run publishes line by line and says why it ended.
func (s *stream) run() string {
	for n := 1; ; n++ {
		if s.in.waits() && s.flush() != nil {
			return "broken"
		}
		if s.api.ending.Err() != nil {
			return "stopping"
		}
		text, tooLong, err := s.in.next()
		switch {
		case errors.Is(err, io.EOF):
			return "complete"
		case err != nil && s.api.ending.Err() != nil:
			return "stopping"
		case errors.Is(err, os.ErrDeadlineExceeded):
			return "idle"
		case err != nil:
			return "broken"
		case !tooLong && len(bytes.TrimSpace(text)) == 0:
			continue
		}
		if !s.turn(n, text, tooLong) {
			return "stopping"
		}
	}
}

// turn publishes and answers one line, as soon as it may. It reports false when
// that is for another process to do, which has taken over.
func (s *stream) turn(n int, text []byte, tooLong bool) bool {
	forward, ok := s.api.gate.enter(s.r.Context())
	if !ok || forward != nil {
		return false
	}
	defer s.api.gate.leave()
	s.answer(n, s.publish(text, tooLong))
	return true
}

func (s *stream) publish(text []byte, tooLong bool) reply {
	began := time.Now()
	if tooLong {
		return reply{status: http.StatusRequestEntityTooLarge, detail: s.api.tooLarge()}
	}
	l, err := parseLine(text)
	if err != nil {
		return reply{status: http.StatusBadRequest, detail: err.Error()}
	}
	o, m, err := l.message(began)
	if err != nil {
		return reply{status: http.StatusBadRequest, detail: err.Error()}
	}
	if int64(len(m.Data)) > s.api.maxPublish {
		return reply{status: http.StatusRequestEntityTooLarge, detail: s.api.tooLarge()}
	}
	o.noWait = s.noWait
	if l.Key == "" {
		return s.api.send(s.r.Context(), &o, m)
	}
	return s.api.once.do(s.r.Context(), l.Key, fingerprint(text), func() reply {
		return s.api.sendToTheEnd(s.r.Context(), &o, m)
	})
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

func (s *summary) add(r *server.Result) {
	s.Matched += r.Matched
	s.Sent += r.Sent
	s.Queued += r.Queued
	s.Dropped += r.Dropped
	s.Expired += r.Expired
}

// say puts a line of the answer into the buffer; when that is full it is
// written, and a publisher that does not read is waited for.
func (s *stream) say(v any) {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // only our own structs come here
	}
	s.patience()
	_, _ = s.out.Write(append(text, '\n')) // an error stays, and flush returns it
}

func (s *stream) flush() error {
	s.patience()
	if err := s.out.Flush(); err != nil {
		return err
	}
	return s.c.Flush()
}

// patience moves the deadlines of both directions.
func (s *stream) patience() {
	now := time.Now()
	_ = s.c.SetWriteDeadline(now.Add(answerTimeout))
	_ = s.c.SetReadDeadline(now.Add(s.api.streamIdle))
}
