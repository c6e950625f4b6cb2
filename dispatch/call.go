package dispatch

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// runner decodes the argument of an action, runs its handler and appends the result as JSON to out.
// Whatever it appended before it failed is thrown away.
type runner func(ctx *Context, out []byte) ([]byte, error)

// Action is one row of the table. It is only read once the server runs.
type Action struct {
	Name       string
	Index      int    // from 0, in order of registration and without gaps: for counters in a slice
	Inline     bool   // runs on the client's loop
	Later      bool   // begins there, and is answered through a Reply
	NeedsToken bool   // runs only with a token that Mux.Authenticate accepts
	Constant   []byte // the whole answer, if it never changes; good for requests without a seq only

	// Set by registration, then constant.
	mux  *Mux
	from string
	run  runner

	// Counted by every call that goes wrong.
	panics   atomic.Uint64
	failures atomic.Uint64
	logged   atomic.Int64 // when a failure was logged last, after began; 0: never
}

// logEvery is the shortest time between two lines in the log about the same action failing.
const logEvery = 10 * time.Second

// began is what times are counted from: the wall clock may be set.
var began = time.Now()

// Call runs the action for the request in ctx and appends the whole answer to out, with its code. It
// never panics: a handler that does is answered by SystemException, and its stack is logged the first
// time. out must not share memory with the request.
func (a *Action) Call(ctx *Context, out []byte) (newOut []byte, code Code) {
	start := len(out)
	newOut, err := a.try(ctx, append(out, success...))
	return a.finish(newOut, start, err, ctx.Envelope.Action, ctx.Envelope.Seq)
}

// finish makes the answer whole: behind out[:start] there are success and the data, unless err is set.
func (a *Action) finish(out []byte, start int, err error, action, seq []byte) ([]byte, Code) {
	if err == nil {
		return appendTail(repair(out, start), action, seq), OK
	}
	code, msg := CodeOf(err)
	if code == SystemException {
		a.logFailure(err)
	}
	// Of out only what was there before is wanted; it may have moved to a larger array.
	return AppendAnswer(out[:start], code, msg, nil, action, seq), code
}

// panicked is the error of a handler that panicked; it has been logged already.
type panicked struct{ value any }

func (p panicked) Error() string { return fmt.Sprintf("panic: %v", p.value) }

// try runs the action behind its checks, and turns a panic into an error.
func (a *Action) try(ctx *Context, out []byte) (newOut []byte, err error) {
	defer a.caught(out, &newOut, &err)
	if !a.NeedsToken {
		return a.run(ctx, out)
	}
	before := ctx.Identity // of the client; the context may serve another request next
	defer func() { ctx.Identity = before }()
	if err := a.mux.Identify(ctx); err != nil {
		return out, err
	}
	return a.run(ctx, out)
}

// caught, deferred, turns a panic into an error, and what it was about to append to out into nothing.
func (a *Action) caught(out []byte, newOut *[]byte, err *error) {
	if value := recover(); value != nil {
		a.logPanic(value)
		*newOut, *err = out, panicked{value}
	}
}

// repair makes out[start:] valid UTF-8.
func repair(out []byte, start int) []byte {
	if utf8.Valid(out[start:]) {
		return out
	}
	broken := append([]byte(nil), out[start:]...)
	return appendRaw(out[:start], broken)
}

func (a *Action) logPanic(value any) {
	if a.panics.Add(1) == 1 {
		a.log(slog.LevelError, "handler panicked", "panic", value, "stack", string(debug.Stack()))
	} else {
		a.log(slog.LevelDebug, "handler panicked again", "panic", value)
	}
}

// logFailure writes err to the log, at most one for each action in any logEvery: it is the clients who
// decide how often a handler fails.
func (a *Action) logFailure(err error) {
	if _, ok := err.(panicked); ok {
		return
	}
	failures, now, last := a.failures.Add(1), int64(time.Since(began)), a.logged.Load()
	level := slog.LevelDebug
	if (last == 0 || now-last >= int64(logEvery)) && a.logged.CompareAndSwap(last, now) {
		level = slog.LevelError
	}
	a.log(level, "handler failed", "err", err, "failures", failures)
}

// log writes a line about the action. The cause comes from the handler, and becomes text here, by fmt,
// which survives an Error method that panics; not every slog.Handler does.
func (a *Action) log(level slog.Level, text, key string, cause any, more ...any) {
	logger := a.mux.logger()
	if !logger.Enabled(context.Background(), level) {
		return
	}
	args := append([]any{"action", a.Name, "handler", a.from, key, fmt.Sprint(cause)}, more...)
	logger.Log(context.Background(), level, text, args...)
}
