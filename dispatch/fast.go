package dispatch

import (
	"bytes"
	"unicode/utf8"

	"github.com/google/uuid"
)

// field is a bit for each field of the envelope, so that a second one of a kind is seen.
type field uint8

const (
	fieldAction field = 1 << iota
	fieldData
	fieldToken
	fieldCompany
	fieldSeq
	fieldBroadcast
	fieldClientIDs
	fieldUnknown field = 0
)

// fast reads msg into e, which must be empty, if msg is a valid envelope of the plain form. False means
// no more than that slow has to look at it; e is left half filled then.
//
// The plain form is JSON in which no key holds an escape or a byte outside ASCII, each field comes once
// and in lower case, and the strings that the envelope decodes hold neither escapes nor broken UTF-8.
func fast(msg []byte, e *Envelope) bool {
	i := space(msg, 0)
	if i >= len(msg) || msg[i] != '{' {
		return false
	}
	i++
	var seen field
	for {
		f, next := key(msg, space(msg, i))
		if next == bad || seen&f != 0 {
			return false
		}
		seen |= f
		if i = e.read(f, msg, space(msg, next)); i == bad {
			return false
		}
		if i = space(msg, i); i >= len(msg) {
			return false
		}
		if msg[i] == '}' {
			break
		}
		if msg[i] != ',' {
			return false
		}
		i++
	}
	return space(msg, i+1) == len(msg) && len(e.Action) != 0 && len(e.Action) <= MaxAction
}

// key takes a key and its colon. It returns the field that it names, and the index behind the colon.
func key(b []byte, i int) (f field, next int) {
	if i >= len(b) || b[i] != '"' {
		return fieldUnknown, bad
	}
	end := plain(b, i+1)
	if end >= len(b) || b[end] != '"' {
		return fieldUnknown, bad
	}
	f, known := fieldOf(b[i+1 : end])
	if i = space(b, end+1); !known || i >= len(b) || b[i] != ':' {
		return fieldUnknown, bad
	}
	return f, i + 1
}

// fieldOf finds the field that key names. It is not known, and so a matter for encoding/json, if key is
// a field's name in other letters: encoding/json does not mind the case of keys.
func fieldOf(key []byte) (f field, known bool) {
	switch string(key) {
	case "actioncode":
		return fieldAction, true
	case "data":
		return fieldData, true
	case "token":
		return fieldToken, true
	case "company":
		return fieldCompany, true
	case "seq":
		return fieldSeq, true
	case "is_broadcast":
		return fieldBroadcast, true
	case "client_ids":
		return fieldClientIDs, true
	}
	return fieldUnknown, !foldsToField(key)
}

// foldsToField says whether key, which is ASCII, is the name of a field in other letters.
func foldsToField(key []byte) bool {
	var name string
	switch len(key) {
	case 3:
		name = "seq"
	case 4:
		name = "data"
	case 5:
		name = "token"
	case 7:
		name = "company"
	case 10:
		if key[0]|0x20 == 'a' {
			name = "actioncode"
		} else {
			name = "client_ids"
		}
	case 12:
		name = "is_broadcast"
	default:
		return false
	}
	return bytes.EqualFold(key, []byte(name))
}

// read takes the value of field f at b[i] and returns the index behind it, or bad.
func (e *Envelope) read(f field, b []byte, i int) int {
	if i < len(b) && b[i] == 'n' {
		return literal(b, i, "null") // the same as absent, for every field
	}
	switch f {
	case fieldAction:
		e.Action, i = text(b, i)
	case fieldToken:
		e.Token, i = text(b, i)
	case fieldCompany:
		e.Company, i = text(b, i)
	case fieldData:
		end := value(b, i, maxDepth)
		if end != bad {
			e.Data = b[i:end:end]
		}
		return end
	case fieldSeq:
		return e.readSeq(b, i)
	case fieldBroadcast:
		if end := literal(b, i, "true"); end != bad {
			e.Broadcast = true
			return end
		}
		return literal(b, i, "false")
	case fieldClientIDs:
		return e.readIDs(b, i)
	default:
		return value(b, i, maxDepth)
	}
	return i
}

// text takes a string that needs no decoding. It returns what is between the quotes, and the index
// behind the closing one.
func text(b []byte, i int) (s []byte, next int) {
	if i >= len(b) || b[i] != '"' {
		return nil, bad
	}
	start, ascii := i+1, true
	for i = plain(b, start); i < len(b) && b[i] >= 0x80; i = plain(b, i+1) {
		ascii = false
	}
	if i >= len(b) || b[i] != '"' {
		return nil, bad
	}
	s = b[start:i:i]
	if !ascii && !utf8.Valid(s) {
		return nil, bad
	}
	return s, i + 1
}

func (e *Envelope) readSeq(b []byte, i int) int {
	end := value(b, i, 0)
	if end == bad || !isSeq(b[i:end]) {
		return bad
	}
	e.Seq = b[i:end:end]
	return end
}

func (e *Envelope) readIDs(b []byte, i int) int {
	if i >= len(b) || b[i] != '[' {
		return bad
	}
	if e.ids == nil {
		e.ids = []uuid.UUID{} // no allocation, and not nil: present, if empty
	}
	i = space(b, i+1)
	for first := true; i < len(b) && (b[i] != ']' || !first); first = false {
		s, next := text(b, i)
		id, ok := parseID(s)
		if next == bad || !ok {
			return bad
		}
		e.ids = append(e.ids, id)
		if i = space(b, next); i >= len(b) || b[i] == ']' {
			break
		}
		if b[i] != ',' {
			return bad
		}
		i = space(b, i+1)
	}
	if i >= len(b) {
		return bad
	}
	e.ClientIDs = e.ids
	return i + 1
}
