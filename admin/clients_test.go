package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"wsd/server"
)

// crowd is n clients; the first is idA.
func crowd(n int) []server.ClientInfo {
	all := make([]server.ClientInfo, n)
	for i := range all {
		all[i] = server.ClientInfo{ID: uuid.MustParse(fmt.Sprintf("%08d-1111-4111-8111-111111111111", 11111111+i)), Address: "192.0.2.1:1234", Path: "/ws",
			ConnectedAt: time.Unix(1e9, 0), LastSeen: time.Unix(1e9+5, 5e8), QueuedBytes: 12, QueuedMessages: 1}
	}
	return all
}

func TestOneClient(t *testing.T) {
	f := &fake{clients: crowd(2)}
	f.clients[0].Topics = []string{"a", "b"}
	base := start(t, f, nil)
	status, _, body := do(t, request{url: base + "/v1/clients/" + idA})
	want := `{"client_id":"` + idA + `","address":"192.0.2.1:1234","path":"/ws","connected_at":"2001-09-09T01:46:40Z",` +
		`"last_seen":"2001-09-09T01:46:45.5Z","topics":["a","b"],"queued_bytes":12,"queued_messages":1}` + "\n"
	if status != 200 || body != want {
		t.Errorf("%d %s want %s", status, body, want)
	}
	for path, want := range map[string]int{idB: 404, "bob": 400, idA + "?x=1": 400, "%7B" + idA + "%7D": 400, "": 404, idA + "/": 404} {
		if status, _, body := do(t, request{url: base + "/v1/clients/" + path}); status != want {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
}

func TestAllClients(t *testing.T) {
	f := &fake{clients: crowd(250)}
	base := start(t, f, nil)
	for _, limit := range []int{0, 1, 99, 125, 250, 1000} {
		query := url.Values{}
		if limit > 0 {
			query.Set("limit", fmt.Sprint(limit))
		}
		var got []string
		for {
			status, _, body := do(t, request{url: base + "/v1/clients?" + query.Encode()})
			var p page
			if err := json.Unmarshal([]byte(body), &p); err != nil || status != 200 {
				t.Fatalf("%d %s: %v", status, body, err)
			}
			for _, c := range p.Clients {
				got = append(got, c.ID.String())
			}
			if p.Next == "" {
				break
			}
			query.Set("cursor", p.Next)
		}
		var want []string
		for _, c := range f.clients {
			want = append(want, c.ID.String())
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("pages of %d: %d clients of %d", limit, len(got), len(want))
		}
	}
	for _, query := range []string{"limit=0", "limit=1001", "limit=x", "cursor=x", "limit=1&limit=1", "topic=a", "%zz"} {
		if status, _, body := do(t, request{url: base + "/v1/clients?" + query}); status != 400 {
			t.Errorf("%s: %d %s", query, status, body)
		}
	}
	f.clients = nil
	if _, _, body := do(t, request{url: base + "/v1/clients"}); body != "{\"clients\":[],\"next\":\"\"}\n" {
		t.Errorf("nobody is %s", body)
	}
	f.err = server.ErrStopped
	if status, _, _ := do(t, request{url: base + "/v1/clients"}); status != 503 {
		t.Errorf("stopped: %d", status)
	}
}

func TestCloseClient(t *testing.T) {
	f := &fake{clients: crowd(1)}
	base := start(t, f, nil)
	for _, c := range []struct {
		path   string
		status int
		closed string
	}{
		{idA, 204, idA + " 1008 "},
		{idA + "?code=4001&reason=gr%C3%BC%C3%9Fe+an+alle", 204, idA + " 4001 grüße an alle"},
		{idB, 404, ""},
		{idA + "?code=1005", 400, ""},
		{idA + "?code=1006", 400, ""},
		{idA + "?code=999", 400, ""},
		{idA + "?code=2000", 400, ""},
		{idA + "?code=5000", 400, ""},
		{idA + "?code=x", 400, ""},
		{idA + "?reason=" + strings.Repeat("x", 124), 400, ""},
		{idA + "?reason=%ff", 400, ""},
		{idA + "?why=x", 400, ""},
		{"bob", 400, ""},
	} {
		f.closes = nil
		status, _, body := do(t, request{method: "DELETE", url: base + "/v1/clients/" + c.path})
		if got := strings.Join(f.closes, ","); status != c.status || got != c.closed {
			t.Errorf("%s: %d, closed %q: %s", c.path, status, got, body)
		}
	}
}

func TestCloseTopic(t *testing.T) {
	f := &fake{}
	base := start(t, f, nil)
	for _, c := range []struct {
		path   string
		status int
		closed string
	}{
		{"room.1/clients?code=1001&reason=r", 200, "topic room.1 1001 r"},
		{"a%2Fb%20c/clients", 200, "topic a/b c 1008 "},
		{"%2e%2e/clients", 200, "topic .. 1008 "},
		{"a/b/clients", 404, ""},
		{"%ff/clients", 400, ""},
		{"a/clients?code=1", 400, ""},
		{"a/clients?all", 400, ""},
	} {
		f.closes = nil
		status, _, body := do(t, request{method: "DELETE", url: base + "/v1/topics/" + c.path})
		if got := strings.Join(f.closes, ","); status != c.status || got != c.closed {
			t.Errorf("%s: %d, closed %q: %s", c.path, status, got, body)
		}
		if status == 200 && body != "{\"closed\":7}\n" {
			t.Errorf("got %s", body)
		}
	}
	f.err = errors.New("stopped")
	if status, _, body := do(t, request{method: "DELETE", url: base + "/v1/topics/a/clients"}); status != 503 || !strings.Contains(body, "7 were closed") {
		t.Errorf("%d %s", status, body)
	}
}
