package cluster

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"wsd/server"
)

// TestRevoke: a revocation holds at all nodes, whichever was asked, and at one that
// comes later; and who was not told is named.
func TestRevoke(t *testing.T) {
	who := make(chan *server.Identity, 1)
	known := server.Config{Auth: server.AuthRequired, Authenticate: func(context.Context, *server.Newcomer) (*server.Identity, error) {
		return <-who, nil
	}}
	first := startNode(t, Config{Node: "n1", Embed: embedOn("127.0.0.1:0")}, known)
	second := startNode(t, Config{Node: "n2", Embed: embedOn("127.0.0.1:0", first.link.embed.Addr())}, known)
	settle(t, []*member{first, second})
	issued := time.Now().Add(-time.Hour)
	as := func(user, token string, m *member) *wsClient {
		who <- &server.Identity{Subject: user, TokenID: token, Issued: issued}
		return dial(t, m)
	}
	as("ada", "t1", first)
	as("ada", "t2", second)
	as("grace", "t3", second)
	ctx := t.Context()
	if n, reach, err := first.Revoke(ctx, server.Revocation{User: "ada", IssuedBefore: time.Now()}); n != 2 || !reach.Complete || reach.Nodes != 2 || err != nil {
		t.Errorf("closed %d: %+v %v", n, reach, err)
	}
	if n, reach, err := first.Revoke(ctx, server.Revocation{Token: "t3"}); n != 1 || !reach.Complete || err != nil {
		t.Errorf("closed %d: %+v %v", n, reach, err)
	}
	if _, _, err := first.Revoke(ctx, server.Revocation{}); err != server.ErrRevocation {
		t.Errorf("a revocation of nobody: %v", err)
	}
	// More than one answer holds, long ones among them.
	const many = 2500
	list := make([]server.Revocation, 0, many)
	for i := range many {
		list = append(list, server.Revocation{Token: fmt.Sprintf("%04d%s", i, strings.Repeat("x", i%7*100))})
	}
	if _, err := second.server.RevokeAll(ctx, list); err != nil {
		t.Fatal(err)
	}
	third := startNode(t, Config{Node: "n3", Embed: embedOn("127.0.0.1:0", first.link.embed.Addr())}, known)
	settle(t, []*member{first, second, third})
	eventually(t, "the newcomer knows all", func() bool { return len(third.server.Revocations()) == many+2 })
	if found, reach := third.Unrevoke(ctx, "ada", ""); !found || !reach.Complete || reach.Nodes != 3 {
		t.Errorf("%v %+v", found, reach)
	}
	if found, reach := first.Unrevoke(ctx, "ada", ""); found || !reach.Complete {
		t.Errorf("taken back twice: %v %+v", found, reach)
	}
	second.link.close() // as kill -9 would
	if _, reach, err := first.Revoke(ctx, server.Revocation{Token: "t9"}); reach.Complete || len(reach.Missing) != 1 || reach.Missing[0].Node != "n2" || err != nil {
		t.Errorf("with a node that does not answer: %+v %v", reach, err)
	}
}

// TestCovers: what adds nothing to a revocation is not taken again.
func TestCovers(t *testing.T) {
	at := func(n int64) time.Time {
		if n == 0 {
			return time.Time{}
		}
		return time.Unix(n, 0)
	}
	for _, c := range []struct {
		beforeA, untilA, beforeB, untilB int64
		want                             bool
	}{
		{5, 9, 5, 9, true}, {5, 9, 4, 8, true}, {5, 0, 5, 9, true}, {5, 0, 5, 0, true},
		{5, 9, 6, 9, false}, {5, 9, 5, 10, false}, {5, 9, 5, 0, false}, {5, 0, 6, 0, false},
	} {
		a := server.Revocation{User: "u", IssuedBefore: at(c.beforeA), Until: at(c.untilA)}
		b := server.Revocation{User: "u", IssuedBefore: at(c.beforeB), Until: at(c.untilB)}
		if covers(a, b) != c.want {
			t.Errorf("%+v: not %v", c, c.want)
		}
	}
}
