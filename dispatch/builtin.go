package dispatch

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// Builtins adds the actions that every server has, all of them inline: heart_beat, whoami, echo,
// subscribe and unsubscribe.
func Builtins(m *Mux) {
	Constant(m, "heart_beat", true)
	Handle(m, "whoami", whoami, Inline())
	Handle(m, "echo", echo, Inline())
	Handle(m, "subscribe", subscribe, Inline())
	Handle(m, "unsubscribe", unsubscribe, Inline())
}

// Auth adds the action auth: a client that sends a new token is known by that from then on. It is for a
// server that knows its clients, beside Builtins.
func Auth(m *Mux) {
	Handle(m, AuthAction, auth, Inline(), Token())
}

// AuthAction is the name of the action that Auth adds.
const AuthAction = "auth"

func auth(ctx *Context, none struct{}) (Self, error) {
	if len(ctx.Envelope.Token) == 0 {
		return Self{}, ErrTokenEmpty
	}
	if err := ctx.Client.SetIdentity(ctx.Identity); err != nil {
		return Self{}, err
	}
	return whoami(ctx, none)
}

// Self is what whoami answers.
type Self struct {
	ClientID    uuid.UUID `json:"client_id"`
	ConnectedAt time.Time `json:"connected_at"` // UTC, to the millisecond
	Topics      []string  `json:"topics"`       // sorted, never null

	// Of a client that the server knows since its handshake.
	User      string     `json:"user,omitempty"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"` // UTC, to the second
	Grants    any        `json:"grants,omitempty"`
}

// Known is an identity (Client.Identity) that tells about itself.
type Known interface {
	// Whoami fills in what whoami answers about the user.
	Whoami(*Self)
}

func whoami(ctx *Context, _ struct{}) (Self, error) {
	self := Self{
		ClientID:    ctx.Client.ID(),
		ConnectedAt: ctx.Client.ConnectedAt().UTC().Truncate(time.Millisecond),
		Topics:      topics(ctx),
	}
	if known, ok := ctx.Client.Identity().(Known); ok {
		known.Whoami(&self)
	}
	return self, nil
}

func echo(_ *Context, data json.RawMessage) (json.RawMessage, error) {
	return data, nil
}

// names reads the argument of subscribe and unsubscribe, {"topics":[…]}. A name that is no text is refused,
// rather than taken for the one that encoding/json makes of it; null is an empty name. The names are parts
// of one string, since a message has room for 20,000.
func names(data json.RawMessage) (list []string, err error) {
	wrong := &Error{Code: InvalidParams}
	if data == nil {
		return nil, nil
	}
	if data[0] != '{' || !ValidText(data) {
		return nil, wrong
	}
	text := string(data)
	i, more := enter(data, 0, '}')
	for more {
		var key []byte
		key, i = member(data, i)
		if !isName(key, "topics") {
			i = value(data, i, maxNesting)
		} else if list, i = textList(data, text, i); i == bad {
			return nil, wrong
		}
		i, more = step(data, i, '}')
	}
	return list, nil
}

// textList takes an array of strings and nulls, or null, which is none. text is the string of b, which is
// valid JSON. It returns the index behind the array; bad: there is something else in it.
func textList(b []byte, text string, i int) (list []string, next int) {
	switch b[i] {
	case 'n':
		return nil, literal(b, i, "null")
	case '[':
	default:
		return nil, bad
	}
	list = make([]string, 0, bytes.Count(b[i:], []byte{','})+1)
	i, more := enter(b, i, ']')
	for more {
		start := i
		switch i = scalar(b, i); {
		case i == bad: // an array or object
			return nil, bad
		case b[start] == 'n':
			list = append(list, "")
		case b[start] != '"':
			return nil, bad
		case bytes.IndexByte(b[start:i], '\\') < 0:
			list = append(list, text[start+1:i-1])
		default:
			list = append(list, string(appendText(nil, b[start+1:i-1])))
		}
		i, more = step(b, i, ']')
	}
	return list, i
}

func subscribe(ctx *Context, data json.RawMessage) ([]string, error) {
	list, err := names(data)
	if err == nil {
		err = ctx.Client.Subscribe(list...)
	}
	if err != nil {
		return nil, err
	}
	return topics(ctx), nil
}

func unsubscribe(ctx *Context, data json.RawMessage) ([]string, error) {
	list, err := names(data)
	if err == nil {
		err = ctx.Client.Unsubscribe(list...)
	}
	if err != nil {
		return nil, err
	}
	return topics(ctx), nil
}

// topics returns the client's topics, never nil: an answer says [] rather than null.
func topics(ctx *Context) []string {
	if names := ctx.Client.Topics(); names != nil {
		return names
	}
	return []string{}
}
