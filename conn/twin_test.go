package conn

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// outcome is everything a stream of bytes leads to.
type outcome struct {
	events []string // what the sink was told, in order
	out    string   // what goes back to the peer
	err    string
	done   bool // nothing more is read
}

func (o *outcome) told(op ws.OpCode, payload []byte) {
	o.events = append(o.events, fmt.Sprintf("%x %q", byte(op), payload))
}

// Messages by which a test has the sink return something else than nil.
const (
	sayPause = "pause"
	sayClose = "close"
	sayFault = "fault"
	sayFlood = "flood" // in a control frame
)

var (
	errEnough = &CloseError{Code: 4001, Reason: "enough"}
	errFlood  = &CloseError{Code: 1008, Reason: "too many pings"}
	errFault  = fmt.Errorf("a sink's own trouble")
)

// verdict is what the sink of all tests returns for a message or control.
func verdict(op ws.OpCode, payload []byte) error {
	switch {
	case op.IsControl() && string(payload) == sayFlood:
		return errFlood
	case op.IsControl() && string(payload) == sayPause:
		return ErrPause
	case op.IsControl():
		return nil
	}
	switch string(payload) {
	case sayPause:
		return ErrPause
	case sayClose:
		return errEnough
	case sayFault:
		return errFault
	}
	return nil
}

// twin reads a whole stream the plain way: it copies, looks at one byte after
// the other, and checks all text so far again at each of them. It follows RFC
// 6455, 5 to 7, and shares nothing with Feed but the texts of errors.
type twin struct {
	outcome
	p      Protocol
	stream []byte
	closed bool // our close frame is out

	open  bool // inside a fragmented message
	op    ws.OpCode
	text  []byte
	count int
}

func runTwin(p Protocol, stream []byte) outcome {
	t := &twin{p: p, stream: stream}
	for !t.done && t.frame() {
	}
	return t.outcome
}

func (t *twin) bytes(n int) []byte {
	if len(t.stream) < n {
		return nil
	}
	b := t.stream[:n]
	t.stream = t.stream[n:]
	return b
}

// reply appends a frame by hand. Only short ones and a server's are needed.
func (t *twin) reply(op ws.OpCode, payload []byte) {
	f := ws.NewFrame(op, true, payload)
	t.out += string(ws.MustCompileFrame(f))
}

func (t *twin) close(body []byte, err *CloseError) {
	if !t.closed {
		t.reply(ws.OpClose, body)
		t.closed = true
	}
	if t.err == "" && err != nil {
		t.err = err.Error()
	}
	t.text = nil
}

func (t *twin) fail(e *CloseError) bool {
	t.close(ws.NewCloseFrameBody(e.Code, e.Reason), e)
	t.done = true
	return false
}

// frame reads one frame; false when the stream ends in it or nothing more is read.
func (t *twin) frame() bool {
	b := t.bytes(1)
	if b == nil {
		return false
	}
	fin, op := b[0]>>7 == 1, ws.OpCode(b[0]&15)
	control := op == 8 || op == 9 || op == 10
	switch {
	case b[0]>>4&7 != 0:
		return t.fail(errReservedBits)
	case op > 2 && !control:
		return t.fail(errReservedOpcode)
	case control && !fin:
		return t.fail(errCutControl)
	case op == 0 && !t.open:
		return t.fail(errNoStart)
	case (op == 1 || op == 2) && t.open:
		return t.fail(errNotContinued)
	}
	if b = t.bytes(1); b == nil {
		return false
	}
	masked, n := b[0]>>7 == 1, uint64(b[0]&127)
	switch {
	case !masked && !t.p.Client:
		return t.fail(errUnmasked)
	case masked && t.p.Client:
		return t.fail(errMasked)
	case control && n > 125:
		return t.fail(errLongControl)
	}
	if n, b = t.long(n); b == nil {
		return false
	}
	if !control && n > uint64(t.p.maxMessage()-len(t.text)) {
		return t.fail(errTooBig)
	}
	mask := make([]byte, 4)
	if masked {
		if mask = t.bytes(4); mask == nil {
			return false
		}
	}
	if control {
		return t.control(op, mask, int(n))
	}
	return t.data(fin, op, mask, int(n))
}

