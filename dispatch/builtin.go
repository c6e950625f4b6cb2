package dispatch

import (
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

// Self is what whoami answers.
type Self struct {
	ClientID    uuid.UUID `json:"client_id"`
	ConnectedAt time.Time `json:"connected_at"` // UTC, to the millisecond
	Topics      []string  `json:"topics"`       // sorted, never null
}

func whoami(ctx *Context, _ struct{}) (Self, error) {
	return Self{
		ClientID:    ctx.Client.ID(),
		ConnectedAt: ctx.Client.ConnectedAt().UTC().Truncate(time.Millisecond),
		Topics:      topics(ctx),
	}, nil
}

func echo(_ *Context, data json.RawMessage) (json.RawMessage, error) {
	return data, nil
}

// names reads the argument of subscribe and unsubscribe. One that is no text is refused, rather than
// taken for the name that encoding/json makes of it.
func names(data json.RawMessage) ([]string, error) {
	var in struct {
		Topics texts `json:"topics"`
	}
	if !ValidText(data) {
		return nil, &Error{Code: InvalidParams}
	}
	if err := decode(data, &in); err != nil {
		return nil, err
	}
	list := make([]string, len(in.Topics))
	for i, name := range in.Topics {
		list[i] = string(name)
	}
	return list, nil
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
