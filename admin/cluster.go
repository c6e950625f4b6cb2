package admin

import (
	"context"
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
