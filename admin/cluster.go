package admin

import (
	"context"
	"crypto/sha256"
	"net/http"

	"wsd/server"
)

// nodes is the answer of /v1/nodes.
type nodes struct {
	Self     string            `json:"self"`
	Complete bool              `json:"complete"`
	Nodes    []server.NodeInfo `json:"nodes"`
	Missing  []server.Missing  `json:"missing"`
}

// nodes says which nodes there are, and how they are.
func (a *api) nodes(w http.ResponseWriter, r *http.Request) {
	if _, err := query(r); err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
	defer cancel()
	list, reach := a.cluster.Nodes(ctx)
	answer(w, http.StatusOK, nodes{a.cluster.Self(), reach.Complete, list, reach.Missing})
}

// known is what is said of the nodes before they have answered.
type known struct {
	Nodes   int              `json:"nodes"`
	Missing []server.Missing `json:"missing"`
}

// reachOf is what the answer to a publish says of the nodes; nil if the server is alone.
func reachOf(r *server.Reach, perNode bool) *server.Reach {
	if r == nil || perNode {
		return r
	}
	short := *r
	short.PerNode = nil
	return &short
}

// beginAt begins a publish here, or at all nodes once.
func (a *api) beginAt(ctx context.Context, o *order, m server.Message) (server.Outcome, error) {
	if o.key != "" {
		return a.cluster.BeginOnce(ctx, o.key, o.print, o.to, m)
	}
	return a.backend.Begin(ctx, o.to, m)
}

// beginOnce begins a publish with a key in a cluster. What this process did for the key
// while it was in none is known to it alone.
func (a *api) beginOnce(ctx context.Context, o *order, key string, print [sha256.Size]byte, m server.Message) coming {
	if a.once.max == 0 {
		return errNoKeys
	}
	if e := a.once.known(key); e != nil && e.print == print {
		return keyed{e, true}
	} else if e != nil {
		return reply{status: http.StatusUnprocessableEntity, detail: server.ErrKeyUsed.Error()}
	}
	o.key, o.print = key, print
	return a.begin(context.WithoutCancel(ctx), o, m)
}
