package conn

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

func TestAppendCloseOnce(t *testing.T) {
	var p Protocol
	var s State
	out := p.AppendClose(&s, nil, 1001, "later")
	if string(out) != "\x88\x07\x03\xe9later" || !s.CloseSent() || s.ReadDone() {
		t.Errorf("%q, sent %v, done %v", out, s.CloseSent(), s.ReadDone())
	}
	if out = p.AppendClose(&s, nil, 1000, ""); len(out) != 0 {
		t.Errorf("a second close frame: %q", out)
	}
}

func TestAppendCloseBody(t *testing.T) {
	var p Protocol
	for _, code := range []ws.StatusCode{0, 1005, 1006, 1015} {
		if out := p.AppendClose(new(State), nil, code, "reason"); string(out) != "\x88\x00" {
			t.Errorf("code %d: %q, want an empty close frame", code, out)
		}
	}
	for n := 118; n < 130; n++ {
		for _, r := range []string{"x", "é", "€", "😀"} {
			reason := strings.Repeat("x", n) + r
			out := p.AppendClose(new(State), nil, 1000, reason)
			got := string(out[4:])
			if len(got) > 123 || !utf8.ValidString(got) || !strings.HasPrefix(reason, got) || len(got) < 120 && got != reason {
				t.Errorf("reason of %d bytes is cut to %d: %q", len(reason), len(got), got)
			}
		}
	}
}

// After our close frame everything is passed over until the peer's.
func TestPeerCloseAfterOurs(t *testing.T) {
	late := join(text("late"), ping("p"), cut(ws.OpText, "\xff", "\xfe"), frame(ws.OpBinary, false, "x"), closing(1001, "bye"), text("x"))
	before := join(frame(ws.OpText, false, "half"), ping("q"), frame(ws.OpContinuation, true, " and all of it"))
	for split := 0; split <= len(before); split++ {
		for _, piece := range []int{1, 3, 1000} {
			r := newReceiver(t, Protocol{})
			if split > 0 {
				r.read(before[:split])
			}
			told := len(r.rec.events)
			r.rec.out = string(r.p.AppendClose(&r.state, nil, 1001, ""))
			for stream := join(before[split:], late); len(stream) > 0; {
				n := min(piece, len(stream))
				r.read(stream[:n])
				stream = stream[n:]
			}
			got := r.outcome()
			if len(got.events) != told || got.out != "\x88\x02\x03\xe9" || !got.done || got.err != `closed by peer: 1001 "bye"` {
				t.Fatalf("close sent after %d bytes, pieces of %d: %+v", split, piece, got)
			}
		}
	}
}

func TestNothingReadAfterTheEnd(t *testing.T) {
	for _, last := range [][]byte{closing(1000, ""), frame(3, true, "")} {
		r := newReceiver(t, Protocol{})
		r.read(last)
		out := r.rec.out
		rest, more, err := r.p.Feed(&r.state, join(text("x"), closing(1000, "")), nil, &r.rec)
		if rest != nil || more != nil || err != nil || r.rec.out != out {
			t.Errorf("fed after the end: rest %x, out %x, error %v", rest, more, err)
		}
	}
}

// A sink that closes by itself, without an error, is believed.
type closingSink struct {
	p *Protocol
	s *State
}

func (c closingSink) Message(op ws.OpCode, payload, out []byte) ([]byte, error) {
	return c.p.AppendClose(c.s, out, 1000, ""), nil
}

func (c closingSink) Control(ws.OpCode, []byte) error {
	c.p.AppendClose(c.s, nil, 1008, "")
	return nil
}

func TestSinkAppendsClose(t *testing.T) {
	p, s := new(Protocol), new(State)
	_, out, err := p.Feed(s, join(text("a"), text("b"), ping("c"), closing(1000, "")), nil, closingSink{p, s})
	var end *CloseError
	if string(out) != "\x88\x02\x03\xe8" || !errors.As(err, &end) || !end.Remote {
		t.Errorf("out %q, error %v", out, err)
	}
	s = new(State)
	if _, out, err = p.Feed(s, ping("c"), nil, closingSink{p, s}); len(out) != 0 || err != nil {
		t.Errorf("out %q, error %v: nothing may follow a close frame", out, err)
	}
}
