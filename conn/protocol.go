package conn

import (
	"errors"
	"math"
	"strconv"

	"github.com/gobwas/ws"
)

// Limits used where a [Protocol] leaves its own at zero, and the most that can
// be asked for.
const (
	DefaultMaxMessage   = 64 << 10 // bytes
	DefaultMaxFragments = 1024     // frames

	mostMessage   = 1 << 30 // bytes; lengths are kept in 32 bits
	mostFragments = 1<<16 - 1
)

// Protocol is what all connections of an endpoint share. The zero value is a
// server with default limits. It may be used from any number of goroutines, as
// long as nobody changes it any more.
type Protocol struct {
	// Client says that this end is the client: frames it sends are masked and
	// masked frames it receives are refused (RFC 6455, 5.1).
	Client bool
	// MaxMessage is how many bytes a message may have over all its fragments.
	// 0 is DefaultMaxMessage, more than 1 GiB is 1 GiB. The length a frame
	// announces is checked before any of its payload is kept: close code 1009.
	MaxMessage int
	// MaxFragments is how many frames a message may be cut into. Empty
	// fragments cost their sender two bytes and add nothing to a length, so
	// MaxMessage alone would not end a message. 0 is DefaultMaxFragments, more
	// than 65535 is 65535: close code 1008. Less than 0 is no limit; the cost of
	// a fragment is the same however many there are, but who sends empty ones
	// without end is then up to the caller's clock.
	MaxFragments int
	// Frames is after how many frames Feed pauses (ErrPause), so that many small
	// ones take no longer than the caller has time for. 0 is no bound.
	Frames int
}

func (p *Protocol) maxMessage() int {
	if p.MaxMessage <= 0 {
		return DefaultMaxMessage
	}
	return min(p.MaxMessage, mostMessage)
}

func (p *Protocol) maxFragments() int {
	switch {
	case p.MaxFragments < 0:
		return math.MaxInt
	case p.MaxFragments == 0:
		return DefaultMaxFragments
	}
	return min(p.MaxFragments, mostFragments)
}

// Sink receives what a connection sends, during [Protocol.Feed]. It must not close
// the connection there: its error does. Once the own close frame is on its way
// (see [State.CloseSent]) it is not called any more.
type Sink interface {
	// Message takes one whole text or binary message. The payload aliases
	// Feed's in: it is valid, and may be changed, during the call only; if the
	// call returns ErrPause, until the next Feed.
	// Answers are appended to out as whole frames (AppendFrame) and out is
	// returned, with an error as well.
	//
	// The error is nil, ErrPause, or a *CloseError that says how to close;
	// any other error closes with code 1011 and no reason.
	Message(op ws.OpCode, payload, out []byte) ([]byte, error)
	// Control is told of each ping, pong and close frame before it is
	// answered, which is the place for limits on them. The payload is valid
	// during the call only. The error is nil, ErrPause (after the frame is
	// answered) or a *CloseError.
	Control(op ws.OpCode, payload []byte) error
}

// ErrPause is returned by a [Sink] to have Feed stop after that message or
// control frame, and then by Feed.
var ErrPause = errors.New("conn: paused")

// CloseError says how a connection ends. Values that Feed returns are partly
// shared between connections: they must not be changed.
type CloseError struct {
	Code   ws.StatusCode // 1005 when the peer's close frame had none
	Reason string        // at most 123 bytes of it reach the peer
	Remote bool          // the peer's close frame is the cause
}

func (e *CloseError) Error() string {
	who := "closing: "
	if e.Remote {
		who = "closed by peer: "
	}
	text := who + strconv.Itoa(int(e.Code))
	if e.Reason != "" {
		text += " " + strconv.Quote(e.Reason)
	}
	return text
}