// long reads the extended length; the slice is nil when the stream ends or the
// length is wrong.
func (t *twin) long(n uint64) (uint64, []byte) {
	switch n {
	case 126:
		b := t.bytes(2)
		if b == nil {
			return 0, nil
		}
		if n = uint64(binary.BigEndian.Uint16(b)); n <= 125 {
			t.fail(errLongForm)
			return 0, nil
		}
	case 127:
		b := t.bytes(8)
		if b == nil {
			return 0, nil
		}
		if n = binary.BigEndian.Uint64(b); n > 1<<63-1 {
			t.fail(errNegative)
			return 0, nil
		}
		if n <= 65535 {
			t.fail(errLongForm)
			return 0, nil
		}
	}
	return n, []byte{}
}

func (t *twin) control(op ws.OpCode, mask []byte, n int) bool {
	raw := t.bytes(n)
	if raw == nil {
		return false
	}
	payload := []byte{}
	for i, c := range raw {
		payload = append(payload, c^mask[i%4])
	}
	if t.closed && op != ws.OpClose {
		return true
	}
	if !t.closed {
		t.told(op, payload)
		if err := verdict(op, payload); err != nil && err != ErrPause {
			t.close(ws.NewCloseFrameBody(errFlood.Code, errFlood.Reason), errFlood)
			t.done = op == ws.OpClose
			return true
		}
	}
	switch op {
	case ws.OpPing:
		t.reply(ws.OpPong, payload)
	case ws.OpClose:
		return t.peerClose(payload)
	}
	return true
}

func (t *twin) peerClose(payload []byte) bool {
	if len(payload) == 0 {
		t.close(nil, &CloseError{Code: 1005, Remote: true})
		t.done = true
		return false
	}
	if len(payload) == 1 {
		return t.fail(errShortClose)
	}
	code := ws.StatusCode(payload[0])<<8 | ws.StatusCode(payload[1])
	registered := code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006
	if !registered && (code < 3000 || code > 4999) {
		return t.fail(errCloseCode)
	}
	if !utf8.Valid(payload[2:]) {
		return t.fail(errNotUTF8)
	}
	t.close(payload[:2], &CloseError{Code: code, Reason: string(payload[2:]), Remote: true})
	t.done = true
	return false
}

func (t *twin) data(fin bool, op ws.OpCode, mask []byte, n int) bool {
	if op != ws.OpContinuation {
		t.op, t.text, t.count = op, nil, 0
	}
	single := fin && op != ws.OpContinuation && len(t.stream) >= n
	if t.count++; t.count > t.p.maxFragments() && !single {
		return t.fail(errFragments)
	}
	t.open = !fin
	for i := range n {
		b := t.bytes(1)
		if b == nil {
			return false
		}
		if t.closed {
			continue
		}
		t.text = append(t.text, b[0]^mask[i%4])
		if t.op == ws.OpText && !startsText(t.text) {
			return t.fail(errNotUTF8)
		}
	}
	if !fin || t.closed {
		return true
	}
	if t.op == ws.OpText && !utf8.Valid(t.text) {
		return t.fail(errNotUTF8)
	}
	text := t.text
	t.text = nil
	t.message(text)
	return true
}

func (t *twin) message(text []byte) {
	t.told(t.op, text)
	t.reply(t.op, text)
	switch verdict(t.op, text) {
	case errEnough:
		t.close(ws.NewCloseFrameBody(errEnough.Code, errEnough.Reason), errEnough)
	case errFault:
		t.close(ws.NewCloseFrameBody(1011, ""), errInternal)
	}
}

// startsText reports whether some valid text starts with b.
func startsText(b []byte) bool {
	for cut := 0; cut <= 3 && cut <= len(b); cut++ {
		head, tail := b[:len(b)-cut], b[len(b)-cut:]
		if utf8.Valid(head) && (cut == 0 || !utf8.FullRune(tail)) {
			return true
		}
	}
	return false
}
