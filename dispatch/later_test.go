package dispatch

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
)

// pending is a server's side of one request.
type pending struct {
	client  Client
	seq     []byte
	answers []string
	codes   []Code
}

func (p *pending) Context() context.Context { return context.Background() }
func (p *pending) Client() Client           { return p.client }
func (p *pending) Answer(build func(out, seq []byte) ([]byte, Code)) error {
	if len(p.answers) > 0 {
		p.answers = append(p.answers, "")
		return ErrAnswered
	}
	out, code := build(make([]byte, 3, 5), p.seq)
	p.answers, p.codes = append(p.answers, string(out[3:])), append(p.codes, code)
	return nil
}

// broken cannot be encoded.
type broken struct{ panics bool }

func (b broken) MarshalJSON() ([]byte, error) {
	if b.panics {
		panic("on purpose")
	}
	return nil, errors.New("on purpose")
}

// TestLater goes through the ways in which a request can be answered later, with
// what the client reads, and how many answers there were.
func TestLater(t *testing.T) {
	m := quiet(NewMux())
	m.Authenticate = func(_ *Context, token []byte) (any, error) { return string(token), nil }
	type reply = Reply[any]
	for name, h := range map[string]func(*Context, int, reply) error{
		"a_value": func(_ *Context, in int, r reply) error { return r.Answer(in+1, nil) },
		"failed":  func(_ *Context, _ int, r reply) error { return r.Answer(1, &Error{Code: 100, Msg: "own"}) },
		"refused": func(*Context, int, reply) error { return &Error{Code: PermissionDenied} },
		"raw":     func(_ *Context, _ int, r reply) error { return r.Answer(json.RawMessage("[1]"), nil) },
		"twice":   func(_ *Context, _ int, r reply) error { _ = r.Answer(1, nil); return errors.New("no") },
		"broken":  func(_ *Context, _ int, r reply) error { return r.Answer(broken{}, nil) },
		"bursts":  func(_ *Context, _ int, r reply) error { return r.Answer(broken{true}, nil) },
		"panics":  func(*Context, int, reply) error { panic("on purpose") },
		"client":  func(_ *Context, _ int, r reply) error { return r.Answer(r.Client().Topics(), r.Context().Err()) },
	} {
		Later(m, name, h)
	}
	Later(m, "token", func(ctx *Context, _ int, r reply) error { return r.Answer(ctx.Identity, nil) }, Token())
	for _, c := range []struct {
		request, want string
		answers       int
	}{
		{`{"actioncode":"a_value","data":1,"seq":"x"}`, `{"code":0,"msg":"success","data":2,"actioncode":"a_value","seq":"x"}`, 1},
		{`{"actioncode":"a_value","data":"x"}`, `{"code":1,"msg":"invalid params","data":null,"actioncode":"a_value"}`, 1},
		{`{"actioncode":"failed"}`, `{"code":100,"msg":"own","data":null,"actioncode":"failed"}`, 1},
		{`{"actioncode":"refused"}`, `{"code":9,"msg":"permission denied","data":null,"actioncode":"refused"}`, 1},
		{`{"actioncode":"raw"}`, `{"code":0,"msg":"success","data":[1],"actioncode":"raw"}`, 1},
		{`{"actioncode":"twice"}`, `{"code":0,"msg":"success","data":1,"actioncode":"twice"}`, 2},
		{`{"actioncode":"broken"}`, `{"code":4,"msg":"system exception","data":null,"actioncode":"broken"}`, 1},
		{`{"actioncode":"bursts"}`, `{"code":4,"msg":"system exception","data":null,"actioncode":"bursts"}`, 1},
		{`{"actioncode":"panics"}`, `{"code":4,"msg":"system exception","data":null,"actioncode":"panics"}`, 1},
		{`{"actioncode":"client"}`, `{"code":0,"msg":"success","data":["t"],"actioncode":"client"}`, 1},
		{`{"actioncode":"token"}`, `{"code":8,"msg":"token empty","data":null,"actioncode":"token"}`, 1},
		{`{"actioncode":"token","token":"bob"}`, `{"code":0,"msg":"success","data":"bob","actioncode":"token"}`, 1},
	} {
		var e Envelope
		if code := Parse([]byte(c.request), &e); code != OK {
			t.Fatal(c.request, code)
		}
		p := &pending{client: &client{topics: []string{"t"}}, seq: e.Seq}
		m.Lookup(e.Action).Begin(&Context{Context: context.Background(), Envelope: &e, Client: p.client}, p)
		if len(p.answers) != c.answers || p.answers[0] != c.want {
			t.Errorf("%s: %d answers %q, want %d, %s", c.request, len(p.answers), p.answers, c.answers, c.want)
		}
	}
}

// TestLaterWrong: what cannot be meant is refused when the table is made.
func TestLaterWrong(t *testing.T) {
	h := func(*Context, int, Reply[int]) error { return nil }
	for name, register := range map[string]func(*Mux){
		"nil":    func(m *Mux) { Later[int, int](m, "a", nil) },
		"inline": func(m *Mux) { Later(m, "a", h, Inline()) },
		"name":   func(m *Mux) { Later(m, "A", h) },
		"twice":  func(m *Mux) { Later(m, "a", h); Later(m, "a", h) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			register(NewMux())
		}()
	}
}
