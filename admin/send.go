package admin

import (
	"context"
	"net/http"
	"sync"
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

// send publishes m. Whether it is waited for is the order's word, unless too
// many are on their way that nobody waits for: then every publisher does.
func (a *api) send(ctx context.Context, o *order, m server.Message) reply {
	if o.noWait && a.ahead.take(int64(len(m.Data)), a.backend.Stats) {
		if err := a.backend.Post(o.to, m); err != nil {
			return reply{status: http.StatusServiceUnavailable, detail: err.Error()}
		}
		return reply{status: http.StatusAccepted}
	}
	ctx, cancel := context.WithTimeout(ctx, publishPatience)
	defer cancel()
	result, err := a.backend.Publish(ctx, o.to, m)
	switch {
	case err != nil && ctx.Err() == nil:
		a.log.Debug("publish failed", "error", err)
		return reply{status: http.StatusServiceUnavailable, detail: err.Error()}
	case err != nil || o.noWait:
		return reply{status: http.StatusAccepted}
	}
	return reply{status: http.StatusOK, outcome: outcome{result, result.LastClient.Seconds()}}
}

// sendToTheEnd is send for a request that may be repeated: a publisher that
// hangs up and asks again is to get the answer.
func (a *api) sendToTheEnd(ctx context.Context, o *order, m server.Message) reply {
	return a.send(context.WithoutCancel(ctx), o, m)
}

// ahead bounds the publishes on their way that nobody waits for, in number and
// in bytes. It gives credit, and asks the server how much is left to do only
// when that is used up.
type ahead struct {
	mu      sync.Mutex
	left    int   // publishes that may go without asking
	room    int64 // bytes likewise
	largest int64 // of the publishes that may still be on their way
}

const (
	aheadPublishes = 1024
	aheadBytes     = 64 << 20
)

// take reports whether a message of so many bytes may go.
func (h *ahead) take(size int64, stats func() server.Stats) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.left == 0 || h.room < size {
		h.refill(stats())
	}
	if h.left == 0 || h.room < size {
		return false
	}
	h.left--
	h.room -= size
	h.largest = max(h.largest, size)
	return true
}

// refill counts every publish under way, whoever began it, as large as the
// largest: an upper bound of what the server holds for them.
func (h *ahead) refill(st server.Stats) {
	underWay := int64(st.Publishes) - int64(st.PublishSeconds.Count)
	if underWay <= 0 {
		underWay, h.largest = 0, 0
	}
	h.left = int(max(aheadPublishes-underWay, 0))
	h.room = aheadBytes - underWay*h.largest
}
