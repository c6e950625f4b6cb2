package cluster

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"wsd/server"
)

// TestPublish: what is published at any node reaches whom it is for on all, once, and
// the answer adds up.
func TestPublish(t *testing.T) {
	shop := startShop(t, 3)
	clients := make([]*wsClient, 0, 6)
	for _, m := range shop {
		clients = append(clients, dial(t, m, "news"), dial(t, m))
	}
	base := make([]int, len(clients))
	for i, c := range clients {
		base[i] = len(c.messages())
	}
	for i, m := range shop {
		if r := publishAt(t, m, server.All(), fmt.Sprint("all ", i)); r.Matched != 6 || r.Sent != 6 || !r.Reach.Complete || r.Reach.Nodes != 3 || len(r.Reach.PerNode) != 3 {
			t.Errorf("to all at node %d: %+v %+v", i, r, r.Reach)
		}
		if r := publishAt(t, m, server.Topic("news"), fmt.Sprint("news ", i)); r.Matched != 3 || !r.Reach.Complete {
			t.Errorf("to a topic at node %d: %+v %+v", i, r, r.Reach)
		}
		if r := publishAt(t, m, server.Client(clients[1].id, clients[3].id, uuid.New()), fmt.Sprint("you ", i)); r.Matched != 2 || !r.Reach.Complete {
			t.Errorf("to clients at node %d: %+v %+v", i, r, r.Reach)
		}
	}
	for i, c := range clients {
		var want []string
		for k := range shop {
			want = append(want, fmt.Sprint("all ", k))
			if i%2 == 0 {
				want = append(want, fmt.Sprint("news ", k))
			}
			if i == 1 || i == 3 {
				want = append(want, fmt.Sprint("you ", k))
			}
		}
		got := c.await(base[i] + len(want))[base[i]:]
		if strings.Join(got, ",") != strings.Join(want, ",") {
			t.Errorf("client %d got %q, want %q", i, got, want)
		}
	}
}

// TestOrder: messages of one publisher arrive in their order, once, whatever else is
// published, and whatever for: to all, to a topic, with and without waiting.
func TestOrder(t *testing.T) {
	const each, publishers = 300, 3
	shop := startShop(t, 3)
	clients := make([]*wsClient, 0, 6)
	for _, m := range shop {
		clients = append(clients, dial(t, m, "a", "b"), dial(t, m, "b"))
	}
	var all sync.WaitGroup
	for i, m := range shop {
		for k := range publishers {
			all.Go(func() {
				for seq := range each {
					to := server.All()
					if seq%3 == 1 {
						to = server.Topic("b")
					}
					text := []byte(fmt.Sprintf("p%d-%d %d", i, k, seq))
					o, err := m.srv.Begin(t.Context(), to, server.Message{Data: text})
					if err == nil && k > 0 { // the first does not wait
						var r server.Result
						r, err = o.Wait(t.Context())
						if err == nil {
							// A node that stands still for a second is missing, with its two clients, and no other.
							missing := r.Reach.Missing
							other := func(m server.Missing) bool { return m.Why != whyNoAnswer }
							if r.Matched != 6-2*len(missing) || r.Reach.Complete != (len(missing) == 0) || slices.ContainsFunc(missing, other) {
								t.Errorf("%s: %+v %+v", text, r, r.Reach)
							}
						}
					}
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	all.Wait()
	for i, c := range clients {
		got := c.await(2 + 3*publishers*each)
		next := map[string]int{}
		for _, text := range got {
			var who string
			var seq int
			if _, err := fmt.Sscanf(text, "%s %d", &who, &seq); err != nil || who[0] != 'p' {
				continue
			}
			if seq != next[who] {
				t.Fatalf("client %d: of %s came %d, not %d", i, who, seq, next[who])
			}
			next[who]++
		}
		if len(next) != 3*publishers {
			t.Errorf("client %d heard of %d publishers", i, len(next))
		}
	}
}

// TestTell: what clients say to each other goes to all nodes.
func TestTell(t *testing.T) {
	shop := startShop(t, 2)
	a, b, c := dial(t, shop[0]), dial(t, shop[1]), dial(t, shop[1])
	a.send(`{"actioncode":"echo","data":"to all","is_broadcast":true}`)
	for _, x := range []*wsClient{a, b, c} {
		if got := x.await(2)[1]; !strings.Contains(got, "to all") {
			t.Errorf("got %s", got)
		}
	}
	a.send(fmt.Sprintf(`{"actioncode":"echo","data":"to c","client_ids":["%s"]}`, c.id))
	if got := c.await(3)[2]; !strings.Contains(got, "to c") {
		t.Errorf("got %s", got)
	}
	if got := a.await(3)[2]; !strings.Contains(got, "to c") { // the sender's own answer
		t.Errorf("got %s", got)
	}
	if got := b.messages(); len(got) != 2 {
		t.Errorf("one that was not meant got %q", got)
	}
}

// TestNameTaken: a second node of a name does not start.
func TestNameTaken(t *testing.T) {
	first := startNode(t, Config{Node: "n1", Embed: embedOn("127.0.0.1:0")}, server.Config{})
	_, err := tryNode(t, Config{Node: "n1", Embed: embedOn("127.0.0.1:0", first.link.embed.Addr())}, server.Config{})
	var taken *NameTakenError
	if !errors.As(err, &taken) || taken.Node != "n1" {
		t.Errorf("the error is %v", err)
	}
	if r := publishAt(t, first, server.All(), "x"); !r.Reach.Complete || r.Reach.Nodes != 1 {
		t.Errorf("afterwards the first one's answers are about %+v", r.Reach)
	}
}

// TestNodeGone: a node that goes without a word is missing until it is forgotten; one
// that says goodbye is not.
func TestNodeGone(t *testing.T) {
	shop := startShop(t, 3)
	shop[2].Close()
	eventually(t, "who says goodbye is not missed", func() bool {
		r := publishAt(t, shop[0], server.All(), "x")
		return r.Reach.Complete && r.Reach.Nodes == 2
	})
	shop[1].link.close() // as kill -9 would
	r := publishAt(t, shop[0], server.All(), "y")
	if r.Reach.Complete || len(r.Reach.Missing) != 1 || r.Reach.Missing[0].Node != "n2" || r.Reach.Missing[0].Why != whyNoAnswer {
		t.Errorf("right after a death: %+v", r.Reach)
	}
	p := shop[0].members.all()[0]
	p.seen.Store(int64(shop[0].now() - deadAfter - time.Second))
	r = publishAt(t, shop[0], server.All(), "z")
	if r.Reach.Complete || len(r.Reach.Missing) != 1 || r.Reach.Missing[0].Why != whyGone {
		t.Errorf("later: %+v", r.Reach)
	}
}

// TestStale: a publish that is not newer than the last of its node is not delivered.
func TestStale(t *testing.T) {
	shop := startShop(t, 2)
	c := dial(t, shop[1])
	publishAt(t, shop[0], server.All(), "new")
	p := publish{life: shop[0].life, to: server.All(), m: server.Message{Data: []byte("old")}}
	body := p.append(nil)
	stamp(body, 1, time.Time{})
	if err := shop[0].send(shop[1].subject, body); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it was counted", func() bool { return shop[1].count.stale.Load() == 1 })
	publishAt(t, shop[0], server.All(), "newer")
	if got := c.await(3)[1:]; strings.Join(got, " ") != "new newer" {
		t.Errorf("got %q", got)
	}
}
