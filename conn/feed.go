package conn

import (
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// Feed consumes the frames in in, hands whole messages to sink, and appends
// the sink's answers and its own (pong, close) to out.
//
// in is the leftover of the last Feed followed by the bytes read since; it is
// changed in place. The leftover aliases in and has to be presented again, in
// front of the next bytes; it is empty unless the stream stopped within a message
// or a frame, and never longer than a message plus a control frame, except after
// ErrPause. Its bytes are not raw any more: they mean something to s only.
// From the second read on that a data frame takes, the leftover starts where in
// started, so that a caller whose in is its leftover buffer moves nothing.
//
// Until Feed returns, s and in are its own: the sink must not close the
// connection, nor give in's memory to anybody else. It says by its error that the
// connection is to end, and the caller acts on that when Feed has returned.
//
// err is nil, or
//   - ErrPause: the sink wants no more for now, or there were [Protocol].Frames
//     frames. Feed again with the leftover, without waiting for further bytes, once
//     there is time.
//   - a *CloseError with Remote: the peer's close frame came, and is answered
//     in out unless ours went out before. Write out, then close.
//   - a *CloseError when the peer broke the protocol or a limit: the close
//     frame is in out, nothing more will be read ([State.ReadDone]).
//   - a *CloseError of the sink: its close frame is in out. The caller may
//     close now, or go on feeding until the peer's close frame comes.
//
// After our close frame Feed discards messages, pings and pongs, and only
// looks for the peer's close. After ReadDone it ignores everything.
func (p *Protocol) Feed(s *State, in, out []byte, sink Sink) (leftover, newOut []byte, err error) {
	if s.ReadDone() {
		return nil, out, nil
	}
	have := int(s.have)
	if have > len(in) {
		panic("conn: leftover bytes missing")
	}
	f := feed{p: p, s: s, sink: sink, in: in, out: out, end: have, pos: have}
	err = f.run()
	return f.leftover(), f.out, err
}

// feed is one call of Feed.
//
//	in │ consumed │ message so far │ consumed │ raw │
//	   0          base             end        pos
type feed struct {
	p    *Protocol
	s    *State
	sink Sink

	in, out        []byte
	base, end, pos int

	h ws.Header // of the frame at hand
}

// run takes frames until one is cut or the connection ends. An end that the
// sink asked for is remembered while the rest is searched for the peer's close.
func (f *feed) run() error {
	var asked error
	for left := f.p.Frames; ; {
		more, err := f.step()
		if asked == nil {
			asked = err
		}
		if !more || err == ErrPause || f.s.ReadDone() {
			return asked
		}
		if left--; left == 0 && asked == nil {
			return ErrPause
		}
	}
}

// step takes one frame, or what there is of a data frame. more is false when
// nothing can be done without further bytes.
func (f *feed) step() (more bool, err error) {
	if f.s.left > 0 {
		return f.take()
	}
	if f.s.CloseSent() {
		f.base, f.end = f.pos, f.pos // a message that will never be handed over
	}
	raw := f.in[f.pos:]
	if len(raw) == 0 {
		return false, nil
	}
	n, bad := f.parse(raw)
	switch {
	case bad != nil:
		return false, f.fail(bad)
	case n == 0:
		return false, nil
	}
	payload := raw[n:]
	size := int(f.h.Length)
	whole := size <= len(payload)
	switch {
	case f.h.OpCode.IsControl():
		if !whole {
			return false, nil
		}
		f.pos += n + size
		return true, f.control(payload[:size])
	case whole && f.h.Fin && f.h.OpCode != ws.OpContinuation:
		f.pos += n + size
		return true, f.single(payload[:size:size])
	}
	f.pos += n
	if bad := f.begin(); bad != nil {
		return false, f.fail(bad)
	}
	return f.take()
}

// single is the common case: a message in one frame that is all there. It is
// unmasked where it lies; nothing is copied and nothing is remembered.
func (f *feed) single(payload []byte) error {
	if f.s.CloseSent() {
		return nil
	}
	if f.h.Masked {
		ws.Cipher(payload, f.h.Mask, 0)
	}
	if f.h.OpCode == ws.OpText && !utf8.Valid(payload) {
		return f.fail(errNotUTF8)
	}
	return f.message(f.h.OpCode, payload)
}

// begin remembers the header of a data frame: from here on it is bytes alone.
func (f *feed) begin() *CloseError {
	s, h := f.s, &f.h
	if h.OpCode != ws.OpContinuation {
		f.base, f.end = f.pos, f.pos
		s.frags, s.tail = 0, 0
		s.put(flagText, h.OpCode == ws.OpText)
	}
	if int(s.frags) >= f.p.maxFragments() {
		return errFragments
	}
	if s.frags < mostFragments { // without a limit it stays there
		s.frags++
	}
	s.left, s.mask = uint32(h.Length), h.Mask
	s.put(flagFinal, h.Fin)
	s.put(flagOpen, !h.Fin)
	return nil
}

// take moves what there is of the data frame in progress into the message.
func (f *feed) take() (more bool, err error) {
	s := f.s
	n := min(int(s.left), len(f.in)-f.pos)
	chunk := f.in[f.pos : f.pos+n]
	s.left -= uint32(n)
	if s.CloseSent() {
		f.pos += n
		return s.left == 0, nil
	}
	if !f.p.Client {
		ws.Cipher(chunk, s.mask, 0)
		s.mask = turned(s.mask, n)
	}
	f.join(n)
	if s.is(flagText) && !f.checkText(n) {
		return false, f.fail(errNotUTF8)
	}
	switch {
	case s.left > 0:
		return false, nil
	case !s.is(flagFinal):
		return true, nil
	}
	op := ws.OpBinary
	if s.is(flagText) {
		op = ws.OpText
	}
	whole := f.in[f.base:f.end:f.end]
	f.base, f.end = f.pos, f.pos
	return true, f.message(op, whole)
}

// message hands over a whole message.
func (f *feed) message(op ws.OpCode, payload []byte) (err error) {
	f.out, err = f.sink.Message(op, payload, f.out)
	if err == nil || err == ErrPause {
		return err
	}
	return f.close(err)
}

// leftover is what has to be presented again: the message so far, right behind it
// the raw bytes. Those are part of a header or of a control frame when there
// is a message to put them behind, so moving them is cheap; only after a pause
// within a message they are more, at most what one read brings.
func (f *feed) leftover() []byte {
	s := f.s
	if s.ReadDone() {
		*s = State{flags: s.flags & (flagCloseSent | flagReadDone)}
		return nil
	}
	if s.CloseSent() || f.base == f.end {
		f.base, f.end, s.tail = f.pos, f.pos, 0
	}
	if f.end != f.pos {
		copy(f.in[f.end:], f.in[f.pos:])
	}
	s.have = uint32(f.end - f.base)
	left := f.in[f.base : len(f.in)-(f.pos-f.end)]
	if len(left) == 0 {
		return nil
	}
	return left
}
