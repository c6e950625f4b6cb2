package admin

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"net/http"

	"github.com/google/uuid"

	"wsd/server"
)

// reached says of an answer which nodes it is about.
type reached struct {
	Complete bool             `json:"complete"`
	Missing  []server.Missing `json:"missing"`
}

// and adds what another part of the answer is about. A nil reached is of no part yet.
func (r *reached) and(part server.Reach) *reached {
	if r == nil {
		return &reached{part.Complete, append([]server.Missing{}, part.Missing...)}
	}
	r.Complete = r.Complete && part.Complete
	r.Missing = append(r.Missing, part.Missing...)
	return r
}

// inCluster are the parameters of a call, of which the last is for a cluster alone.
func (a *api) inCluster(parameters ...string) []string {
	if a.cluster == nil {
		return parameters[:len(parameters)-1]
	}
	return parameters
}

// nodeList is the answer of /v1/nodes.
type nodeList struct {
	Self     string            `json:"self"`
	Complete bool              `json:"complete"`
	Nodes    []server.NodeInfo `json:"nodes"`
	Missing  []server.Missing  `json:"missing"`
}

// nodes says which nodes there are, and how they are.
func (a *api) nodes(w http.ResponseWriter, r *http.Request) {
	if a.cluster == nil {
		problem(w, http.StatusNotFound, notInCluster)
		return
	}
	if _, err := query(r); err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
	defer cancel()
	list, reach := a.cluster.Nodes(ctx)
	answer(w, http.StatusOK, nodeList{a.cluster.Self(), reach.Complete, list, reach.Missing})
}

const notInCluster = "this server is in no cluster"

// oneOfAll answers about a client that may be at any node.
func (a *api) oneOfAll(w http.ResponseWriter, ctx context.Context, id uuid.UUID) {
	info, node, found, reach := a.cluster.Client(ctx, id)
	if !found {
		unknownOfAll(w, ctx, id, reach)
		return
	}
	c := newClient(info)
	c.Node = node
	answer(w, http.StatusOK, c)
}

// unknownOfAll is unknown for a client that may be at a node that did not answer.
func unknownOfAll(w http.ResponseWriter, ctx context.Context, id uuid.UUID, reach server.Reach) {
	if ctx.Err() == nil && !reach.Complete {
		m := reach.Missing[0]
		problem(w, http.StatusServiceUnavailable, "the client may be at node "+m.Node+", which does not answer ("+m.Why+")")
		return
	}
	unknown(w, ctx, id)
}

// topicCount is the answer of /v1/topics/{topic}.
type topicCount struct {
	Topic   string         `json:"topic"`
	Clients int            `json:"clients"`
	Nodes   map[string]int `json:"nodes,omitempty"` // by name, in a cluster
	*reached
}

// oneTopic counts a topic's subscribers.
func (a *api) oneTopic(w http.ResponseWriter, r *http.Request) {
	t := topicCount{Topic: r.PathValue("topic")}
	_, err := query(r)
	if _, wrong := toTopics([]string{t.Topic}); err == nil {
		err = wrong
	}
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
	defer cancel()
	if a.cluster == nil {
		t.Clients, err = a.backend.Subscribers(ctx, t.Topic)
	} else {
		var all server.Reach
		t.Clients, t.Nodes, all, err = a.cluster.Topic(ctx, t.Topic)
		t.reached = t.reached.and(all)
	}
	if err != nil {
		problem(w, http.StatusServiceUnavailable, errLoop.Error())
		return
	}
	answer(w, http.StatusOK, t)
}

// clusterStats is the answer of /v1/stats?cluster=true.
type clusterStats struct {
	reached
	// Total adds up what can be added: every number of the nodes, but for times and limits.
	Total any                        `json:"total"`
	Nodes map[string]json.RawMessage `json:"nodes"`
}

// statsOfAll answers with the totals of all nodes.
func (a *api) statsOfAll(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
	defer cancel()
	byNode, reach := a.cluster.Stats(ctx)
	all := clusterStats{reached: *(*reached)(nil).and(reach), Nodes: byNode}
	for _, text := range byNode {
		var one any
		if json.Unmarshal(text, &one) == nil {
			all.Total = sumOf(all.Total, one)
		}
	}
	answer(w, http.StatusOK, all)
}

// sumOf adds two values of JSON: numbers, and those in objects and arrays. What is no
// number is the first one's.
func sumOf(a, b any) any {
	switch b := b.(type) {
	case float64:
		if a, ok := a.(float64); ok {
			return a + b
		}
	case map[string]any:
		a, ok := a.(map[string]any)
		if !ok {
			return b
		}
		for name, value := range b {
			switch name {
			case "uptime_seconds", "bounds": // the longest; the same everywhere
				if now, ok := value.(float64); ok {
					was, _ := a[name].(float64)
					a[name] = max(was, now)
				}
			default:
				a[name] = sumOf(a[name], value)
			}
		}
		return a
	case []any:
		a, ok := a.([]any)
		if !ok || len(a) != len(b) {
			return b
		}
		for i := range b {
			a[i] = sumOf(a[i], b[i])
		}
		return a
	}
	if a == nil {
		return b
	}
	return a
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
