package cluster

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"wsd/server"
)

// TestHold: what is published while a node moves is held, and comes in its order when
// the node goes on; what is held for too long is given up, and its publisher told.
func TestHold(t *testing.T) {
	shop := startShop(t, 2)
	c := dial(t, shop[1], "news")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := shop[1].Hold(ctx); err != nil {
		t.Fatal(err)
	}
	p := shop[0].members.all()[0]
	if p.state.Load() != stateMoving {
		t.Fatalf("the other takes it for %s", stateNames[p.state.Load()])
	}
	var under []server.Outcome
	for i, to := range []server.Target{server.All(), server.Topic("news"), server.Topic("news"), server.All()} {
		o, err := shop[0].srv.Begin(t.Context(), to, server.Message{Data: fmt.Append(nil, i)})
		if err != nil {
			t.Fatal(err)
		}
		under = append(under, o)
	}
	if got := len(c.messages()); got != 2 {
		t.Errorf("%d messages came while the node moved", got-2)
	}
	if err := shop[1].Release(); err != nil {
		t.Fatal(err)
	}
	for i, o := range under {
		if r, err := o.Wait(t.Context()); err != nil || r.Matched != 1 || !r.Reach.Complete {
			t.Errorf("%d: %+v %+v %v", i, r, r.Reach, err)
		}
	}
	if got := strings.Join(c.await(6)[2:], " "); got != "0 1 2 3" {
		t.Errorf("got %q", got)
	}
	if err := shop[1].Hold(ctx); err != nil {
		t.Fatal(err)
	}
	o, err := shop[0].srv.Begin(t.Context(), server.All(), server.Message{Data: []byte("late")})
	if err != nil {
		t.Fatal(err)
	}
	r, err := o.Wait(t.Context())
	if err != nil || r.Reach.Complete || r.Reach.Missing[0].Why != whyMoving {
		t.Errorf("held for too long: %+v %+v %v", r, r.Reach, err)
	}
	if r := publishAt(t, shop[0], server.All(), "later"); r.Reach.Complete || r.Reach.Missing[0].Why != whyMoving {
		t.Errorf("after that: %+v %+v", r, r.Reach)
	}
	shop[0].dropHeld(p)
	if err := shop[1].Release(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the node is ready", func() bool { return p.state.Load() == stateReady })
	publishAt(t, shop[0], server.All(), "end")
	if got := strings.Join(c.await(7)[6:], " "); got != "end" {
		t.Errorf("got %q: what was given up came all the same", got)
	}
}

// TestPatience: a node that has said that it moves may be silent for as long as publishes
// are held for it, and may take longer to acknowledge when it is back.
func TestPatience(t *testing.T) {
	s, err := server.New(server.Config{Listen: []string{"127.0.0.1:0"}, Logger: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop(context.Background(), false) })
	n, err := New(Config{Cluster: "shop", Logger: logger(t)}, s)
	if err != nil {
		t.Fatal(err)
	}
	n.began = n.began.Add(-time.Minute) // so that there is a time before now
	p, _ := n.meet(&heartbeat{Node: "n2", Life: 1, State: "ready"}, n.subjectOf("n2", 1))
	for _, c := range []struct {
		name          string
		state         int32
		silent, moved time.Duration // ago; 0: it has never moved
		want          standing
		within        time.Duration
	}{
		{"heard", stateReady, 0, 0, fine, ackWithin},
		{"silent", stateReady, suspectAfter + time.Second, 0, suspect, ackWithin},
		{"moving", stateMoving, suspectAfter + time.Second, suspectAfter + time.Second, moving, moveWithin},
		{"moving for long", stateMoving, suspectAfter + 2*time.Second, moveWithin + time.Second, suspect, moveWithin},
		{"gone", stateMoving, deadAfter + time.Second, time.Second, dead, moveWithin},
		{"back", stateReady, 0, moveWithin, fine, moveWithin},
		{"back for long", stateReady, 0, 2*moveWithin + time.Second, fine, ackWithin},
	} {
		p.state.Store(c.state)
		p.seen.Store(int64(n.now() - c.silent))
		p.moved.Store(0)
		if c.moved > 0 {
			p.moved.Store(int64(n.now() - c.moved))
		}
		if got, within := n.standing(p), n.ackWithin(p); got != c.want || within != c.within {
			t.Errorf("%s: standing %d, want %d; it may take %v, want %v", c.name, got, c.want, within, c.within)
		}
	}
}

// TestMoveBack: a handover that fails after the node has left NATS is undone: it is there
// again, with its name and its life, and nothing is lost.
func TestMoveBack(t *testing.T) {
	shop := startShop(t, 3)
	c := dial(t, shop[1], "news")
	life := shop[1].life
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := shop[1].Hold(ctx); err != nil {
		t.Fatal(err)
	}
	o, err := shop[0].srv.Begin(t.Context(), server.Topic("news"), server.Message{Data: []byte("held")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := shop[1].Leave(); err != nil {
		t.Fatal(err)
	}
	if err := shop[1].Release(); err != nil {
		t.Fatal(err)
	}
	if r, err := o.Wait(t.Context()); err != nil || !r.Reach.Complete && r.Reach.Missing[0].Why != whyMoving { // a busy machine
		t.Errorf("%+v %+v %v", r, r.Reach, err)
	}
	eventually(t, "all is as before", func() bool {
		r := publishAt(t, shop[1], server.All(), "back")
		q := publishAt(t, shop[2], server.Topic("news"), "again")
		return r.Reach.Complete && r.Reach.Nodes == 3 && q.Matched == 1 && q.Reach.Complete && shop[1].life == life
	})
	c.await(4)
}

// TestRecall: what one process remembers is what the next one knows.
func TestRecall(t *testing.T) {
	shop := startShop(t, 2)
	a := shop[0]
	onceAt(t, a, "k", server.All(), "x")
	eventually(t, "the key is remembered", a.keys.settled)
	m := a.remember()
	s, err := server.New(server.Config{Listen: []string{"127.0.0.1:0"}, Logger: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop(context.Background(), false) })
	b, err := New(Config{Cluster: "shop", Logger: logger(t)}, s)
	if err != nil {
		t.Fatal(err)
	}
	b.recall(m)
	if b.name != a.name || b.life != a.life || b.subject != a.subject || b.tags.current() != a.tags.current() || b.sender.last != a.sender.last ||
		b.interest.version <= m.Interest || len(b.members.all()) != 1 || b.keys.of["k"] == nil {
		t.Errorf("it knows %+v of %+v", b.remember(), m)
	}
}
