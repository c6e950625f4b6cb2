package dispatch

import (
	"encoding/json"
	"errors"
	"reflect"
	"sync"
)

// decode fills what arg, a pointer to the argument of a handler, points to.
func decode(data []byte, arg any) error {
	switch arg := arg.(type) {
	case *json.RawMessage:
		*arg = data
		return nil
	case *struct{}:
		return nil
	}
	if data == nil {
		// A handler that takes a pointer counts on getting one.
		if v := reflect.ValueOf(arg).Elem(); v.Kind() == reflect.Pointer {
			v.Set(reflect.New(v.Type().Elem()))
		}
		return nil
	}
	if json.Unmarshal(data, arg) != nil {
		return &Error{Code: InvalidParams} // what encoding/json says would tell of our types
	}
	return nil
}

// encoder is an encoding/json encoder that appends to buf, for HTML escapes are wanted by nobody here
// and only an Encoder can leave them out.
type encoder struct {
	buf  []byte
	json *json.Encoder
}

func (e *encoder) Write(p []byte) (int, error) {
	e.buf = append(e.buf, p...)
	return len(p), nil
}

var encoders = sync.Pool{New: func() any {
	e := new(encoder)
	e.json = json.NewEncoder(e)
	e.json.SetEscapeHTML(false)
	return e
}}

// appendJSON appends v to out as JSON: a json.RawMessage byte for byte, anything else by encoding/json.
func appendJSON(out []byte, v any) ([]byte, error) {
	if raw, ok := v.(json.RawMessage); ok {
		return appendMessage(out, raw, nil)
	}
	e := encoders.Get().(*encoder)
	e.buf = out
	err := e.json.Encode(v) // writes all or nothing, and a line feed
	out, e.buf = e.buf, nil
	encoders.Put(e) // not deferred: after a panic in a MarshalJSON it must not be used again
	if err != nil {
		return out, err
	}
	return out[:len(out)-1], nil
}

var errNotJSON = errors.New("the handler's json.RawMessage is not valid JSON")

// appendMessage appends the raw JSON that a handler returned; nil is null. It is checked, unless it is
// data, which has been.
func appendMessage(out, raw, data []byte) ([]byte, error) {
	switch {
	case raw == nil:
		return append(out, "null"...), nil
	case len(raw) > 0 && len(raw) == len(data) && &raw[0] == &data[0]:
	case !json.Valid(raw):
		return out, errNotJSON
	}
	return append(out, raw...), nil
}
