package dispatch

import (
	"bytes"

	"github.com/google/uuid"
)

// field is a field of the envelope.
type field uint8

const (
	fieldUnknown field = iota
	fieldAction
	fieldData
	fieldToken
	fieldCompany
	fieldSeq
	fieldBroadcast
	fieldClientIDs
)

// read reads msg into e, which must be empty. json says whether it is a JSON object, and typed whether
// each field has a value of its type; Token, Company and Action are left as they are written.
//
// What a message means is what encoding/json makes of it: of fields that come twice the last one counts,
// null changes no string, and the case of keys does not matter. The time it takes is bounded by the
// bytes, whatever they are: encoding/json takes ten times as long, and a loop would stand still for it.
func (e *Envelope) read(msg []byte) (json, typed bool) {
	i := space(msg, 0)
	if at(msg, i) != '{' {
		return false, false
	}
	typed = true
	i, more := enter(msg, i, '}')
	for more {
		var key []byte
		if key, i = member(msg, i); i == bad {
			return false, false
		}
		start, f := i, fieldOf(key)
		var ok bool
		if f == fieldClientIDs && at(msg, i) == '[' {
			i, ok = e.readIDs(msg, i)
		} else if i = value(msg, i, maxNesting-1); i != bad {
			ok = e.set(f, msg[start:i:i])
		}
		typed = typed && ok
		i, more = step(msg, i, '}')
	}
	return i != bad && space(msg, i) == len(msg), typed
}

// set gives a field its value, and says whether that is of its type.
func (e *Envelope) set(f field, raw []byte) bool {
	kind := raw[0]
	isNull := kind == 'n'
	switch f {
	case fieldAction:
		return setText(&e.Action, raw)
	case fieldToken:
		return setText(&e.Token, raw)
	case fieldCompany:
		return setText(&e.Company, raw)
	case fieldData:
		if e.Data = raw; isNull {
			e.Data = nil
		}
	case fieldSeq:
		if e.Seq = raw; isNull {
			e.Seq = nil
		}
	case fieldBroadcast:
		if kind == 't' || kind == 'f' {
			e.Broadcast = kind == 't'
		} else {
			return isNull
		}
	case fieldClientIDs: // which is no array
		e.ids, e.ClientIDs, e.badID = e.ids[:0], nil, false
		return isNull
	}
	return true
}

// setText sets a string to what is between the quotes; null leaves it.
func setText(s *[]byte, raw []byte) bool {
	if raw[0] == '"' {
		*s = raw[1 : len(raw)-1 : len(raw)-1]
		return true
	}
	return raw[0] == 'n'
}

// longestID is how long an id may be written: each of its characters as \u0000.
const longestID = 36 * 6

// readIDs takes the array at b[i]. It returns the index behind it, and whether it has only strings and
// nulls.
func (e *Envelope) readIDs(b []byte, i int) (next int, typed bool) {
	if e.badID = false; e.ids == nil {
		e.ids = []uuid.UUID{} // no allocation, and not nil: present, if empty
	}
	e.ids, typed = e.ids[:0], true
	i, more := enter(b, i, ']')
	for more {
		start := i
		if i = value(b, i, maxNesting-2); i == bad {
			return bad, false
		}
		switch raw := b[start:i]; raw[0] {
		case '"':
			e.addID(raw[1 : len(raw)-1])
		case 'n':
			e.badID = true
		default:
			typed = false
		}
		i, more = step(b, i, ']')
	}
	e.ClientIDs = e.ids
	return i, typed
}

// addID appends the id that the inside of a string names.
func (e *Envelope) addID(raw []byte) {
	if e.badID {
		return
	}
	if len(raw) != 36 && len(raw) <= longestID {
		raw = decoded(raw)
	}
	id, ok := parseID(raw)
	if !ok {
		e.badID = true
		return
	}
	e.ids = append(e.ids, id)
}

// longestKey is how long the name of a field may be written: is_broadcast, each letter as \u0000.
const longestKey = 12 * 6

// fieldOf finds the field that key, the inside of a string, names.
func fieldOf(key []byte) field {
	switch string(key) {
	case "actioncode":
		return fieldAction
	case "data":
		return fieldData
	case "token":
		return fieldToken
	case "company":
		return fieldCompany
	case "seq":
		return fieldSeq
	case "is_broadcast":
		return fieldBroadcast
	case "client_ids":
		return fieldClientIDs
	}
	if len(key) < 3 || len(key) > longestKey {
		return fieldUnknown
	}
	return oddFieldOf(key)
}

// fieldNames has the names by field.
var fieldNames = [...]string{fieldAction: "actioncode", fieldData: "data", fieldToken: "token", fieldCompany: "company",
	fieldSeq: "seq", fieldBroadcast: "is_broadcast", fieldClientIDs: "client_ids"}

// oddFieldOf finds the field whose name key is in other letters, or with escapes.
func oddFieldOf(key []byte) field {
	for f := fieldAction; f <= fieldClientIDs; f++ {
		if isName(key, fieldNames[f]) {
			return f
		}
	}
	return fieldUnknown
}

// isName says whether key, the inside of a string, is name, whatever the case of its letters, as
// encoding/json sees it.
func isName(key []byte, name string) bool {
	if len(key) < len(name) || len(key) > 6*len(name) {
		return false
	}
	var buf [longestKey]byte
	if plain(key, 0) < len(key) && len(key) <= longestKey {
		key = appendText(buf[:0], key)
	}
	return bytes.EqualFold(key, []byte(name))
}
