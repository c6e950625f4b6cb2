package handoff

import (
	"fmt"
	"math"
)

// Sink takes the records of a stream, in their order. What a record points to
// aliases the stream, and is good until the method returns. An error ends the
// reading, and is what [Reader.Feed] returns.
type Sink interface {
	// Server comes once, before all others.
	Server(*Server) error
	// Frame comes for each frame; they are numbered from 0.
	Frame(*Frame) error
	Client(*Client) error
	// Blob comes for each blob, whether its name is known or not.
	Blob(*Blob) error
}

// Reader takes a stream of records apart that comes in pieces, however it is
// cut. The zero value is ready. It is not safe for concurrent use.
type Reader struct {
	buf    []byte // of a record that is not whole yet
	begun  bool
	ended  bool
	server Server
	blob   string   // the name of the last
	frames []uint64 // their sizes
	count  uint64   // of the clients
	client Client   // its slices are used again
}

// Ended reports whether the end record came.
func (r *Reader) Ended() bool { return r.ended }

// Feed takes in the next bytes and hands the records that are whole to sink.
// After an error, which is sink's or wraps [ErrGarbled] or [ErrUnknown], the
// Reader is of no more use.
func (r *Reader) Feed(p []byte, sink Sink) error {
	in := p
	if len(r.buf) > 0 {
		r.buf = append(r.buf, p...)
		in = r.buf
	}
	for {
		kind, body, n, err := cutRecord(in)
		if err == nil && kind != 0 { // before memory is spent on it
			err = r.expect(kind)
		}
		if err == nil && n > 0 {
			err = r.one(kind, body, sink)
		}
		if err != nil {
			return err
		}
		if n == 0 {
			if len(in) != len(r.buf) { // else it is r.buf, and grows where it is
				r.buf = append(r.buf[:0], in...)
			}
			return nil
		}
		in = in[n:]
	}
}

// expect refuses a record that must not come now.
func (r *Reader) expect(kind byte) error {
	first := kind == kindServer || kind == kindWall
	switch {
	case r.ended:
		return garbled("something follows the end")
	case first == r.begun:
		return garbled("a stream begins with a server record, and has one")
	case r.server.Wall && kind > kindEnd, !r.server.Wall && kind == kindExtra:
		return garbled("a record of another format")
	case kind > kindNeeded && kind%2 == 0:
		return fmt.Errorf("%w: a record of kind %d", ErrUnknown, kind)
	}
	return nil
}

// one takes in one record.
func (r *Reader) one(kind byte, in body, sink Sink) error {
	switch kind {
	case kindFrame:
		f, err := readFrame(in, r.server.Wall)
		if err != nil {
			return err
		}
		if r.server.Wall { // it was the deadline
			f.Left = LeftUntil(f.Left, r.server.Frozen)
		}
		r.frames = append(r.frames, uint64(len(f.Frame)))
		return sink.Frame(&f)
	case kindClient:
		if err := r.client.read(in, r.frames, r.server.Wall); err != nil {
			return err
		}
		if r.server.Wall { // it was when the client came
			r.client.Age = max(r.server.Frozen-r.client.Age, 0)
		}
		r.count++
		return sink.Client(&r.client)
	case kindExtra:
		return sink.Blob(&Blob{Name: BlobApplication, Value: in.b})
	case kindBlob, kindNeeded:
		b, err := readBlob(in, r.blob)
		if err != nil {
			return err
		}
		if b.Needed = kind == kindNeeded; b.Needed && b.Name != BlobRevocations {
			return fmt.Errorf("%w: the blob %q", ErrUnknown, b.Name)
		}
		r.blob = b.Name
		return sink.Blob(&b)
	case kindEnd:
		end, err := readEnd(in)
		if err == nil && (end.Clients != r.count || end.Frames != uint64(len(r.frames))) {
			err = garbled("something is missing")
		}
		r.ended = err == nil
		return err
	case kindServer, kindWall:
		s, err := readServer(kind, in)
		if err != nil {
			return err
		}
		r.begun, r.server = true, s
		return sink.Server(&s)
	}
	return nil // not known, and may be left out
}

// LeftUntil is what is left of a deadline at now, both by one clock, as a Frame
// has it: 0 only if there is no deadline, which is 0 as well.
func LeftUntil(deadline, now int64) int64 {
	left := deadline - now
	switch {
	case deadline == 0:
		return 0
	case left == 0:
		return -1
	case deadline > now && left < 0: // too far off for a number
		return math.MaxInt64
	case deadline < now && left > 0:
		return math.MinInt64
	}
	return left
}
