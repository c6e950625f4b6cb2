package cluster

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"wsd/server"
)

// TestTagCollision: of two nodes with the same tag the younger one takes another, and
// clients of both are found all the while.
func TestTagCollision(t *testing.T) {
	shop := startShop(t, 3)
	old, young := shop[0], shop[1]
	a := dial(t, old)
	tag := old.tags.current()
	young.tags.draw(tag)
	young.server.SetTag(tag)
	b := dial(t, young)
	if server.TagOf(a.id) != tag || server.TagOf(b.id) != tag {
		t.Fatalf("ids %v and %v, tag %x", a.id, b.id, tag)
	}
	young.beat(false)
	old.beat(false)
	eventually(t, "the younger one has another tag", func() bool { return young.tags.current() != tag })
	if old.tags.current() != tag {
		t.Error("the older one has changed its tag")
	}
	c := dial(t, young)
	if server.TagOf(c.id) != young.tags.current() {
		t.Errorf("a new client has the id %v", c.id)
	}
	eventually(t, "all know the tags", func() bool {
		p := shop[2].members.find(young.life)
		return p != nil && slices.Contains(p.told.Load().Tags, young.tags.current())
	})
	r := publishAt(t, shop[2], server.Client(a.id, b.id, c.id), "x")
	if r.Matched != 3 || !r.Reach.Complete {
		t.Errorf("%+v %+v", r, r.Reach)
	}
}

// TestUntagged: a node that has clients from before it was in a cluster is asked for ids
// with any tag.
func TestUntagged(t *testing.T) {
	shop := startShop(t, 2)
	shop[1].tags.mu.Lock()
	shop[1].tags.any = true
	shop[1].tags.mu.Unlock()
	shop[1].beat(false)
	p := shop[0].members.all()[0]
	eventually(t, "it was said", func() bool { return p.told.Load().Any })
	if !p.hasTag(server.TagOf(uuid.New())) {
		t.Error("a client with another tag is not looked for there")
	}
}

// TestOtherVersions: what a node does not know, it counts and leaves out.
func TestOtherVersions(t *testing.T) {
	shop := startShop(t, 2)
	c := dial(t, shop[1])
	before := shop[1].count.unknown.Load()
	for _, body := range [][]byte{nil, {version}, {version + 1, kindPublish, 1, 2, 3}, {version, 99, 1}, {version, kindPublish, 0}, append(head(kindAsk), "{"...)} {
		if err := shop[0].send(shop[1].subject, body); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all are counted", func() bool { return shop[1].count.unknown.Load() == before+6 })
	if r := publishAt(t, shop[0], server.All(), "x"); r.Matched != 1 || !r.Reach.Complete {
		t.Errorf("afterwards: %+v %+v", r, r.Reach)
	}
	c.await(2)
}

// TestAlone: that nobody hears a node's heartbeats is no message that it does not know.
func TestAlone(t *testing.T) {
	m := startNode(t, Config{Node: "n1", Embed: embedOn("127.0.0.1:0")}, server.Config{})
	m.beat(false)
	before := brought(m)
	eventually(t, "NATS says that nobody has heard it", func() bool { m.beat(false); return brought(m) > before })
	if r := publishAt(t, m, server.All(), "x"); !r.Reach.Complete {
		t.Errorf("alone: %+v", r.Reach)
	}
	if k := m.count.unknown.Load(); k != 0 {
		t.Errorf("%d unknown messages", k)
	}
}

// TestExpect: while fewer nodes are known than there are, nothing is complete.
func TestExpect(t *testing.T) {
	m := startNode(t, Config{Node: "n1", Embed: embedOn("127.0.0.1:0"), Expect: 2}, server.Config{})
	if r := publishAt(t, m, server.All(), "x"); r.Reach.Complete || len(r.Reach.Missing) != 1 || r.Reach.Missing[0].Node != "?" {
		t.Errorf("alone: %+v", r.Reach)
	}
	startNode(t, Config{Node: "n2", Embed: embedOn("127.0.0.1:0", m.link.embed.Addr())}, server.Config{})
	eventually(t, "it is complete with the second", func() bool { return publishAt(t, m, server.All(), "x").Reach.Complete })
}

// TestForget: one that is gone for long enough is not missed any more.
func TestForget(t *testing.T) {
	shop := startShop(t, 2)
	p := shop[0].members.all()[0]
	shop[1].link.close() // as kill -9 would
	for _, c := range []struct {
		silent time.Duration
		gone   bool
	}{{suspectAfter + time.Second, false}, {deadAfter + time.Second, false}, {shop[0].cfg.Forget + time.Second, true}} {
		p.seen.Store(int64(shop[0].now() - c.silent))
		shop[0].forget()
		if r := publishAt(t, shop[0], server.All(), "x"); r.Reach.Complete != c.gone {
			t.Errorf("silent for %v: %+v", c.silent, r.Reach)
		}
	}
}

// TestSaidAgain: a heartbeat that says the same as the one before is not read again, but
// counts; one that says something else is.
func TestSaidAgain(t *testing.T) {
	shop := startShop(t, 2)
	p := shop[0].members.all()[0]
	eventually(t, "a heartbeat came that said nothing new", func() bool {
		before, seen := p.told.Load(), p.seen.Load()
		shop[1].beat(false)
		eventually(t, "it came", func() bool { return p.seen.Load() != seen })
		return p.told.Load() == before
	})
	dial(t, shop[1])
	shop[1].beat(false)
	eventually(t, "the client is told of", func() bool { return p.told.Load().Clients == 1 })
}

// TestBeatsTogether: the heartbeat of another node brings this one's.
func TestBeatsTogether(t *testing.T) {
	n := startNode(t, Config{Node: "n1", Embed: embedOn("127.0.0.1:0")}, server.Config{}).Node
	n.session.Load().end() // nobody else waits
	n.working.Wait()
	n.session.Store(newSession())
	beaten := make(chan struct{})
	go func() { defer close(beaten); n.awaitBeat(time.Hour) }()
	eventually(t, "it beats with the other", func() bool {
		n.heardBeat()
		select {
		case <-beaten:
			return true
		default:
			return false
		}
	})
}
