package dispatch

import (
	"fmt"
	"reflect"
)

// Register makes actions of all exported methods of receiver, embedded ones too, each under the
// method's name in lower case, with _ between its words: HeartBeat serves heart_beat, HTTPGet http_get,
// Sha256Sum sha256_sum. A method looks like
//
//	func (c Chat) Say(ctx *dispatch.Context, in Say) (Said, error)
//	func (c Chat) Who(ctx *dispatch.Context) ([]string, error)
//
// with In and Out of any type, to be decoded and encoded as Handle does it. The options are for all of
// them; actions that differ belong to receivers that do.
//
// Methods are looked up now and never again. Register panics if a method does not fit, and names it, or
// if there is none.
func (m *Mux) Register(receiver any, opts ...Option) {
	v := reflect.ValueOf(receiver)
	if !v.IsValid() || v.NumMethod() == 0 {
		panic(fmt.Sprintf("dispatch: %T has no exported methods to register (those of a pointer receiver need a pointer)", receiver))
	}
	for i := range v.NumMethod() {
		method := v.Type().Method(i)
		from := fmt.Sprintf("%T.%s", receiver, method.Name)
		bound := v.Method(i)
		m.add(actionName(method.Name), from, reflectRunner(from, bound), opts)
	}
}

var (
	contextType = reflect.TypeFor[*Context]()
	errorType   = reflect.TypeFor[error]()
)

// reflectRunner is runnerOf for a method whose types are known at run time only.
func reflectRunner(from string, method reflect.Value) runner {
	t := method.Type()
	if t.NumIn() < 1 || t.NumIn() > 2 || t.IsVariadic() || t.In(0) != contextType ||
		t.NumOut() != 2 || t.Out(1) != errorType {
		panic(fmt.Sprintf("dispatch: method %s is %s, but an action needs func(*dispatch.Context) (Out, error) or func(*dispatch.Context, In) (Out, error); do not export it if it is none", from, t))
	}
	return func(ctx *Context, out []byte) ([]byte, error) {
		args := make([]reflect.Value, 1, 2)
		args[0] = reflect.ValueOf(ctx)
		if t.NumIn() == 2 {
			arg := reflect.New(t.In(1))
			if err := decode(ctx.Envelope.Data, arg.Interface()); err != nil {
				return out, err
			}
			args = append(args, arg.Elem())
		}
		results := method.Call(args)
		if err, _ := results[1].Interface().(error); err != nil {
			return out, err
		}
		return appendJSON(out, results[0].Interface())
	}
}
