package admin

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"wsd/server"
)

// fakeCluster is a cluster of two, of which the other one may be missing.
type fakeCluster struct {
	*fake
	missing []server.Missing
	used    bool // the key
}

func (f *fakeCluster) reach() *server.Reach {
	return &server.Reach{Complete: len(f.missing) == 0, Nodes: 2 - len(f.missing), Missing: append([]server.Missing{}, f.missing...),
		PerNode: []server.NodeResult{{Node: "n1"}, {Node: "n2"}}}
}

// reached is an outcome that is there.
type reachedOutcome struct{ r server.Result }

func (o reachedOutcome) Wait(context.Context) (server.Result, error) { return o.r, nil }
func (o reachedOutcome) Poll() (server.Result, bool, error)          { return o.r, true, nil }

// fakeNode is the server that is in it.
type fakeNode struct {
	*fake
	c *fakeCluster
}

func (f fakeNode) Begin(context.Context, server.Target, server.Message) (server.Outcome, error) {
	return reachedOutcome{server.Result{Matched: 1, Sent: 1, Reach: f.c.reach()}}, f.err
}

func (f *fakeCluster) BeginOnce(context.Context, string, [32]byte, server.Target, server.Message) (server.Outcome, error) {
	if f.used {
		return nil, server.ErrKeyUsed
	}
	r := server.Result{Matched: 1, Sent: 1, Reach: f.reach()}
	r.Reach.Replayed = true
	return reachedOutcome{r}, nil
}

func (f *fakeCluster) Self() string    { return "n1" }
func (f *fakeCluster) Connected() bool { return true }
func (f *fakeCluster) Nodes(context.Context) ([]server.NodeInfo, server.Reach) {
	return []server.NodeInfo{{Node: "n1", State: "ready", NATS: "embedded"}, {Node: "n2", State: "dead", NATS: "external"}}, *f.reach()
}

func (f *fakeCluster) Client(ctx context.Context, id uuid.UUID) (server.ClientInfo, string, bool, server.Reach) {
	in, found := f.fake.Client(ctx, id)
	return in, "n2", found, *f.reach()
}

func (f *fakeCluster) Clients(ctx context.Context, cursor string, limit int, only string) ([]server.ClientInfo, string, server.Reach, error) {
	list, next, err := f.fake.Clients(ctx, cursor, limit)
	return list, next, *f.reach(), err
}

func (f *fakeCluster) CloseClient(ctx context.Context, id uuid.UUID, code int, reason string) (bool, server.Reach) {
	return f.fake.CloseClient(ctx, id, code, reason), *f.reach()
}

func (f *fakeCluster) CloseTopic(ctx context.Context, topic string, code int, reason string) (int, server.Reach, error) {
	n, err := f.fake.CloseTopic(ctx, topic, code, reason)
	return n, *f.reach(), err
}

func (f *fakeCluster) CloseUser(ctx context.Context, user string, code int, reason string) (int, server.Reach, error) {
	n, err := f.fake.CloseUser(ctx, user, code, reason)
	return n, *f.reach(), err
}

func (f *fakeCluster) UserClients(ctx context.Context, user string, limit int) ([]server.ClientInfo, server.Reach, error) {
	list, err := f.fake.UserClients(ctx, user, limit)
	return list, *f.reach(), err
}

func (f *fakeCluster) Revoke(ctx context.Context, r server.Revocation) (int, server.Reach, error) {
	n, err := f.fake.Revoke(ctx, r)
	return n, *f.reach(), err
}

func (f *fakeCluster) Unrevoke(_ context.Context, user, token string) (bool, server.Reach) {
	return f.fake.Unrevoke(user, token), *f.reach()
}

func (f *fakeCluster) Topic(context.Context, string) (int, map[string]int, server.Reach, error) {
	return 7, map[string]int{"n1": 3, "n2": 4}, *f.reach(), nil
}

func (f *fakeCluster) Stats(context.Context) (map[string]json.RawMessage, server.Reach) {
	return map[string]json.RawMessage{"n1": []byte(`{"a":1,"b":{"c":[1,2]},"uptime_seconds":5,"s":"x"}`),
		"n2": []byte(`{"a":2,"b":{"c":[3,4]},"uptime_seconds":3,"s":"x"}`)}, *f.reach()
}

func (f *fakeCluster) Totals() server.ClusterStats {
	return server.ClusterStats{Connected: true, RTT: map[string]float64{"n2": 0.001},
		Nodes:   map[string]int{"joining": 0, "ready": 1, "draining": 0, "moving": 0, "suspect": 0, "dead": len(f.missing)},
		Missing: map[string]uint64{"no_answer": 0, "behind": 3, "moving": 0, "gone": 0, "partitioned": 0}}
}

