package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

	"wsd/server"
)

// client is what is told of a connected one.
type client struct {
	ID             uuid.UUID `json:"client_id"`
	Address        string    `json:"address"`
	Path           string    `json:"path"`
	ConnectedAt    time.Time `json:"connected_at"`
	LastSeen       time.Time `json:"last_seen"`
	Topics         []string  `json:"topics"`
	QueuedBytes    int       `json:"queued_bytes"`
	QueuedMessages int       `json:"queued_messages"`
	Node           string    `json:"node,omitempty"` // it is at, in a cluster

	// Of a client that proved who it is.
	User      string    `json:"user,omitempty"`
	ExpiresAt time.Time `json:"expires_at,omitzero"` // when its token does
}

func newClient(in server.ClientInfo) client {
	if in.Topics == nil {
		in.Topics = []string{}
	}
	return client{ID: in.ID, Address: in.Address, Path: in.Path, ConnectedAt: in.ConnectedAt.UTC(), LastSeen: in.LastSeen.UTC(), Topics: in.Topics,
		QueuedBytes: in.QueuedBytes, QueuedMessages: in.QueuedMessages, User: in.User, ExpiresAt: in.Expires.UTC()}
}

// askTimeout bounds how long a loop may take to say what it knows.
const askTimeout = 5 * time.Second

// errLoop is for a question that no loop answered in time.
var errLoop = errors.New("the server is too busy to tell: try again")

func (a *api) oneClient(w http.ResponseWriter, r *http.Request) {
	id, _, ok := a.clientCall(w, r)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
	defer cancel()
	if a.cluster != nil {
		a.oneOfAll(w, ctx, id)
		return
	}
	info, found := a.backend.Client(ctx, id)
	if !found {
		unknown(w, ctx, id)
		return
	}
	answer(w, http.StatusOK, newClient(info))
}

// clientCall reads the id and the query of a call about one client, or answers
// what is wrong with them.
func (a *api) clientCall(w http.ResponseWriter, r *http.Request, parameters ...string) (uuid.UUID, map[string]string, bool) {
	id, err := parseID(r.PathValue("id"))
	q, err2 := query(r, parameters...)
	if err := errors.Join(err, err2); err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return id, nil, false
	}
	return id, q, true
}

func unknown(w http.ResponseWriter, ctx context.Context, id uuid.UUID) {
	if ctx.Err() != nil {
		problem(w, http.StatusServiceUnavailable, errLoop.Error())
		return
	}
	problem(w, http.StatusNotFound, "no client has the id "+id.String())
}

// Bounds of one page of clients.
const (
	pageDefault = 100
	pageMax     = 1000
)

// page is one part of the list. Next is where to go on, "" at the end.
type page struct {
	Clients []client `json:"clients"`
	Next    string   `json:"next"`
	*reached
}

func (a *api) allClients(w http.ResponseWriter, r *http.Request) {
	q, err := query(r, a.inCluster("cursor", "limit", "node")...)
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	limit := pageDefault
	if text, given := q["limit"]; given {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > pageMax {
			problem(w, http.StatusBadRequest, fmt.Sprintf("limit is a number from 1 to %d", pageMax))
			return
		}
	}
	ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
	defer cancel()
	list, next, reach, err := a.fullPage(ctx, q["cursor"], limit, q["node"])
	switch {
	case errors.Is(err, server.ErrCursor):
		problem(w, http.StatusBadRequest, "cursor is what the page before gave as next")
		return
	case err != nil:
		problem(w, http.StatusServiceUnavailable, errLoop.Error())
		return
	}
	p := page{Clients: make([]client, len(list)), Next: next, reached: reach}
	for i, in := range list {
		p.Clients[i] = newClient(in)
	}
	answer(w, http.StatusOK, p)
}

// fullPage asks on until the page is full: the server's own pages end where one
// of its loops does. reach is nil if the server is alone.
func (a *api) fullPage(ctx context.Context, cursor string, limit int, node string) (list []server.ClientInfo, next string, reach *reached, err error) {
	for next = cursor; ; {
		var some []server.ClientInfo
		if a.cluster == nil {
			some, next, err = a.backend.Clients(ctx, next, limit-len(list))
		} else {
			var part server.Reach
			some, next, part, err = a.cluster.Clients(ctx, next, limit-len(list), node)
			reach = reach.and(part)
		}
		list = append(list, some...)
		if err != nil || next == "" || len(list) >= limit {
			return list, next, reach, err
		}
	}
}
