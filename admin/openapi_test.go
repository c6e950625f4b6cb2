package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"wsd/server"
)

// node is a piece of the description.
type node = map[string]any

func description(t *testing.T) node {
	t.Helper()
	var d node
	if err := json.Unmarshal(openAPI, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func at(d node, path ...string) node {
	for _, name := range path {
		d, _ = d[name].(node)
	}
	return d
}

// Every call is described, and nothing else.
func TestDescriptionHasEveryCall(t *testing.T) {
	described := map[string]bool{}
	for path, methods := range at(description(t), "paths") {
		for method := range methods.(node) {
			described[strings.ToUpper(method)+" "+path] = true
		}
	}
	a := newAPI(context.Background(), Config{}.withDefaults(), &fake{})
	for _, call := range a.calls() {
		name := call.method + " " + strings.TrimSuffix(call.path, "{$}")
		if !described[name] {
			t.Errorf("%s is not described", name)
		}
		delete(described, name)
	}
	for name := range described {
		t.Errorf("%s is described, but not there", name)
	}
}

// Every reference leads somewhere.
func TestDescriptionIsWhole(t *testing.T) {
	d := description(t)
	var visit func(v any)
	visit = func(v any) {
		switch v := v.(type) {
		case node:
			if ref, ok := v["$ref"].(string); ok && at(d, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...) == nil {
				t.Errorf("%s leads nowhere", ref)
			}
			for _, child := range v {
				visit(child)
			}
		case []any:
			for _, child := range v {
				visit(child)
			}
		}
	}
	visit(d)
}

// What the handlers answer is what the description says, in every status.
func TestAnswersAreAsDescribed(t *testing.T) {
	for _, c := range []struct {
		call, path, body string
		key, coding      string
		change           func(*fake)
		status           int
	}{
		{call: "GET /", status: 200},
		{call: "GET /openapi.json", status: 200},
		{call: "GET /healthz", status: 200},
		{call: "GET /readyz", status: 200},
		{call: "GET /readyz", status: 503, change: func(f *fake) { f.ready = server.ErrStopped }},
		{call: "GET /metrics", status: 200},
		{call: "GET /v1/info", status: 200},
		{call: "POST /v1/publish", path: "/v1/publish?topic=a&coalesce=c&deadline=1s&wait=true", status: 200},
		{call: "POST /v1/publish", path: "/v1/publish?all&wait=false", status: 202},
		{call: "POST /v1/publish", path: "/v1/publish", status: 400},
		{call: "POST /v1/publish", path: "/v1/publish?all", body: strings.Repeat("x", 2000), status: 413},
		{call: "POST /v1/publish", path: "/v1/publish?all", coding: "gzip", status: 415},
		{call: "POST /v1/publish", path: "/v1/publish?all", coding: "Identity", status: 200},
		{call: "POST /v1/publish", path: "/v1/publish?all", key: "k", status: 501},
		{call: "POST /v1/publish", path: "/v1/publish?all", status: 503, change: func(f *fake) { f.err = server.ErrStopped }},
		{call: "POST /v1/publish/stream", body: `{"all":true,"text":"x"}`, status: 200},
		{call: "POST /v1/publish/stream", body: "x", status: 200},
		{call: "POST /v1/publish/stream", path: "/v1/publish/stream?wait=false", body: `{"all":true,"text":"x"}`, status: 200},
		{call: "POST /v1/publish/stream", path: "/v1/publish/stream?answer=x", status: 400},
		{call: "POST /v1/publish/stream", coding: "br", status: 415},
		{call: "GET /v1/clients", path: "/v1/clients?limit=1", status: 200},
		{call: "GET /v1/clients", path: "/v1/clients?cursor=x", status: 400},
		{call: "GET /v1/clients", status: 503, change: func(f *fake) { f.err = server.ErrStopped }},
		{call: "GET /v1/clients/{id}", path: "/v1/clients/" + idA, status: 200},
		{call: "GET /v1/clients/{id}", path: "/v1/clients/" + idB, status: 404},
		{call: "DELETE /v1/clients/{id}", path: "/v1/clients/" + idA + "?code=4000&reason=r", status: 204},
		{call: "DELETE /v1/clients/{id}", path: "/v1/clients/" + idA + "?code=1", status: 400},
		{call: "DELETE /v1/topics/{topic}/clients", path: "/v1/topics/a/clients?code=4000&reason=r", status: 200},
		{call: "DELETE /v1/topics/{topic}/clients", path: "/v1/topics/a/clients", status: 503, change: func(f *fake) { f.err = server.ErrStopped }},
		{call: "GET /v1/users/{user}", path: "/v1/users/ada", status: 200},
		{call: "GET /v1/users/{user}", path: "/v1/users/" + strings.Repeat("u", 256), status: 400},
		{call: "GET /v1/users/{user}", path: "/v1/users/ada", status: 503, change: func(f *fake) { f.err = server.ErrStopped }},
		{call: "DELETE /v1/users/{user}/clients", path: "/v1/users/ada/clients?code=4000", status: 200},
		{call: "POST /v1/publish", path: "/v1/publish?user=ada&user=bob", status: 200},
		{call: "POST /v1/publish", path: "/v1/publish?user=", status: 400},
		{call: "POST /v1/revocations", body: `{"user":"ada","issued_before":1800000000,"until":4000000000}`, status: 200},
		{call: "POST /v1/revocations", body: `{"token":"t"}`, status: 200},
		{call: "POST /v1/revocations", body: `{"User":"ada"}`, status: 400},
		{call: "POST /v1/revocations", body: `{"token":"t"}`, coding: "gzip", status: 415},
		{call: "POST /v1/revocations", body: `{"token":"t"}`, status: 507, change: func(f *fake) { f.err = server.ErrRevocationsFull }},
		{call: "POST /v1/revocations", body: `{"token":"t"}`, status: 503, change: func(f *fake) { f.err = server.ErrStopped }},
		{call: "GET /v1/revocations", status: 200},
		{call: "GET /v1/revocations", status: 200, change: func(f *fake) {
			f.revocations = []server.Revocation{{User: "ada", IssuedBefore: time.Unix(5, 0)}, {Token: "t", Until: time.Unix(9, 0)}}
		}},
		{call: "DELETE /v1/revocations", path: "/v1/revocations?user=ada", status: 404},
		{call: "DELETE /v1/revocations", path: "/v1/revocations?user=ada", status: 204, change: func(f *fake) { f.revocations = []server.Revocation{{User: "ada"}} }},
		{call: "DELETE /v1/revocations", status: 400},
		{call: "GET /debug/pprof/cmdline", status: 200},
	} {
		f := &fake{clients: crowd(2)}
		if c.change != nil {
			c.change(f)
		}
		base := start(t, f, func(cfg *Config) { cfg.MaxPublish, cfg.IdempotencyKeys = 1000, -1 })
		method, path, _ := strings.Cut(c.call, " ")
		q := request{method: method, url: base + path, body: c.body}
		if c.path != "" {
			q.url = base + c.path
		}
		q.header = map[string]string{}
		if c.key != "" {
			q.header["Idempotency-Key"] = c.key
		}
		if c.coding != "" {
			q.header["Content-Encoding"] = c.coding
		}
		status, header, body := do(t, q)
		if status != c.status {
			t.Errorf("%s: %d, want %d: %s", q.url, status, c.status, body)
			continue
		}
		for _, wrong := range disagreement(description(t), method, path, status, header, body) {
			t.Errorf("%s %d: %s", c.call, status, wrong)
		}
	}
}

func TestStatsAreAsDescribed(t *testing.T) {
	s, address := live(t)
	join(t, address, "a")
	status, header, body := do(t, request{url: start(t, s, nil) + "/v1/stats"})
	for _, wrong := range disagreement(description(t), "GET", "/v1/stats", status, header, body) {
		t.Error(wrong)
	}
}

// disagreement says where an answer is not as described.
func disagreement(d node, method, path string, status int, header http.Header, body string) []string {
	place := []string{"paths", path, strings.ToLower(method), "responses", fmt.Sprint(status)}
	response := at(d, place...)
	if response == nil {
		return []string{"this status is not described"}
	}
	if ref, ok := response["$ref"].(string); ok {
		place = strings.Split(strings.TrimPrefix(ref, "#/"), "/")
		response = at(d, place...)
	}
	kind, _, _ := strings.Cut(header.Get("Content-Type"), ";")
	content := at(response, "content")
	media := at(content, kind)
	switch {
	case content == nil && body == "", at(content, "*/*") != nil:
		return nil
	case media == nil:
		return []string{fmt.Sprintf("content type %q is not among %v", kind, slices.Collect(maps.Keys(content)))}
	case !strings.Contains(kind, "json") || media["schema"] == nil:
		return nil
	}
	schema, err := schemaAt(append(place, "content", kind, "schema"))
	if err != nil {
		return []string{err.Error()}
	}
	var wrong []string
	for line := range strings.Lines(body) {
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(line))
		if err == nil {
			err = schema.Validate(v)
		}
		if err != nil {
			wrong = append(wrong, err.Error())
		}
	}
	return wrong
}

// schemaAt is the schema at a place in the description, as JSON Schema 2020-12,
// which OpenAPI 3.1 takes as it is.
func schemaAt(place []string) (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(openAPI))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("openapi.json", doc); err != nil {
		return nil, err
	}
	pointer := ""
	for _, name := range place {
		pointer += "/" + url.PathEscape(strings.NewReplacer("~", "~0", "/", "~1").Replace(name))
	}
	return c.Compile("openapi.json#" + pointer)
}

