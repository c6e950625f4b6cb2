package dispatch

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// ValidText says whether the strings of raw, which is valid JSON, hold characters only: UTF-8, and no
// escape that is half of a surrogate pair (RFC 8259, section 8.2). encoding/json puts U+FFFD for what is
// none, so that different names become one.
func ValidText(raw []byte) bool {
	return utf8.Valid(raw) && !(bytes.Contains(raw, []byte(`\u`)) && halfSurrogate(raw))
}

// halfSurrogate looks for \uD800 to \uDFFF that is not one of a pair.
func halfSurrogate(raw []byte) bool {
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		if r := unit(raw, i); !utf16.IsSurrogate(r) {
			i++ // what is escaped, were it a backslash
		} else if utf16.DecodeRune(r, unit(raw, i+6)) == utf8.RuneError {
			return true
		} else {
			i += 11
		}
	}
	return false
}

// unit returns what \uXXXX at raw[i] stands for; 0 if there is none.
func unit(raw []byte, i int) rune {
	if i+6 > len(raw) || raw[i] != '\\' || raw[i+1] != 'u' {
		return 0
	}
	n, _ := strconv.ParseUint(string(raw[i+2:i+6]), 16, 16)
	return rune(n)
}
