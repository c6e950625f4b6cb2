package conn

import "testing"

// isValue is a faster allIn: every byte at every place of a word, and behind it.
func TestIsValue(t *testing.T) {
	for c := range 256 {
		for at := range 20 {
			b := []byte("abcdefgh\tjkl mnopqrs")
			b[at] = byte(c)
			if isValue(b) != allIn(b, charValue) || isValue(b) != (c == '\t' || c >= 0x20 && c != 0x7f) {
				t.Errorf("byte %#x at %d: %v", c, at, isValue(b))
			}
		}
	}
}
