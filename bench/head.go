package bench

import (
	"bytes"
	"fmt"
)

// A published message begins with a head that says which one it is and when it
// was due, so that every process that receives it can tell on its own. It is
// found wherever it stands in a message, in case the server wraps it. Digits
// have fixed places: "wsd-bench 1a2b3c4d 0000000042 0000001234567890123 ".
const (
	headWord = "wsd-bench "
	headSize = len(headWord) + 8 + 1 + 10 + 1 + 19 + 1
)

// appendHead appends the head of message n of the run, due at time at.
func appendHead(out []byte, run uint32, n uint32, at int64) []byte {
	return fmt.Appendf(out, "%s%08x %010d %019d ", headWord, run, n, at)
}

// appendPublish appends a message of size bytes: its head and a filling.
func appendPublish(out []byte, run, n uint32, at int64, size int) []byte {
	end := len(out) + size
	out = appendHead(out, run, n, at)
	for i := 0; len(out) < end; i++ {
		out = append(out, 'a'+byte(i%26))
	}
	return out
}

// fanReader recognises published messages of one run.
type fanReader struct {
	prefix []byte // headWord and the run
	last   []byte // the head read last: most messages are one that came a moment ago
	n      uint32
	at     int64
}

func newFanReader(run uint32) *fanReader {
	return &fanReader{prefix: fmt.Appendf(nil, "%s%08x ", headWord, run), last: make([]byte, 0, headSize)}
}

// read returns the number and the due time of a published message.
func (f *fanReader) read(msg []byte) (n uint32, at int64, ok bool) {
	if len(msg) < headSize || !bytes.HasPrefix(msg, f.prefix) {
		i := bytes.Index(msg, f.prefix)
		if i < 0 || len(msg)-i < headSize {
			return 0, 0, false
		}
		msg = msg[i:]
	}
	if bytes.Equal(msg[:headSize], f.last) {
		return f.n, f.at, true
	}
	rest := msg[len(f.prefix):headSize]
	number, ok1 := digits(rest[:10])
	due, ok2 := digits(rest[11:30])
	if !ok1 || !ok2 || number >= 1<<32 || rest[10] != ' ' || rest[30] != ' ' {
		return 0, 0, false
	}
	f.last = append(f.last[:0], msg[:headSize]...)
	f.n, f.at = uint32(number), due
	return f.n, f.at, true
}

func digits(b []byte) (v int64, ok bool) {
	for _, d := range b {
		if d < '0' || d > '9' {
			return 0, false
		}
		v = v*10 + int64(d-'0')
	}
	return v, true
}
