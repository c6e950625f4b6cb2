package dispatch

import (
	"encoding/json"
	"fmt"
	"reflect"
	"runtime"
)

// Handle makes h serve action. The data of the request is decoded into In by encoding/json, and what h
// returns is encoded as the data of the answer.
//
// Data that does not fit In is answered by InvalidParams, without a call. Without data, In is its zero
// value, or points to one. An In of json.RawMessage is the data as it came, valid as long as the
// message is, nil if absent; an In of struct{} ignores the data. An Out of json.RawMessage is sent byte
// for byte, if it is valid JSON.
//
// h chooses another code than OK by returning an *Error; see CodeOf. Handle panics if action is no
// valid name or has a handler already.
func Handle[In, Out any](m *Mux, action string, h func(*Context, In) (Out, error), opts ...Option) {
	if h == nil {
		panic(fmt.Sprintf("dispatch: action %q: the handler is nil", action))
	}
	from := runtime.FuncForPC(reflect.ValueOf(h).Pointer()).Name()
	m.add(action, from, runnerOf(h), opts)
}

// runnerOf puts the decoding and encoding that In and Out ask for around h.
func runnerOf[In, Out any](h func(*Context, In) (Out, error)) runner {
	switch h := any(h).(type) {
	case func(*Context, json.RawMessage) (json.RawMessage, error):
		return func(ctx *Context, out []byte) ([]byte, error) {
			result, err := h(ctx, ctx.Envelope.Data)
			if err != nil {
				return out, err
			}
			return appendMessage(out, result, ctx.Envelope.Data)
		}
	case func(*Context, struct{}) (Out, error):
		return func(ctx *Context, out []byte) ([]byte, error) {
			result, err := h(ctx, struct{}{})
			if err != nil {
				return out, err
			}
			return appendJSON(out, result)
		}
	}
	return func(ctx *Context, out []byte) ([]byte, error) {
		arg := new(In)
		if err := decode(ctx.Envelope.Data, arg); err != nil {
			return out, err
		}
		result, err := h(ctx, *arg)
		if err != nil {
			return out, err
		}
		return appendJSON(out, result)
	}
}
