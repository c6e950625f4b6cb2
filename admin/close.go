package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"unicode/utf8"

	"wsd/conn"
)

func (a *api) closeClient(w http.ResponseWriter, r *http.Request) {
	id, q, ok := a.clientCall(w, r, "code", "reason")
	if !ok {
		return
	}
	code, reason, err := closing(q)
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
	defer cancel()
	if a.cluster != nil {
		if found, reach := a.cluster.CloseClient(ctx, id, code, reason); !found {
			unknownOfAll(w, ctx, id, reach)
			return
		}
	} else if !a.backend.CloseClient(ctx, id, code, reason) {
		unknown(w, ctx, id)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// closed is the answer to closing all subscribers of a topic, or clients of a user.
type closed struct {
	Closed int `json:"closed"`
	*reached
}

func (a *api) closeTopic(w http.ResponseWriter, r *http.Request) {
	topic := r.PathValue("topic")
	_, err := toTopics([]string{topic})
	closeMany(w, r, err, func(ctx context.Context, code int, reason string) (int, *reached, error) {
		return a.closeAll(ctx, topic, code, reason)
	})
}

// closeMany is the call that closes all clients of something; wrong says that it
// cannot have a name like that.
func closeMany(w http.ResponseWriter, r *http.Request, wrong error, doIt func(context.Context, int, string) (int, *reached, error)) {
	q, err := query(r, "code", "reason")
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	code, reason, err := closing(q)
	if err == nil {
		err = wrong
	}
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
	defer cancel()
	n, reach, err := doIt(ctx, code, reason)
	if err != nil {
		problem(w, http.StatusServiceUnavailable, fmt.Sprintf("%d were closed, then: %v", n, err))
		return
	}
	answer(w, http.StatusOK, closed{n, reach})
}

// closeAll closes a topic's subscribers, in a cluster those of all nodes.
func (a *api) closeAll(ctx context.Context, topic string, code int, reason string) (n int, reach *reached, err error) {
	if a.cluster == nil {
		n, err = a.backend.CloseTopic(ctx, topic, code, reason)
		return n, nil, err
	}
	n, all, err := a.cluster.CloseTopic(ctx, topic, code, reason)
	return n, reach.and(all), err
}

// closeDefault is policy violation: somebody decided that the client goes.
const closeDefault = 1008

// closing reads the code and the reason of a close frame (RFC 6455, 5.5.1 and
// 7.4).
func closing(q map[string]string) (int, string, error) {
	code := closeDefault
	if text, given := q["code"]; given {
		var err error
		if code, err = strconv.Atoi(text); err != nil || !conn.ValidCloseCode(code) {
			return 0, "", errors.New("code is one that a server may close with: 1000 to 1003, 1007 to 1014, or 3000 to 4999")
		}
	}
	reason := q["reason"]
	if len(reason) > conn.MaxReason || !utf8.ValidString(reason) {
		return 0, "", fmt.Errorf("reason may have %d bytes of UTF-8", conn.MaxReason)
	}
	return code, reason, nil
}
