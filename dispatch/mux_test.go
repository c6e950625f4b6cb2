package dispatch

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

type say struct {
	Room string `json:"room"`
	Text string `json:"text,omitempty"`
}

// picky decodes itself, and not from everything.
type picky struct{ n int }

func (p *picky) UnmarshalJSON(b []byte) error {
	p.n = len(b)
	if string(b) == "0" {
		return errors.New("no")
	}
	if string(b) == "1" {
		panic("worse")
	}
	return nil
}

func (p picky) MarshalJSON() ([]byte, error) { return fmt.Appendf(nil, "[%d]", p.n), nil }

func same[T any](_ *Context, in T) (T, error) { return in, nil }

func TestHandleAnyTypes(t *testing.T) {
	m := quiet(NewMux())
	Handle(m, "struct", same[say])
	Handle(m, "pointer", same[*say])
	Handle(m, "map", same[map[string]int])
	Handle(m, "slice", same[[]string])
	Handle(m, "array", same[[2]int])
	Handle(m, "string", same[string])
	Handle(m, "int", same[int])
	Handle(m, "float", same[float64])
	Handle(m, "bool", same[bool])
	Handle(m, "any", same[any])
	Handle(m, "time", same[time.Time])
	Handle(m, "picky", same[picky])
	Handle(m, "nothing", same[struct{}])
	Handle(m, "raw", same[json.RawMessage])
	Handle(m, "raw_in", func(_ *Context, in json.RawMessage) (int, error) { return len(in), nil })
	Handle(m, "raw_out", func(_ *Context, in string) (json.RawMessage, error) { return json.RawMessage(in), nil })
	Handle(m, "raw_made", func(_ *Context, in json.RawMessage) (json.RawMessage, error) { return append(in, ' ', '1'), nil })
	Handle(m, "raw_empty", func(*Context, json.RawMessage) (json.RawMessage, error) { return json.RawMessage{}, nil })
	Handle(m, "channel", func(*Context, struct{}) (chan int, error) { return make(chan int), nil })
	const refused, failed = "invalid params", "system exception"
	for _, tt := range []struct{ action, data, want string }{
		{"struct", `{"room":"a<b","text":"hi","x":1}`, `{"room":"a<b","text":"hi"}`},
		{"struct", ``, `{"room":""}`}, {"struct", `null`, `{"room":""}`}, {"struct", `[]`, refused}, {"struct", `{"room":7}`, refused},
		{"pointer", ``, `{"room":""}`}, {"pointer", `null`, `{"room":""}`}, {"pointer", `{"room":"r"}`, `{"room":"r"}`}, {"pointer", `7`, refused},
		{"map", `{"b":1,"a":2}`, `{"a":2,"b":1}`}, {"map", ``, `null`}, {"map", `{"b":"1"}`, refused},
		{"slice", `["a", "b"]`, `["a","b"]`}, {"slice", ``, `null`}, {"array", `[1,2]`, `[1,2]`},
		{"string", `"\u00e9"`, `"é"`}, {"string", ``, `""`}, {"int", `12`, `12`}, {"int", `1.5`, refused}, {"int", `99999999999999999999`, refused},
		{"float", `1e3`, `1000`}, {"float", `1e999`, refused}, {"bool", `true`, `true`}, {"any", `{"a":[null]}`, `{"a":[null]}`}, {"any", ``, `null`},
		{"time", `"2026-01-02T03:04:05Z"`, `"2026-01-02T03:04:05Z"`}, {"time", `"today"`, refused},
		{"picky", `[1,2,3]`, `[7]`}, {"picky", `0`, refused}, {"picky", `1`, failed}, {"picky", ``, `[0]`},
		{"nothing", `{"a":1}`, `{}`}, {"nothing", ``, `{}`},
		{"raw", `[ 1 ]`, `[ 1 ]`}, {"raw", ``, `null`}, {"raw_in", `[ 1 ]`, `5`}, {"raw_in", ``, `0`},
		{"raw_out", `"[ 1 ]"`, `[ 1 ]`}, {"raw_out", `"[ 1 "`, failed}, {"raw_out", `""`, failed}, {"raw_made", `2`, failed},
		{"raw_empty", ``, failed}, {"channel", ``, failed},
	} {
		msg := `{"actioncode":"` + tt.action + `"}`
		if tt.data != "" {
			msg = `{"data":` + tt.data + `,"actioncode":"` + tt.action + `"}`
		}
		want := `{"code":0,"msg":"success","data":` + tt.want + `,"actioncode":"` + tt.action + `"}`
		switch tt.want {
		case refused:
			want = `{"code":1,"msg":"invalid params","data":null,"actioncode":"` + tt.action + `"}`
		case failed:
			want = `{"code":4,"msg":"system exception","data":null,"actioncode":"` + tt.action + `"}`
		}
		if got := exchange(t, m, nil, msg); got != want {
			t.Errorf("%s\n got %s\nwant %s", msg, got, want)
		}
	}
}

