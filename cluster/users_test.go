package cluster

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"wsd/server"
)

// byQuery is a server that takes clients for whom their query says they are.
func byQuery(limit int, policy string) server.Config {
	return server.Config{Auth: server.AuthRequired, MaxPerUser: limit, MaxPerUserPolicy: policy,
		Authenticate: func(_ context.Context, n *server.Newcomer) (*server.Identity, error) {
			user, _ := n.Request.QueryValue("user")
			who := &server.Identity{Subject: string(user)}
			if topic, ok := n.Request.QueryValue("topic"); ok && len(topic) > 0 {
				who.Topics = []string{string(topic)}
			}
			return who, nil
		}}
}

// startKnowing is startShop for such servers.
func startKnowing(t *testing.T, k int, scfg server.Config) []*member {
	t.Helper()
	list := []*member{startNode(t, Config{Node: "n1", Embed: embedOn("127.0.0.1:0")}, scfg)}
	for i := 2; i <= k; i++ {
		list = append(list, startNode(t, Config{Node: fmt.Sprint("n", i), Embed: embedOn("127.0.0.1:0", list[0].link.embed.Addr())}, scfg))
	}
	settle(t, list)
	return list
}

// enter connects; status is that of the handshake.
func enter(t *testing.T, m *member, query string) (conn net.Conn, status int) {
	t.Helper()
	status = 101
	d := ws.Dialer{OnStatusError: func(code int, _ []byte, _ io.Reader) { status = code }}
	conn, _, _, err := d.Dial(t.Context(), "ws://"+m.srv.Addrs()[0]+"/ws?"+query)
	if err != nil && status == 101 {
		t.Fatal(err)
	}
	if conn != nil {
		t.Cleanup(func() { _ = conn.Close() })
	}
	return conn, status
}

// closedFor reads until the connection is closed, and expects that this was for its
// user's limit.
func closedFor(t *testing.T, conn net.Conn) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	_, _, err := wsutil.ReadServerData(conn)
	if e, ok := err.(wsutil.ClosedError); !ok || e.Code != 1008 || !strings.Contains(e.Reason, "took its place") {
		t.Errorf("the oldest ends with %v", err)
	}
}

// everywhere is how many clients a user has at all nodes.
func everywhere(list []*member, user string) (n int) {
	for _, m := range list {
		n += m.srv.UserCount(user)
	}
	return n
}

// TestRefuseOverAll: one more than a user may have, over all nodes, is refused at
// whatever node it comes, and let in when another one has left.
func TestRefuseOverAll(t *testing.T) {
	t.Parallel()
	shop := startKnowing(t, 3, byQuery(3, server.RefuseNew))
	var conns []net.Conn
	for _, m := range shop {
		conn, status := enter(t, m, "user=ada")
		if status != 101 {
			t.Fatalf("one of three: %d", status)
		}
		conns = append(conns, conn)
	}
	for _, m := range shop {
		if _, status := enter(t, m, "user=ada"); status != 429 {
			t.Errorf("the fourth at %s: %d", m.name, status)
		}
		if _, status := enter(t, m, "user=bob"); status != 101 {
			t.Errorf("another user at %s: %d", m.name, status)
		}
	}
	conns[2].Close()
	eventually(t, "it has left", func() bool { return everywhere(shop, "ada") == 2 })
	if _, status := enter(t, shop[0], "user=ada"); status != 101 {
		t.Errorf("in the place of one that left: %d", status)
	}
	for _, m := range shop {
		if n := m.count.uncounted.Load(); n != 0 {
			t.Errorf("%s has left a node out %d times", m.name, n)
		}
	}
}

// TestRefuseRace: however many come at one moment at all nodes, no more are let in
// than may.
func TestRefuseRace(t *testing.T) {
	t.Parallel()
	shop := startKnowing(t, 3, byQuery(4, server.RefuseNew))
	for round := range 5 {
		user := fmt.Sprint("u", round)
		var wg sync.WaitGroup
		for i := range 24 {
			wg.Go(func() { enter(t, shop[i%3], "user="+user) })
		}
		wg.Wait()
		if n := everywhere(shop, user); n > 4 {
			t.Fatalf("%d clients of %s", n, user)
		}
	}
}

