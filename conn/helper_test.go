package conn

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/gobwas/ws"
)

// recorder echoes messages and writes down what it is told. It spoils each
// payload afterwards, as a sink is allowed to.
type recorder struct {
	t *testing.T
	outcome
	held []byte // the payload of a message that was answered with ErrPause
	copy string // what it was
}

func (r *recorder) Message(op ws.OpCode, payload, out []byte) ([]byte, error) {
	if cap(payload) != len(payload) {
		r.t.Errorf("payload of %d bytes has room for %d", len(payload), cap(payload))
	}
	r.told(op, payload)
	err := verdict(op, payload)
	out = AppendFrame(out, op, payload)
	if err == ErrPause {
		r.held, r.copy = payload, string(payload)
		return out, err
	}
	for i := range payload {
		payload[i] ^= 0x5a
	}
	return out, err
}

func (r *recorder) Control(op ws.OpCode, payload []byte) error {
	r.told(op, payload)
	return verdict(op, payload)
}

// receiver plays the caller of Feed: it keeps leftovers and, unless told
// otherwise, goes on after a pause at once and after a close until the peer's.
type receiver struct {
	p     *Protocol
	state State
	rec   recorder
	left  []byte
}

func newReceiver(t *testing.T, p Protocol) *receiver {
	return &receiver{p: &p, rec: recorder{t: t}}
}

// read is one read of the socket. The leftover and the new bytes are put into
// a slice of their own, with foreign bytes behind it that must stay.
func (r *receiver) read(piece []byte) {
	const guard = "guard"
	in := append(append(append([]byte{}, r.left...), piece...), guard...)
	n := len(in) - len(guard)
	for {
		rest, out, err := r.p.Feed(&r.state, in[:n:n], nil, &r.rec)
		r.rec.out += string(out)
		if string(in[n:]) != guard {
			r.rec.t.Fatalf("Feed wrote behind its input")
		}
		if err == ErrPause {
			if string(r.rec.held) != r.rec.copy {
				r.rec.t.Fatalf("a payload became %.50q within its Feed, from %.50q", r.rec.held, r.rec.copy)
			}
			r.rec.held, r.rec.copy = nil, ""
			in = append(append([]byte{}, rest...), guard...)
			n = len(rest)
			continue
		}
		if err != nil && r.rec.err == "" {
			r.rec.err = err.Error()
		}
		r.left = append(r.left[:0], rest...)
		return
	}
}

func (r *receiver) outcome() outcome {
	r.rec.done = r.state.ReadDone()
	return r.rec.outcome
}

// feedCut feeds a stream in pieces whose lengths next returns.
func feedCut(t *testing.T, p Protocol, stream []byte, next func() int) outcome {
	r := newReceiver(t, p)
	for len(stream) > 0 {
		n := min(len(stream), max(1, next()))
		r.read(stream[:n])
		stream = stream[n:]
	}
	return r.outcome()
}

// feedFrames feeds a stream as a caller does that reads no further than the end of
// the data frame in progress, and otherwise in pieces of n.
func feedFrames(t *testing.T, p Protocol, stream []byte, n int) outcome {
	r := newReceiver(t, p)
	for len(stream) > 0 {
		k := n
		if left, _ := r.state.Left(); left > 0 {
			k = left
		}
		k = min(k, len(stream))
		r.read(stream[:k])
		if left, _ := r.state.Left(); left > 0 && len(r.left) != r.state.Have() {
			t.Fatalf("%d bytes of a frame are missing, but %d lie behind the message so far", left, len(r.left)-r.state.Have())
		}
		stream = stream[k:]
	}
	return r.outcome()
}

func twoAt(first, second int) func() int {
	return func() (n int) { n, first = first, second; return n }
}

func constant(n int) func() int { return func() int { return n } }

// checkCuts compares every way of cutting a stream with the plain reader.
func checkCuts(t *testing.T, p Protocol, stream []byte) outcome {
	t.Helper()
	want := runTwin(p, stream)
	check := func(name string, next func() int) {
		t.Helper()
		if got := feedCut(t, p, stream, next); !reflect.DeepEqual(got, want) {
			t.Fatalf("stream %x in pieces of %s:\n got %+v\nwant %+v", clip(stream), name, got, want)
		}
	}
	check("everything", constant(len(stream)))
	whole := p
	for p.Frames = range 4 { // pauses change nothing
		check(fmt.Sprint("everything, ", p.Frames, " frames at once"), constant(len(stream)))
		check(fmt.Sprint("seven bytes, ", p.Frames, " frames at once"), constant(7))
	}
	p = whole
	for _, n := range []int{1, 3, 20} {
		if got := feedFrames(t, p, stream, n); !reflect.DeepEqual(got, want) {
			t.Fatalf("stream %x frame by frame, from pieces of %d:\n got %+v\nwant %+v", clip(stream), n, got, want)
		}
	}
	step := max(1, len(stream)/300)
	for n := 1; n < len(stream); n += step {
		check("equal length", constant(n))
		check("two", twoAt(n, len(stream)))
	}
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		most := 1 + rnd.IntN(len(stream)+1)
		check("random length", func() int { return rnd.IntN(most) })
	}
	return want
}

func clip(b []byte) []byte { return b[:min(len(b), 100)] }

// Frames as a client sends them.
var testMask = [4]byte{0x11, 0x82, 0x13, 0xf4}

func frame(op ws.OpCode, fin bool, payload string) []byte {
	return AppendMasked(nil, op, fin, []byte(payload), testMask)
}

func text(payload string) []byte { return frame(ws.OpText, true, payload) }
func blob(payload string) []byte { return frame(ws.OpBinary, true, payload) }
func ping(payload string) []byte { return frame(ws.OpPing, true, payload) }
func pong(payload string) []byte { return frame(ws.OpPong, true, payload) }

func closing(code ws.StatusCode, reason string) []byte {
	return frame(ws.OpClose, true, string(ws.NewCloseFrameBody(code, reason)))
}

// cut is a message in fragments.
func cut(op ws.OpCode, parts ...string) (stream []byte) {
	for i, part := range parts {
		if i > 0 {
			op = ws.OpContinuation
		}
		stream = append(stream, frame(op, i == len(parts)-1, part)...)
	}
	return stream
}

func join(parts ...[]byte) (stream []byte) {
	for _, p := range parts {
		stream = append(stream, p...)
	}
	return stream
}
