package dispatch

import (
	"strconv"
	"unicode/utf8"
)

// success is the beginning of every answer with code OK.
const success = `{"code":0,"msg":"success","data":`

// AppendAnswer appends to out an answer, its keys in the order of the protocol and without spaces.
//
// An empty msg stands for code.Msg(). data is raw JSON, nil is null. action is plain text. seq is raw
// JSON, and is left out when nil. data and seq must be valid JSON but for their UTF-8, which the answer
// repairs, since a binary request may carry anything: each byte that is no UTF-8 becomes U+FFFD.
func AppendAnswer(out []byte, code Code, msg string, data, action, seq []byte) []byte {
	if code == OK && msg == "" {
		out = append(out, success...)
	} else {
		if msg == "" {
			msg = code.Msg()
		}
		out = append(out, `{"code":`...)
		out = strconv.AppendInt(out, int64(code), 10)
		out = append(out, `,"msg":`...)
		out = appendString(out, msg)
		out = append(out, `,"data":`...)
	}
	if data == nil {
		out = append(out, "null"...)
	} else {
		out = appendRaw(out, data)
	}
	return appendTail(out, action, seq)
}

// appendTail appends what comes behind the data of an answer.
func appendTail(out, action, seq []byte) []byte {
	out = append(out, `,"actioncode":`...)
	out = appendString(out, action)
	if seq != nil {
		out = append(out, `,"seq":`...)
		out = appendRaw(out, seq)
	}
	return append(out, '}')
}

// appendRaw appends raw JSON with its UTF-8 repaired. Only strings can hold what is no UTF-8, so that
// the repaired JSON is as valid as raw was.
func appendRaw(out, raw []byte) []byte {
	if utf8.Valid(raw) {
		return append(out, raw...)
	}
	for len(raw) > 0 {
		r, n := utf8.DecodeRune(raw)
		out = utf8.AppendRune(out, r)
		raw = raw[n:]
	}
	return out
}

const hex = "0123456789abcdef"

// appendString appends s as a JSON string.
func appendString[T string | []byte](out []byte, s T) []byte {
	out = append(out, '"')
	start := 0 // of what is fit to be copied as it is
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' {
			i++
			continue
		}
		out = append(out, s[start:i]...)
		if c < utf8.RuneSelf {
			out = appendEscape(out, c)
			i++
		} else {
			r, n := utf8.DecodeRuneInString(string(s[i:min(i+utf8.UTFMax, len(s))]))
			out = utf8.AppendRune(out, r)
			i += n
		}
		start = i
	}
	out = append(out, s[start:]...)
	return append(out, '"')
}

func appendEscape(out []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(out, '\\', c)
	case '\n':
		return append(out, '\\', 'n')
	case '\r':
		return append(out, '\\', 'r')
	case '\t':
		return append(out, '\\', 't')
	}
	return append(out, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
}
