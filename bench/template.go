package bench

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"wsd/conn"
)

// A request's number is written in this many decimal digits, the first of them
// never 0, so that it is a JSON number and its length does not change.
const (
	numberSize  = 10
	numberFirst = 1_000_000_000
	placeholder = "{seq}"
)

// template is the requests of a phase: built, masked and framed ahead, so that
// sending one is writing its number over the last one's.
type template struct {
	op      ws.OpCode
	payload []byte // unmasked; also what an echo must bring back
	at      int    // where the number is in payload; -1: not numbered
	// before is what stands in front of the number in an answer that is no
	// echo; expect must be somewhere in such an answer.
	before, expect []byte
	// frames are masked with different keys; clients use them in turn.
	frames [16]maskedFrame
}

type maskedFrame struct {
	bytes []byte
	key   [4]byte
}

func newTemplate(ph *Phase) (*template, error) {
	t := &template{op: ws.OpText, at: -1, expect: []byte(ph.Expect)}
	if ph.Bytes > 0 {
		t.fill(ph)
	} else if err := t.parse(ph.Payload); err != nil {
		return nil, err
	}
	for i := range t.frames {
		f := &t.frames[i]
		binary.LittleEndian.PutUint32(f.key[:], rand.Uint32())
		f.bytes = conn.AppendMasked(nil, t.op, true, t.payload, f.key)
	}
	return t, nil
}

// fill makes a payload of a given size: printable, numbered where there is room.
func (t *template) fill(ph *Phase) {
	if !ph.Text {
		t.op = ws.OpBinary
	}
	t.payload = make([]byte, ph.Bytes)
	for i := range t.payload {
		t.payload[i] = 'a' + byte(i%26)
	}
	if ph.Bytes >= numberSize {
		t.at = 0
	}
}

func (t *template) parse(text string) error {
	if text == "" {
		return fmt.Errorf("nothing to send: give a payload, or a number of bytes")
	}
	if !utf8.ValidString(text) {
		return fmt.Errorf("payload %q is not UTF-8, which a text message has to be", text)
	}
	before, after, numbered := strings.Cut(text, placeholder)
	if !numbered {
		t.payload = []byte(text)
		return nil
	}
	t.at = len(before)
	t.payload = []byte(before + strings.Repeat("0", numberSize) + after)
	t.before = []byte(before[strings.LastIndexAny(before, ",{ ")+1:])
	if len(t.expect) > 0 && len(t.before) == 0 {
		return fmt.Errorf("payload %q: something has to stand before %s to find the number in an answer by", text, placeholder)
	}
	return nil
}

// frame returns a whole masked frame with the given number in it. It is good
// until the next call. It allocates nothing.
func (t *template) frame(slot, number uint32) []byte {
	f := &t.frames[slot%uint32(len(t.frames))]
	if t.at >= 0 {
		start := len(f.bytes) - len(t.payload) + t.at
		n := uint64(number) + numberFirst
		for i := numberSize - 1; i >= 0; i-- {
			f.bytes[start+i] = byte('0'+n%10) ^ f.key[(t.at+i)&3]
			n /= 10
		}
	}
	return f.bytes
}

// numberIn finds the number in an answer; ok is false if there is none.
func (t *template) numberIn(answer []byte) (n uint32, ok bool) {
	at := t.at
	if len(t.expect) > 0 {
		if at = bytes.Index(answer, t.before); at < 0 {
			return 0, false
		}
		at += len(t.before)
	}
	if len(answer) < at+numberSize {
		return 0, false
	}
	v := uint64(0)
	for _, d := range answer[at : at+numberSize] {
		if d < '0' || d > '9' {
			return 0, false
		}
		v = v*10 + uint64(d-'0')
	}
	return uint32(v - numberFirst), v >= numberFirst && v-numberFirst < 1<<32
}

// right says whether an answer is as it has to be, the number apart.
func (t *template) right(op ws.OpCode, answer []byte) bool {
	if len(t.expect) > 0 {
		return bytes.Contains(answer, t.expect)
	}
	if op != t.op || len(answer) != len(t.payload) {
		return false
	}
	if t.at < 0 {
		return bytes.Equal(answer, t.payload)
	}
	end := t.at + numberSize
	return bytes.Equal(answer[:t.at], t.payload[:t.at]) && bytes.Equal(answer[end:], t.payload[end:])
}
