package dispatch

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
)

// Mux is the table of actions. It is filled before serving; from then on it is only read, and may be
// used by any number of goroutines at once.
type Mux struct {
	// Authenticate checks the token of a request for an action that needs one; it is never called with
	// an empty token. Its identity becomes Context.Identity. It refuses with an *Error, such as
	// ErrTokenInvalid; any other error is answered by CodeOf. Without Recall it runs where the action
	// runs, and must not block if that is inline. Without Authenticate, every token is invalid.
	Authenticate func(ctx *Context, token []byte) (identity any, err error)

	// Recall, if set, says that Authenticate may take longer than some microseconds, as a public key's
	// signature does: Authenticate then runs on a worker while its client waits, unless Recall knows
	// what it would return, because it is known from before or quick to tell. Recall runs on the client's
	// loop and must not block.
	Recall func(token []byte) (identity any, known bool, err error)

	// Logger hears of handlers that fail. Nil means slog.Default().
	Logger *slog.Logger

	actions map[string]*Action
}

// NewMux returns a table without any action.
func NewMux() *Mux {
	return &Mux{actions: make(map[string]*Action)}
}

// Lookup finds an action by its name, or nil, which is to be answered by MethodNotFound.
func (m *Mux) Lookup(action []byte) *Action {
	return m.actions[string(action)]
}

// Actions returns all actions, sorted by name.
func (m *Mux) Actions() []*Action {
	all := make([]*Action, 0, len(m.actions))
	for _, a := range m.actions {
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b *Action) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Identify checks the token of the request and sets ctx.Identity. It fails with ErrTokenEmpty when there
// is no token and the server did not know the client either, or with what Authenticate says. Call does
// this by itself for actions that need a token.
func (m *Mux) Identify(ctx *Context) error {
	if ctx.checked {
		return ctx.refusal
	}
	if len(ctx.Envelope.Token) == 0 {
		if ctx.Identity == nil && ctx.Client != nil {
			ctx.Identity = ctx.Client.Identity()
		}
		if ctx.Identity == nil {
			return ErrTokenEmpty
		}
		return nil
	}
	if m.Authenticate == nil {
		return ErrTokenInvalid
	}
	identity, err := m.Authenticate(ctx, ctx.Envelope.Token)
	if err != nil {
		return err
	}
	ctx.Identity = identity
	return nil
}

// Quick reports whether Identify takes no longer for the request than a loop has time for: there is no
// token, looking at one is quick, or Recall knows it.
func (m *Mux) Quick(ctx *Context) bool {
	if ctx.checked || m.Recall == nil || len(ctx.Envelope.Token) == 0 {
		return true
	}
	identity, known, err := m.Recall(ctx.Envelope.Token)
	if !known {
		return false
	}
	if err == nil {
		ctx.Identity = identity
	}
	ctx.Checked(err)
	return true
}

// Option changes how an action is run.
type Option func(*Action)

// Inline makes an action run on the loop of its client, which it must not block: no waiting, no I/O, some
// microseconds of work. Other actions run on a pool of workers, while their client's next messages wait.
func Inline() Option {
	return func(a *Action) { a.Inline = true }
}

// Token makes an action refuse requests whose token Mux.Authenticate does not accept.
func Token() Option {
	return func(a *Action) { a.NeedsToken = true }
}

// add puts an action into the table, or panics: a table that is not as it was meant must not serve.
// from names what the action runs, for the sake of messages.
func (m *Mux) add(name, from string, run runner, opts []Option) *Action {
	if !validAction(name) {
		panic(fmt.Sprintf("dispatch: %s: action name %q must be snake_case (a-z, 0-9, _), begin with a letter and have at most %d bytes", from, name, MaxAction))
	}
	if first := m.actions[name]; first != nil {
		panic(fmt.Sprintf("dispatch: action %q is registered twice: as %s and as %s", name, first.from, from))
	}
	a := &Action{Name: name, Index: len(m.actions), mux: m, from: from, run: run}
	for _, opt := range opts {
		opt(a)
	}
	m.actions[name] = a
	return a
}

func (m *Mux) logger() *slog.Logger {
	if m.Logger != nil {
		return m.Logger
	}
	return slog.Default()
}
