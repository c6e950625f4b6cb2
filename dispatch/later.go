package dispatch

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
)

// Reply is how a Later action answers one request. It may be copied, kept, and used on any goroutine.
// Whoever has it answers, unless the end of Context comes first; a Reply that is dropped leaves its
// client waiting until then.
type Reply[Out any] struct {
	action  *Action
	pending Pending
}

// ErrAnswered is returned by Reply.Answer for a request that has been answered.
var ErrAnswered = errors.New("the request has been answered already")

// ErrGone is returned by Reply.Answer if nobody waits for the answer any more: the client has left, the
// action's time is up, or the server has stopped.
var ErrGone = errors.New("nobody waits for the answer any more")

// Context ends when nobody waits for the answer any more: see ErrGone.
func (r Reply[Out]) Context() context.Context { return r.pending.Context() }

// Client is the one that asks. While the handler runs only Context.Client may be used: the loop, which
// these methods wait for, is busy with the handler. If the client has left, what is asked of it fails.
func (r Reply[Out]) Client() Client { return r.pending.Client() }

// Answer gives the answer: out, encoded as Handle does it, or err, as a handler returns it. It does not
// wait for the client. The error is ErrAnswered or ErrGone.
func (r Reply[Out]) Answer(out Out, err error) error {
	return r.action.answer(r.pending, out, err)
}

// Pending is the server's side of a Reply. Its methods may be called from any goroutine.
type Pending interface {
	Context() context.Context
	Client() Client
	// Answer takes the answer, which build appends to what it gets, or returns ErrAnswered or ErrGone. seq
	// is the request's. build is called before Answer returns, or never.
	Answer(build func(out, seq []byte) ([]byte, Code)) error
}

// Later makes h begin action on the loop of its client, which it must not block, as an Inline action must
// not: it hands the work to somebody, with reply, and returns at once. So any number of requests may wait
// for a backend, and none holds a worker meanwhile. Their clients' next messages wait.
//
// ctx and all that it refers to are good until h returns, and so is an In of json.RawMessage. In and Out
// are decoded and encoded as Handle does it. If h returns an error, that is the answer.
func Later[In, Out any](m *Mux, action string, h func(*Context, In, Reply[Out]) error, opts ...Option) {
	if h == nil {
		panic(fmt.Sprintf("dispatch: action %q: the handler is nil", action))
	}
	from := runtime.FuncForPC(reflect.ValueOf(h).Pointer()).Name()
	var a *Action
	a = m.add(action, from, func(ctx *Context, out []byte) ([]byte, error) {
		arg := new(In)
		if err := decode(ctx.Envelope.Data, arg); err != nil {
			return out, err
		}
		return out, h(ctx, *arg, Reply[Out]{a, ctx.pending})
	}, opts)
	if a.Inline {
		panic(fmt.Sprintf("dispatch: action %q: a Later action begins on the loop, but is not Inline", action))
	}
	a.Later = true
}

// Begin runs a Later action for the request in ctx. The answer goes to p, before Begin returns or at any
// time afterwards. It never panics.
func (a *Action) Begin(ctx *Context, p Pending) {
	ctx.pending = p
	if _, err := a.try(ctx, nil); err != nil {
		_ = a.answer(p, nil, err) // if there was an answer, p counts this one
	}
}

func (a *Action) answer(p Pending, result any, err error) error {
	return p.Answer(func(out, seq []byte) ([]byte, Code) {
		start := len(out)
		out, err := a.encode(append(out, success...), result, err)
		return a.finish(out, start, err, []byte(a.Name), seq)
	})
}

// encode appends result, unless the action failed.
func (a *Action) encode(out []byte, result any, failed error) (newOut []byte, err error) {
	if failed != nil {
		return out, failed
	}
	defer a.caught(out, &newOut, &err)
	return appendJSON(out, result)
}
