package admin

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/google/uuid"

	"wsd/server"
)

const (
	idA = "11111111-1111-4111-8111-111111111111"
	idB = "22222222-2222-4222-8222-222222222222"
)

func TestPublish(t *testing.T) {
	binary := map[string]string{"Content-Type": "application/octet-stream"}
	form := map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
	a, b := uuid.MustParse(idA), uuid.MustParse(idB)
	for _, c := range []struct {
		name, query, body string
		header            map[string]string
		status            int
		to                server.Target
		binary            bool
	}{
		{"all", "all", "grüße", nil, 200, server.All(), false},
		{"all=", "all=", "x", nil, 200, server.All(), false},
		{"verbatim", "all", " {\"a\":1}\r\n\x00", form, 200, server.All(), false},
		{"empty", "all", "", nil, 200, server.All(), false},
		{"binary", "all", "\xff\x00\xfe", binary, 200, server.All(), true},
		{"binary with a parameter", "all", "\xff", map[string]string{"Content-Type": "Application/Octet-Stream; x=y"}, 200, server.All(), true},
		{"as large as may be", "all", strings.Repeat("x", 100), nil, 200, server.All(), false},
		{"topics", "topic=a&topic=b%2Fc", "x", nil, 200, server.Topic("a", "b/c"), false},
		{"clients", "client=" + idA + "&client=" + idB, "x", nil, 200, server.Client(a, b), false},

		{"text that is not UTF-8", "all", "\xff", nil, 400, server.Target{}, false},
		{"too large", "all", strings.Repeat("x", 101), nil, 413, server.Target{}, false},
		{"no target", "", "x", nil, 400, server.Target{}, false},
		{"unknown target", "everybody", "x", nil, 400, server.Target{}, false},
		{"two kinds", "all&topic=a", "x", nil, 400, server.Target{}, false},
		{"all of what", "all=false", "x", nil, 400, server.Target{}, false},
		{"all twice", "all&all", "x", nil, 400, server.Target{}, false},
		{"no topic", "topic=", "x", nil, 400, server.Target{}, false},
		{"topic that is not UTF-8", "topic=%ff", "x", nil, 400, server.Target{}, false},
		{"no id", "client=bob", "x", nil, 400, server.Target{}, false},
		{"id in another form", "client=%7B" + idA + "%7D", "x", nil, 400, server.Target{}, false},
		{"too many", strings.Repeat("topic=a&", maxTargets) + "topic=a", "x", nil, 400, server.Target{}, false},
		{"options", "all&wait=true&coalesce=price&deadline=1m30s", "x", nil, 200, server.All(), false},
		{"wait for what", "all&wait=maybe", "x", nil, 400, server.Target{}, false},
		{"wait twice", "all&wait=true&wait=true", "x", nil, 400, server.Target{}, false},
		{"coalesce what", "all&coalesce=", "x", nil, 400, server.Target{}, false},
		{"long coalesce", "all&coalesce=" + strings.Repeat("x", maxCoalesce+1), "x", nil, 400, server.Target{}, false},
		{"coalesce that is not UTF-8", "all&coalesce=%ff", "x", nil, 400, server.Target{}, false},
		{"deadline without a unit", "all&deadline=5", "x", nil, 400, server.Target{}, false},
		{"no deadline", "all&deadline=", "x", nil, 400, server.Target{}, false},
		{"deadline gone by", "all&deadline=-5s", "x", nil, 400, server.Target{}, false},
		{"deadline too far", "all&deadline=25h", "x", nil, 400, server.Target{}, false},
		{"options alone", "coalesce=a", "x", nil, 400, server.Target{}, false},
		{"malformed", "all;all", "x", nil, 400, server.Target{}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &fake{result: server.Result{Matched: 4, Sent: 3, Queued: 2, Dropped: 1}}
			base := start(t, f, func(cfg *Config) { cfg.MaxPublish = 100 })
			status, _, body := do(t, request{method: "POST", url: base + "/v1/publish?" + c.query, body: c.body, header: c.header})
			if status != c.status {
				t.Fatalf("status %d, want %d: %s", status, c.status, body)
			}
			if status != 200 {
				if len(f.targets) != 0 {
					t.Fatalf("a refused message was published to %+v", f.targets)
				}
				return
			}
			if want := `{"matched":4,"sent":3,"queued":2,"dropped":1`; !strings.HasPrefix(body, want) {
				t.Errorf("got %s want %s…", body, want)
			}
			want := server.Message{Binary: c.binary, Data: []byte(c.body)}
			if got := f.messages[0]; got.Binary != want.Binary || string(got.Data) != c.body {
				t.Errorf("published %+v, want %+v", got, want)
			}
			if !reflect.DeepEqual(f.targets[0], c.to) {
				t.Errorf("to %+v, want %+v", f.targets[0], c.to)
			}
		})
	}
}

// A parameter that is mistyped is named.
func TestUnknownParameter(t *testing.T) {
	for query, name := range map[string]string{"topik=a": "topik", "all&durable=1": "durable", "topic=a&tag=": "tag"} {
		if _, err := parseOrder(query); err == nil || !strings.Contains(err.Error(), `"`+name+`"`) {
			t.Errorf("%s: %v", query, err)
		}
	}
}

func TestPublishRefused(t *testing.T) {
	base := start(t, &fake{err: errors.New("the server is draining")}, nil)
	status, _, body := do(t, request{method: "POST", url: base + "/v1/publish?all", body: "x"})
	if status != 503 || !strings.Contains(body, "draining") {
		t.Errorf("got %d %s", status, body)
	}
}

func FuzzOrder(f *testing.F) {
	for _, seed := range []string{"all", "topic=a&topic=b", "client=" + idA, "all&client=", "topic=%zz"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		o, err := parseOrder(query)
		if err == nil && reflect.DeepEqual(o.to, server.Target{}) {
			t.Errorf("%q is taken for a target, but is none", query)
		}
	})
}
