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
}

// accepted is the answer when it was not.
type accepted struct {
	Accepted bool `json:"accepted"`
}

// reply is the answer to a publish, kept for whoever repeats the request.
type reply struct {
	status   int
	outcome  outcome // if status is 200
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
		answer(w, p.status, accepted{true})
	default:
		if p.status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", "1")
		}
		problem(w, p.status, p.detail)
	}
}

// publishPatience is how long a publish is waited for. One that takes longer is
// answered by 202: it goes on.
const publishPatience = 45 * time.Second

// coming is the answer to a publish that has begun. ok is false if it is not
// there when ctx ends; it may be asked for again.
type coming func(ctx context.Context) (p reply, ok bool)

// now is an answer that is there.
func (p reply) now() coming { return func(context.Context) (reply, bool) { return p, true } }

// noTime has ended: who waits for so long only looks.
var noTime = func() context.Context {
	ctx, end := context.WithCancel(context.Background())
	end()
	return ctx
}()

// begin sets m on its way. Whether the answer is what became of it is the
// order's word. While too many others are on their way, every publisher waits
// here.
func (a *api) begin(ctx context.Context, o *order, m server.Message) coming {
	until := time.Now().Add(publishPatience)
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	done, err := a.backend.Begin(ctx, o.to, m)
	switch {
	case errors.Is(err, server.ErrTooLarge):
		return reply{status: http.StatusRequestEntityTooLarge, detail: err.Error()}.now()
	case errors.Is(err, server.ErrNotText):
		return reply{status: http.StatusBadRequest, detail: err.Error() + ": send bytes as Content-Type: application/octet-stream"}.now()
	case err != nil && ctx.Err() != nil:
		return reply{status: http.StatusServiceUnavailable, detail: "too many publishes are under way: this one has not begun"}.now()
	case err != nil:
		return reply{status: http.StatusServiceUnavailable, detail: err.Error()}.now()
	case o.noWait:
		return reply{status: http.StatusAccepted}.now()
	}
	return func(ctx context.Context) (reply, bool) { return a.settle(ctx, until, done) }
}

// settle waits for a publish, until then at most.
func (a *api) settle(ctx context.Context, until time.Time, done server.Outcome) (reply, bool) {
	patient, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	result, err := done(patient)
	switch {
	case err == nil:
		return reply{status: http.StatusOK, outcome: outcome{result, result.LastClient.Seconds()}}, true
	case patient.Err() == nil:
		a.log.Debug("publish failed", "error", err)
		return reply{status: http.StatusServiceUnavailable, detail: err.Error()}, true
	case ctx.Err() == nil:
		return reply{status: http.StatusAccepted}, true
	}
	return reply{}, false
}

// send begins a publish and waits for the answer. Who has hung up meanwhile gets
// none; the publish goes on.
func (a *api) send(ctx context.Context, o *order, m server.Message) reply {
	if p, ok := a.begin(ctx, o, m)(ctx); ok {
		return p
	}
	return reply{status: http.StatusAccepted}
}
