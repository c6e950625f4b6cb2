package conn

import "unicode/utf8"

// join makes the n payload bytes at pos follow the message so far. Whichever
// is shorter moves, so a byte of payload pays for at most one byte moved, and
// bytes that arrive in order within one frame do not move at all.
func (f *feed) join(n int) {
	have := f.end - f.base
	switch {
	case f.end == f.pos:
	case have < n:
		copy(f.in[f.pos-have:f.pos], f.in[f.base:f.end])
		f.base, f.end = f.pos-have, f.pos
	default:
		copy(f.in[f.end:], f.in[f.pos:f.pos+n])
	}
	f.end += n
	f.pos += n
}

// checkText checks the last n bytes of the message so far, and the whole
// message once its last byte is there: no text may end within a rune.
func (f *feed) checkText(n int) bool {
	s := f.s
	tail, ok := validPrefix(f.in[f.end-n-int(s.tail) : f.end])
	s.tail = uint8(tail)
	return ok && (tail == 0 || s.left > 0 || !s.is(flagFinal))
}

// validPrefix reports whether b is UTF-8 as far as it goes; tail is the length
// of a rune at its end that may still become whole.
func validPrefix(b []byte) (tail int, ok bool) {
	for i := len(b) - 1; i >= 0 && i >= len(b)-3; i-- {
		if utf8.RuneStart(b[i]) {
			if !utf8.FullRune(b[i:]) {
				tail = len(b) - i
			}
			break
		}
	}
	return tail, utf8.Valid(b[:len(b)-tail])
}

// turned is the mask as it applies after n more bytes.
func turned(m [4]byte, n int) [4]byte {
	return [4]byte{m[n&3], m[(n+1)&3], m[(n+2)&3], m[(n+3)&3]}
}
