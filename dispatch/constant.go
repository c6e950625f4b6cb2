package dispatch

import "fmt"

// Constant makes an action that always answers data, whatever the request. Its whole answer is made
// once, now, and costs a request nothing but a copy. Constant panics if data has no JSON form.
func Constant(m *Mux, action string, data any) {
	raw, err := appendJSON(nil, data)
	if err != nil {
		panic(fmt.Sprintf("dispatch: constant action %q: %v", action, err))
	}
	run := func(_ *Context, out []byte) ([]byte, error) { return append(out, raw...), nil }
	a := m.add(action, fmt.Sprintf("constant %s", raw), run, []Option{Inline()})
	a.Constant = AppendAnswer(nil, OK, "", raw, []byte(action), nil)
}
