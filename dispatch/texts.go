package dispatch

import (
	"bytes"
	"encoding/json"
	"reflect"
)

// texts is a JSON array of strings, decoded; null is nil. encoding/json takes 200 ns for each element of a
// []string, and a message has room for 20,000.
type texts [][]byte

// UnmarshalJSON has raw from encoding/json: it is valid.
func (t *texts) UnmarshalJSON(raw []byte) error {
	*t = nil
	if raw[0] == 'n' {
		return nil
	}
	if raw[0] != '[' {
		return wrongType(raw)
	}
	raw = bytes.Clone(raw) // it is the decoder's
	*t = make(texts, 0, bytes.Count(raw, []byte{','})+1)
	var wrong error
	for i := space(raw, 1); raw[i] != ']'; i = space(raw, i) {
		if raw[i] == ',' {
			i = space(raw, i+1)
		}
		end := value(raw, i, maxDepth)
		if end == bad { // nests deeper, so it is no string
			return wrongType(raw[i:])
		}
		s, err := decodeText(raw[i:end])
		if err != nil {
			wrong = err
		}
		*t, i = append(*t, s), end
	}
	return wrong
}

// decodeText returns what raw stands for, which is a string or null, without a copy if it can.
func decodeText(raw []byte) ([]byte, error) {
	switch {
	case raw[0] == 'n':
		return nil, nil
	case raw[0] != '"':
		return nil, wrongType(raw)
	case bytes.IndexByte(raw, '\\') < 0:
		return raw[1 : len(raw)-1], nil
	}
	var s string
	err := json.Unmarshal(raw, &s)
	return []byte(s), err
}

func wrongType(raw []byte) error {
	return &json.UnmarshalTypeError{Value: "value " + string(raw[:1]), Type: reflect.TypeFor[string]()}
}
