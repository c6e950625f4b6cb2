package cluster

import (
	"context"
	"testing"

	"github.com/google/uuid"

	"wsd/server"
)

// TestLookup: a client is found, and closed, from any node; lists and counts are of all.
func TestLookup(t *testing.T) {
	shop := startShop(t, 3)
	clients := []*wsClient{dial(t, shop[0], "a"), dial(t, shop[1], "a", "b"), dial(t, shop[1], "a"), dial(t, shop[2])}
	at := []string{"n1", "n2", "n2", "n3"}
	for _, m := range shop {
		for i, c := range clients {
			if in, node, found, _ := m.Client(t.Context(), c.id); !found || node != at[i] || in.ID != c.id {
				t.Errorf("at %s, client %d is %v at %q: %+v", m.name, i, found, node, in)
			}
		}
		if _, _, found, reach := m.Client(t.Context(), uuid.New()); found || !reach.Complete {
			t.Errorf("one that there is not: %v %+v", found, reach)
		}
		if n, by, reach, err := m.Topic(t.Context(), "a"); n != 3 || by["n1"] != 1 || by["n2"] != 2 || by["n3"] != 0 || len(by) != 3 || !reach.Complete || err != nil {
			t.Errorf("at %s topic a has %d: %v %+v %v", m.name, n, by, reach, err)
		}
		seen := map[uuid.UUID]int{}
		for cursor, more := "", true; more; more = cursor != "" {
			list, next, reach, err := m.Clients(t.Context(), cursor, 1, "")
			if err != nil || !reach.Complete {
				t.Fatalf("%+v %v", reach, err)
			}
			for _, in := range list {
				seen[in.ID]++
			}
			cursor = next
		}
		if len(seen) != 4 {
			t.Errorf("%s lists %v", m.name, seen)
		}
		if by, reach := m.Stats(t.Context()); len(by) != 3 || !reach.Complete {
			t.Errorf("%s has stats of %d: %+v", m.name, len(by), reach)
		}
	}
	if _, _, _, err := shop[0].Clients(t.Context(), "rubbish", 1, ""); err != server.ErrCursor {
		t.Errorf("a cursor that is none: %v", err)
	}
	if found, _ := shop[0].CloseClient(t.Context(), clients[3].id, 4000, "go"); !found {
		t.Error("a client of another node is not closed")
	}
	if n, reach, err := shop[2].CloseTopic(t.Context(), "a", 4000, "go"); n != 3 || !reach.Complete || err != nil {
		t.Errorf("closed %d: %+v %v", n, reach, err)
	}
	shop[1].link.close() // as kill -9 would
	if _, _, found, reach := shop[0].Client(t.Context(), clients[1].id); found || reach.Complete || reach.Missing[0].Node != "n2" {
		t.Errorf("of a node that does not answer: %v %+v", found, reach)
	}
}

// TestUsers: what is published to a user reaches the clients on all nodes, which are
// listed, and closed, from any.
func TestUsers(t *testing.T) {
	users := make(chan string, 1)
	known := server.Config{Auth: server.AuthRequired, Authenticate: func(context.Context, *server.Newcomer) (*server.Identity, error) {
		return &server.Identity{Subject: <-users}, nil
	}}
	first := startNode(t, Config{Node: "n1", Embed: embedOn("127.0.0.1:0")}, known)
	second := startNode(t, Config{Node: "n2", Embed: embedOn("127.0.0.1:0", first.link.embed.Addr())}, known)
	shop := []*member{first, second}
	settle(t, shop)
	as := func(user string, m *member) *wsClient {
		users <- user
		return dial(t, m)
	}
	ada, also, grace := as("ada", first), as("ada", second), as("grace", second)
	for i, m := range shop {
		if r := publishAt(t, m, server.User("ada", "nobody"), "to ada"); r.Matched != 2 || !r.Reach.Complete || r.Reach.Nodes != 2 {
			t.Errorf("at %s: %+v %+v", m.name, r, r.Reach)
		}
		for _, c := range []*wsClient{ada, also} {
			if got := c.await(2 + i)[1+i]; got != "to ada" {
				t.Errorf("got %q", got)
			}
		}
		list, reach, err := m.UserClients(t.Context(), "ada", 100)
		if len(list) != 2 || list[0].User != "ada" || list[1].User != "ada" || list[0].ID == list[1].ID || !reach.Complete || reach.Nodes != 2 || err != nil {
			t.Errorf("%s lists %+v: %+v %v", m.name, list, reach, err)
		}
		if list, _, _ := m.UserClients(t.Context(), "ada", 1); len(list) != 1 {
			t.Errorf("%s lists %d, not 1", m.name, len(list))
		}
	}
	if n, reach, err := first.CloseUser(t.Context(), "ada", 4000, "go"); n != 2 || !reach.Complete || err != nil {
		t.Errorf("closed %d: %+v %v", n, reach, err)
	}
	if got := grace.messages(); len(got) != 1 {
		t.Errorf("another user got %q", got)
	}
	second.link.close() // as kill -9 would
	if _, reach, err := first.UserClients(t.Context(), "grace", 100); reach.Complete || len(reach.Missing) != 1 || reach.Missing[0].Node != "n2" || err != nil {
		t.Errorf("of a node that does not answer: %+v %v", reach, err)
	}
	if _, reach, err := first.CloseUser(t.Context(), "grace", 4000, "go"); reach.Complete || err != nil {
		t.Errorf("of a node that does not answer: %+v %v", reach, err)
	}
}