// base is a receiver whose method is promoted.
type base struct{}

func (base) HeartBeat(*Context) (bool, error) { return true, nil }

type chat struct {
	base
	greeting string
}

func (c *chat) SayHello(ctx *Context, in say) (string, error) {
	if in.Room == "" {
		return "", &Error{Code: InvalidParams, Msg: "room is empty"}
	}
	return c.greeting + " " + in.Room, nil
}
func (c *chat) HTTPGet(_ *Context, in *say) (*say, error)                    { return in, nil }
func (c *chat) Nil(*Context) (any, error)                                    { return nil, nil }
func (c *chat) Echo(_ *Context, in json.RawMessage) (json.RawMessage, error) { return in, nil }
func (c *chat) Panic(_ *Context, in struct{}) (struct{}, error)              { panic(in) }
func (c *chat) Swap(_ *Context, in [2]any) ([2]any, error)                   { return [2]any{in[1], in[0]}, nil }
func (c *chat) unexported(a, b, c2 int) int                                  { return a + b + c2 }

func TestRegister(t *testing.T) {
	m := quiet(NewMux())
	c := &chat{greeting: "hello"}
	m.Register(c, Inline())
	_ = c.unexported(1, 2, 3)
	var names []string
	for _, a := range m.Actions() {
		names = append(names, a.Name)
		if !a.Inline || a.NeedsToken || a.Constant != nil {
			t.Errorf("%s: wrong options", a.Name)
		}
	}
	if got := strings.Join(names, " "); got != "echo heart_beat http_get nil panic say_hello swap" {
		t.Errorf("actions %s", got)
	}
	for _, tt := range []struct{ msg, want string }{
		{`{"actioncode":"heart_beat"}`, `{"code":0,"msg":"success","data":true,"actioncode":"heart_beat"}`},
		{`{"actioncode":"say_hello","data":{"room":"7"}}`, `{"code":0,"msg":"success","data":"hello 7","actioncode":"say_hello"}`},
		{`{"actioncode":"say_hello"}`, `{"code":1,"msg":"room is empty","data":null,"actioncode":"say_hello"}`},
		{`{"actioncode":"say_hello","data":7}`, `{"code":1,"msg":"invalid params","data":null,"actioncode":"say_hello"}`},
		{`{"actioncode":"http_get"}`, `{"code":0,"msg":"success","data":{"room":""},"actioncode":"http_get"}`},
		{`{"actioncode":"nil"}`, `{"code":0,"msg":"success","data":null,"actioncode":"nil"}`},
		{`{"actioncode":"echo","data":[ 1]}`, `{"code":0,"msg":"success","data":[ 1],"actioncode":"echo"}`},
		{`{"actioncode":"echo"}`, `{"code":0,"msg":"success","data":null,"actioncode":"echo"}`},
		{`{"actioncode":"panic"}`, `{"code":4,"msg":"system exception","data":null,"actioncode":"panic"}`},
		{`{"actioncode":"swap","data":[1,"a"]}`, `{"code":0,"msg":"success","data":["a",1],"actioncode":"swap"}`},
	} {
		if got := exchange(t, m, nil, tt.msg); got != tt.want {
			t.Errorf("%s\n got %s\nwant %s", tt.msg, got, tt.want)
		}
	}
	// The greeting is the receiver's, not a copy's.
	c.greeting = "bye"
	if got := exchange(t, m, nil, `{"actioncode":"say_hello","data":{"room":"7"}}`); !strings.Contains(got, "bye 7") {
		t.Errorf("got %s", got)
	}
}