// TestCloseOldestOverAll: the newest wins, at whatever node it comes, and the oldest of
// all nodes goes.
func TestCloseOldestOverAll(t *testing.T) {
	t.Parallel()
	shop := startKnowing(t, 3, byQuery(2, server.CloseOldest))
	var conns []net.Conn
	for i := range 9 {
		conn, status := enter(t, shop[i%3], "user=ada")
		if status != 101 {
			t.Fatalf("the %dth: %d", i, status)
		}
		if conns = append(conns, conn); len(conns) > 2 {
			closedFor(t, conns[0])
			conns = conns[1:]
		}
		time.Sleep(400 * time.Millisecond) // ages are as exact as answers are fast
	}
	eventually(t, "two are left", func() bool { return everywhere(shop, "ada") == 2 })
	for _, conn := range conns {
		_ = wsutil.WriteClientText(conn, []byte(`{"actioncode":"whoami"}`))
		_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
		if _, _, err := wsutil.ReadServerData(conn); err != nil {
			t.Errorf("one of the newest: %v", err)
		}
	}
}

// TestCloseOldestRace: those that come at one moment at all nodes are thinned to as
// many as may be, and not to none.
func TestCloseOldestRace(t *testing.T) {
	t.Parallel()
	shop := startKnowing(t, 3, byQuery(1, server.CloseOldest))
	var wg sync.WaitGroup
	for i := range 30 {
		wg.Go(func() { enter(t, shop[i%3], fmt.Sprint("user=u", i%5)) })
	}
	wg.Wait()
	for i := range 5 {
		user := fmt.Sprint("u", i)
		eventually(t, "one is left of "+user, func() bool { return everywhere(shop, user) <= 1 })
		if everywhere(shop, user) == 0 {
			t.Errorf("nobody is left of %s", user)
		}
	}
}

// TestLimitWithoutAnswer: a node that does not answer holds nobody up for longer than
// SubscribeWait, and is counted.
func TestLimitWithoutAnswer(t *testing.T) {
	t.Parallel()
	shop := startKnowing(t, 2, byQuery(1, server.RefuseNew))
	shop[0].cfg.SubscribeWait = 100 * time.Millisecond
	if _, status := enter(t, shop[1], "user=ada"); status != 101 {
		t.Fatal(status)
	}
	if _, status := enter(t, shop[0], "user=ada"); status != 429 {
		t.Fatalf("while it answers: %d", status)
	}
	for range answersAt { // as if it hung
		shop[1].questions.places <- struct{}{}
	}
	if _, status := enter(t, shop[0], "user=ada"); status != 101 {
		t.Errorf("while it does not: %d", status)
	}
	if n := shop[0].count.uncounted.Load(); n != 1 {
		t.Errorf("counted %d times", n)
	}
}

// TestTokenTopicsReached: once the handshake is answered, a message published at
// another node arrives at a client whose token has the topic, each time.
func TestTokenTopicsReached(t *testing.T) {
	t.Parallel()
	shop := startKnowing(t, 3, byQuery(0, ""))
	for i := range 200 {
		topic := fmt.Sprint("topic-", i)
		conn, status := enter(t, shop[i%3], "user=ada&topic="+topic)
		if status != 101 {
			t.Fatal(status)
		}
		if r := publishAt(t, shop[(i+1+i%2)%3], server.Topic(topic), topic); r.Matched != 1 || !r.Reach.Complete {
			t.Fatalf("round %d: %+v %+v", i, r, r.Reach)
		}
		_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
		if text, _, err := wsutil.ReadServerData(conn); string(text) != topic || err != nil {
			t.Fatalf("round %d: %q %v", i, text, err)
		}
		conn.Close()
	}
	for _, m := range shop {
		if n := m.count.late.Load(); n > 0 {
			t.Errorf("%d at %s did not wait to the end", n, m.name)
		}
	}
}

// TestFitting: a question has one user at least, and no more than fit.
func TestFitting(t *testing.T) {
	long := counting{user: strings.Repeat("x", userBytes+1)}
	for _, c := range []struct {
		list []counting
		want int
	}{
		{[]counting{{user: "a"}}, 1}, {make([]counting, usersAt), usersAt}, {make([]counting, 5000), usersAt},
		{[]counting{long, long}, 1}, {[]counting{{user: "a"}, long}, 1},
	} {
		if got := fitting(c.list); got != c.want {
			t.Errorf("of %d fit %d, not %d", len(c.list), got, c.want)
		}
	}
}