// The parameters that are described are those that the handlers take: one that
// is not described is refused.
func TestParametersAreAsDescribed(t *testing.T) {
	f := &fakeCluster{fake: &fake{clients: crowd(1), revocations: []server.Revocation{{User: "ada"}, {Token: "t"}}}} // some are for a cluster alone
	base := start(t, fakeNode{f.fake, f}, func(cfg *Config) { cfg.Cluster = f })
	values := map[string]string{"all": "", "topic": "a", "client": idA, "wait": "true", "coalesce": "c", "deadline": "1s", "answer": "errors",
		"limit": "1", "cursor": "", "code": "1000", "reason": "r", "nodes": "true", "node": "n1", "user": "ada", "token": "t"}
	for path, methods := range at(description(t), "paths") {
		if !strings.HasPrefix(path, "/v1/") || path == "/v1/info" || path == "/v1/stats" {
			continue
		}
		for method, operation := range methods.(node) {
			parameters, _ := operation.(node)["parameters"].([]any)
			address := base + strings.NewReplacer("{id}", idA, "{topic}", "a").Replace(path) + "?"
			for _, p := range parameters {
				name := p.(node)["name"].(string)
				query := name + "=" + values[name]
				if path == "/v1/publish" && name != "all" && name != "topic" && name != "client" && name != "user" {
					query += "&all"
				}
				if p.(node)["in"] == "query" {
					if status, _, body := do(t, request{method: strings.ToUpper(method), url: address + query}); status >= 400 {
						t.Errorf("%s %s: %d %s", method, address+query, status, body)
					}
				}
			}
			if status, _, _ := do(t, request{method: strings.ToUpper(method), url: address + "all&nonsense=1"}); status != 400 {
				t.Errorf("%s %s takes nonsense: %d", method, path, status)
			}
		}
	}
}
