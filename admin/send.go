package admin

import (
	"context"
	"errors"
	"net/http"
	"time"

	"wsd/server"
)

// outcome is what became of a publish that was waited for.
type outcome struct {
	server.Result
	LastClient float64 `json:"last_client_seconds"`
	*server.Reach
}

// accepted is the answer when it was not.
type accepted struct {
	Accepted bool `json:"accepted"`
	*known
}

// reply is the answer to a publish, kept for whoever repeats the request.
type reply struct {
	status   int
	outcome  outcome // if status is 200
	known    *known  // if status is 202, in a cluster
	detail   string  // if status is an error
	replayed bool    // it is the answer to an earlier request of the same key
}

func (p reply) failed() bool { return p.status >= 400 }

func (p reply) write(w http.ResponseWriter) {
	if p.replayed {
		w.Header().Set("Idempotency-Replayed", "true")
	}
	switch p.status {
	case http.StatusOK:
		answer(w, p.status, p.outcome)
	case http.StatusAccepted:
		answer(w, p.status, accepted{true, p.known})
	default:
		if p.status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", "1")
		}
		problem(w, p.status, p.detail)
	}
}

// publishTimeout is how long a publish is waited for. One that takes longer is
// answered by 202: it goes on.
const publishTimeout = 45 * time.Second

// coming is the answer to a publish that has begun. Either call may be repeated.
type coming interface {
	// poll returns the answer if it is there.
	poll() (p reply, ok bool)
	// wait waits for it; ok is false if it is not there when ctx ends.
	wait(ctx context.Context) (p reply, ok bool)
}

// A reply is an answer that is there.
func (p reply) poll() (reply, bool)                { return p, true }
func (p reply) wait(context.Context) (reply, bool) { return p, true }

// begin sets m on its way. Whether the answer is what became of it is the
// order's word. While too many others are on their way, every publisher waits
// here.
func (a *api) begin(ctx context.Context, o *order, m server.Message) coming {
	until := time.Now().Add(publishTimeout)
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	outcome, err := a.beginAt(ctx, o, m)
	switch {
	case errors.Is(err, server.ErrKeyUsed):
		return reply{status: http.StatusUnprocessableEntity, detail: err.Error()}
	case errors.Is(err, server.ErrTooLarge):
		return reply{status: http.StatusRequestEntityTooLarge, detail: err.Error()}
	case errors.Is(err, server.ErrNotText):
		return reply{status: http.StatusBadRequest, detail: err.Error() + ": send bytes as Content-Type: application/octet-stream"}
	case err != nil && ctx.Err() != nil:
		return reply{status: http.StatusServiceUnavailable, detail: "too many publishes are under way: this one has not begun"}
	case err != nil:
		return reply{status: http.StatusServiceUnavailable, detail: err.Error()}
	}
	p := publishing{a, outcome, until, o.perNode}
	if o.noWait {
		return p.accepted()
	}
	return p
}

// publishing is the answer to a publish that is under way.
type publishing struct {
	api     *api
	outcome server.Outcome
	until   time.Time // from then on the answer is 202
	perNode bool      // the answer tells of each node
}

// accepted is the answer while it is under way.
func (p publishing) accepted() reply {
	r := reply{status: http.StatusAccepted}
	if p.api.cluster != nil {
		if now, _, _ := p.outcome.Poll(); now.Reach != nil {
			r.known = &known{now.Reach.Nodes + now.Reach.Awaited, now.Reach.Missing}
		}
	}
	return r
}

func (p publishing) poll() (reply, bool) {
	result, done, err := p.outcome.Poll()
	if !done {
		return reply{}, false
	}
	return p.reply(result, err), true
}

func (p publishing) wait(ctx context.Context) (reply, bool) {
	limited, cancel := context.WithDeadline(ctx, p.until)
	defer cancel()
	result, err := p.outcome.Wait(limited)
	switch {
	case err == nil || limited.Err() == nil:
		return p.reply(result, err), true
	case ctx.Err() == nil:
		return p.accepted(), true
	}
	return reply{}, false
}

func (p publishing) reply(result server.Result, err error) reply {
	if err != nil {
		p.api.log.Debug("publish failed", "error", err)
		return reply{status: http.StatusServiceUnavailable, detail: err.Error()}
	}
	return reply{status: http.StatusOK, outcome: outcome{result, result.LastClient.Seconds(), reachOf(result.Reach, p.perNode)},
		replayed: result.Reach != nil && result.Reach.Replayed}
}

// send begins a publish and waits for the answer. Who has hung up meanwhile gets
// none; the publish goes on.
func (a *api) send(ctx context.Context, o *order, m server.Message) reply {
	if p, ok := a.begin(ctx, o, m).wait(ctx); ok {
		return p
	}
	return reply{status: http.StatusAccepted}
}