// What is answered in a cluster is as described, and tells who is missing.
func TestClusterAnswers(t *testing.T) {
	for _, missing := range [][]server.Missing{nil, {{Node: "n2", Why: "behind", Since: time.Now()}}} {
		for _, c := range []struct {
			call, path, key string
			status          int
			want            string
		}{
			{call: "POST /v1/publish", path: "/v1/publish?all", status: 200, want: `"complete":`},
			{call: "POST /v1/publish", path: "/v1/publish?all&nodes=true", status: 200, want: `"per_node":[{"node":"n1"`},
			{call: "POST /v1/publish", path: "/v1/publish?all&nodes=7", status: 400},
			{call: "POST /v1/publish", path: "/v1/publish?all&wait=false", status: 202, want: `"nodes":`},
			{call: "POST /v1/publish", path: "/v1/publish?all", key: "k", status: 200},
			{call: "GET /v1/nodes", status: 200, want: `"self":"n1"`},
			{call: "GET /v1/nodes", path: "/v1/nodes?x", status: 400},
			{call: "GET /readyz", status: 200, want: `"cluster":`},
			{call: "GET /v1/clients", path: "/v1/clients?node=n1", status: 200, want: `"complete":`},
			{call: "GET /v1/clients/{id}", path: "/v1/clients/" + idA, status: 200, want: `"node":"n2"`},
			{call: "DELETE /v1/clients/{id}", path: "/v1/clients/" + idA, status: 204},
			{call: "DELETE /v1/topics/{topic}/clients", path: "/v1/topics/a/clients", status: 200, want: `"closed":7,"complete":`},
			{call: "POST /v1/publish", path: "/v1/publish?user=ada", status: 200, want: `"complete":`},
			{call: "GET /v1/users/{user}", path: "/v1/users/ada", status: 200, want: `"more":false,"complete":`},
			{call: "DELETE /v1/users/{user}/clients", path: "/v1/users/ada/clients", status: 200, want: `,"complete":`},
			{call: "GET /v1/topics/{topic}", path: "/v1/topics/a", status: 200, want: `"nodes":{"n1":3,"n2":4}`},
			{call: "GET /v1/topics/{topic}", path: "/v1/topics/a?x", status: 400},
			{call: "GET /v1/stats", path: "/v1/stats?cluster=true", status: 200, want: `"total":{"a":3,"b":{"c":[4,6]},"s":"x","uptime_seconds":5}`},
			{call: "GET /metrics", status: 200, want: `wsd_cluster_missing_total{why="behind"} 3`},
		} {
			f := &fakeCluster{fake: &fake{clients: crowd(2)}, missing: missing}
			base := start(t, fakeNode{f.fake, f}, func(cfg *Config) { cfg.Cluster = f })
			method, path, _ := strings.Cut(c.call, " ")
			q := request{method: method, url: base + path, body: "x"}
			if c.path != "" {
				q.url = base + c.path
			}
			if c.key != "" {
				q.header = map[string]string{"Idempotency-Key": c.key}
			}
			if method != "POST" {
				q.body = ""
			}
			status, header, body := do(t, q)
			if status != c.status || !strings.Contains(body, c.want) {
				t.Errorf("%s: %d, want %d and %s: %s", q.url, status, c.status, c.want, body)
			}
			if (header.Get("Idempotency-Replayed") == "true") != (c.key != "") {
				t.Errorf("%s: replayed is %q", q.url, header.Get("Idempotency-Replayed"))
			}
			for _, wrong := range disagreement(description(t), method, path, status, header, body) {
				t.Errorf("%s %d: %s", c.call, status, wrong)
			}
		}
	}
}

// A client that is nowhere is not found; it may be at a node that is missing.
func TestClusterUnknownClient(t *testing.T) {
	f := &fakeCluster{fake: &fake{clients: crowd(1)}}
	base := start(t, fakeNode{f.fake, f}, func(cfg *Config) { cfg.Cluster = f })
	for _, method := range []string{"GET", "DELETE"} {
		f.missing = nil
		if status, _, _ := do(t, request{method: method, url: base + "/v1/clients/" + idB}); status != 404 {
			t.Errorf("%s: %d", method, status)
		}
		f.missing = []server.Missing{{Node: "n2", Why: "gone"}}
		if status, _, body := do(t, request{method: method, url: base + "/v1/clients/" + idB}); status != 503 || !strings.Contains(body, "n2") {
			t.Errorf("%s: %d %s", method, status, body)
		}
	}
	f.used = true
	if status, _, _ := do(t, request{method: "POST", url: base + "/v1/publish?all", body: "x", header: map[string]string{"Idempotency-Key": "k"}}); status != 422 {
		t.Errorf("a key that was used for another: %d", status)
	}
}

// Alone, nothing tells of a cluster.
func TestAlone(t *testing.T) {
	base := start(t, &fake{clients: crowd(1)}, nil)
	for path, want := range map[string]int{"/v1/nodes": 404, "/v1/clients?node=n1": 400, "/v1/topics/a": 200} {
		if status, _, body := do(t, request{url: base + path}); status != want || strings.Contains(body, "complete") {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if status, _, _ := do(t, request{method: "POST", url: base + "/v1/publish?all&nodes=true", body: "x"}); status != 400 {
		t.Errorf("nodes=true: %d", status)
	}
	if _, _, body := do(t, request{url: base + "/metrics"}); strings.Contains(body, "wsd_cluster") {
		t.Error("there are metrics of a cluster")
	}
}