type (
	noContext  struct{}
	noError    struct{}
	threeArgs  struct{}
	variadic   struct{}
	longName   struct{}
	concreteEr struct{}
)

func (noContext) Bad(int) (int, error)                { return 0, nil }
func (noError) Bad(*Context) int                      { return 0 }
func (threeArgs) Bad(*Context, int, int) (int, error) { return 0, nil }
func (variadic) Bad(*Context, ...int) (int, error)    { return 0, nil }
func (concreteEr) Bad(*Context) (int, *Error)         { return 0, nil }
func (longName) Aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa(*Context) (int, error) {
	return 0, nil
}

func TestRegistrationPanics(t *testing.T) {
	for name, tt := range map[string]struct {
		register func(m *Mux)
		want     []string
	}{
		"twice":          {func(m *Mux) { Handle(m, "a", same[int]); Constant(m, "a", "two") }, []string{`"a"`, "same", `constant "two"`}},
		"twice by type":  {func(m *Mux) { Builtins(m); m.Register(base{}) }, []string{`"heart_beat"`, "constant true", "dispatch.base.HeartBeat"}},
		"empty name":     {func(m *Mux) { Handle(m, "", same[int]) }, []string{`""`, "snake_case"}},
		"upper case":     {func(m *Mux) { Handle(m, "Say", same[int]) }, []string{`"Say"`, "snake_case"}},
		"digit first":    {func(m *Mux) { Handle(m, "1a", same[int]) }, []string{`"1a"`}},
		"space":          {func(m *Mux) { Handle(m, "a b", same[int]) }, []string{`"a b"`}},
		"too long":       {func(m *Mux) { m.Register(longName{}) }, []string{"longName.Aaaa", "64 bytes"}},
		"nil handler":    {func(m *Mux) { Handle[int, int](m, "a", nil) }, []string{`"a"`, "nil"}},
		"no JSON":        {func(m *Mux) { Constant(m, "a", func() {}) }, []string{`"a"`, "func()"}},
		"no methods":     {func(m *Mux) { m.Register(say{}) }, []string{"dispatch.say"}},
		"nil receiver":   {func(m *Mux) { m.Register(nil) }, []string{"nil"}},
		"no context":     {func(m *Mux) { m.Register(noContext{}) }, []string{"dispatch.noContext.Bad", "func(int)"}},
		"no error":       {func(m *Mux) { m.Register(noError{}) }, []string{"noError.Bad"}},
		"three args":     {func(m *Mux) { m.Register(threeArgs{}) }, []string{"threeArgs.Bad"}},
		"variadic":       {func(m *Mux) { m.Register(variadic{}) }, []string{"variadic.Bad"}},
		"concrete error": {func(m *Mux) { m.Register(concreteEr{}) }, []string{"concreteEr.Bad"}},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				text := fmt.Sprint(recover())
				for _, want := range append(tt.want, "dispatch: ") {
					if !strings.Contains(text, want) {
						t.Errorf("panic %q does not say %q", text, want)
					}
				}
			}()
			tt.register(NewMux())
		})
	}
}

func TestActionsAreIndexedAndSorted(t *testing.T) {
	m := NewMux()
	Builtins(m)
	Handle(m, "aaa", same[int])
	seen := make([]bool, len(m.Actions()))
	last := ""
	for _, a := range m.Actions() {
		if a.Name <= last || seen[a.Index] {
			t.Errorf("%s, index %d, after %s", a.Name, a.Index, last)
		}
		last, seen[a.Index] = a.Name, true
		if m.Lookup([]byte(a.Name)) != a {
			t.Errorf("%s is not found", a.Name)
		}
	}
	if m.Lookup([]byte("bbb")) != nil || m.Lookup(nil) != nil {
		t.Error("found what is not there")
	}
}
