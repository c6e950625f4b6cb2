package admin

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// The way of a stream (POST /v1/publish/stream):
//
//  1. lines reads one line of the body, at most about twice a message long.
//  2. The window waits until it may begin: some lines are under way at once, in
//     order. A publisher that is faster than the server finds its connection full
//     and waits.
//  3. The line is begun as a request of its own would be. Its answer, if it is still
//     to come or others are before it, goes to the other half of the stream, the
//     teller.
//  4. The teller (stream_answer.go) waits for the answers one after the other, and
//     writes what it has whenever it would have to wait for the next.
//  5. At the end of the body, or after streamIdle without a line, what is under way is answered, and
//     the last answer is the summary.
//
// A line that is wrong is answered as such, and the stream goes on.

// streamIdle is how long a line may take, from its predecessor's end to its own.
// An empty line keeps a stream alive that has nothing to say.
const streamIdle = 2 * time.Minute

type stream struct {
	// Set before the first line, then constant.
	api    *api
	r      *http.Request
	c      *http.ResponseController
	noWait bool
	quiet  bool // only errors are answered

	// Of the reader, the goroutine of the request.
	in     *lines
	paused bool // since the line that was begun last

	// Guarded by mu.
	mu  sync.Mutex
	out *bufio.Writer
	sum summary

	// Between the reader and the teller.
	window *window
	begun  chan begun
	broken atomic.Bool // the publisher does not take its answers
}

// begun is a line on its way from the reader to the teller.
type begun struct {
	line   int
	bytes  int
	answer coming // nil: no line, but time to write what there is
}

func (a *api) publishStream(w http.ResponseWriter, r *http.Request) {
	if encoded(w, r) {
		return
	}
	s := &stream{api: a, r: r, c: http.NewResponseController(w), out: bufio.NewWriterSize(w, 16<<10),
		window: newWindow(), begun: make(chan begun, 2*windowLines)} // a pause between any two
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
	if strings.EqualFold(r.Header.Get("Expect"), "100-continue") {
		w.WriteHeader(http.StatusContinue) // net/http sends it with the first read, but not once there is an answer
	}
	defer context.AfterFunc(a.ending, s.hangUp)()
	w.Header().Set("Content-Type", ndjson)
	// A stream may end before its body. What is left of that would be read as the
	// next request, and the real one after it be answered 400.
	w.Header().Set("Connection", "close")
	w.WriteHeader(http.StatusOK)
	answered := make(chan struct{})
	go func() { defer close(answered); s.tell() }()
	end := s.read()
	close(s.begun)
	<-answered
	s.conclude(end)
	if end != "complete" {
		s.hangUp() // else net/http waits for more of the body, to throw it away
		lingerAtClose(w)
	}
}

// lingerAtClose has net/http wait for half a second before it closes the
// connection: the reset for bytes that were not read may undo the summary for a
// publisher that has yet to read it. A body over its limit is what net/http does
// so for.
func lingerAtClose(w http.ResponseWriter) {
	_, _ = http.MaxBytesReader(w, io.NopCloser(strings.NewReader("x")), 0).Read(make([]byte, 2))
}

const streamPath = "/v1/publish/stream"

const ndjson = "application/x-ndjson"

func (s *stream) options() error {
	q, err := query(s.r, "wait", "answer")
	if err != nil {
		return err
	}
	if wait, given := q["wait"]; given {
		if s.noWait, err = parseNoWait(wait); err != nil {
			return err
		}
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

// read begins line after line and says why it ended.
func (s *stream) read() string {
	for n := 1; ; n++ {
		if s.in.waits() {
			s.pause()
			// Moved first and looked at then: who sets one of the two hangs up
			// afterwards, which the new deadline must not undo.
			_ = s.c.SetReadDeadline(time.Now().Add(s.api.streamIdle))
		}
		if end := s.over(); end != "" {
			return end
		}
		text, tooLong, err := s.in.next()
		switch {
		case errors.Is(err, io.EOF):
			return "complete"
		case err != nil && s.over() != "":
			return s.over()
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

// over says why the stream ends before its body, "" if it does not.
func (s *stream) over() string {
	switch {
	case s.api.ending.Err() != nil:
		return "stopping"
	case s.broken.Load():
		return "broken"
	}
	return ""
}

// hangUp ends the reading.
func (s *stream) hangUp() { _ = s.c.SetReadDeadline(time.Unix(1, 0)) }

// turn begins one line, as soon as it may. It reports false when that is for
// another process to do, which has taken over.
func (s *stream) turn(n int, text []byte, tooLong bool) bool {
	began := time.Now()
	s.window.enter(len(text))
	forward, ok := s.api.turnstile.enter(s.r.Context())
	if !ok || forward != nil {
		return false
	}
	b := begun{n, len(text), s.publish(began, text, tooLong)}
	if s.window.under() == 1 { // nothing is before it
		if p, ok := b.answer.poll(); ok {
			s.done(b, p)
			return true
		}
	}
	s.paused = false
	s.begun <- b
	return true
}

// pause has the answers written that there are, for nothing is there to read.
func (s *stream) pause() {
	switch {
	case s.window.under() == 0:
		s.write()
	case !s.paused:
		s.paused = true
		s.begun <- begun{}
	}
}

func (s *stream) publish(began time.Time, text []byte, tooLong bool) coming {
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
	if l.key == nil {
		return s.api.begin(s.r.Context(), &o, m)
	}
	if s.api.cluster != nil {
		return s.api.beginOnce(s.r.Context(), &o, *l.key, fingerprint(text), m)
	}
	answer, _ := s.api.once.begin(*l.key, fingerprint(text), func() coming {
		return s.api.begin(context.WithoutCancel(s.r.Context()), &o, m)
	})
	return answer
}
