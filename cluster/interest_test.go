package cluster

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"wsd/server"
)

// TestSubscribedMeansReached: once a subscribe is answered, a message published at
// another node arrives, each time. WSD_SUBSCRIBES says how often it is tried.
func TestSubscribedMeansReached(t *testing.T) {
	times := 300
	if text := os.Getenv("WSD_SUBSCRIBES"); text != "" {
		times, _ = strconv.Atoi(text)
	}
	shop := startShop(t, 3)
	a, b := dial(t, shop[0]), dial(t, shop[1])
	at := map[*wsClient]int{a: 1, b: 1}
	for i := range times {
		c, other := a, shop[1+i%2]
		if i%5 == 0 {
			c, other = b, shop[2*(i%2)]
		}
		topic := fmt.Sprint("topic ", i)
		c.subscribe(topic)
		r := publishAt(t, other, server.Topic(topic), topic)
		if r.Matched != 1 || !r.Reach.Complete {
			t.Fatalf("round %d: %+v %+v", i, r, r.Reach)
		}
		at[c] += 2
		if got := c.await(at[c]); got[at[c]-1] != topic {
			t.Fatalf("round %d: got %q", i, got[at[c]-1])
		}
		c.ask(fmt.Sprintf(`{"actioncode":"unsubscribe","data":{"topics":[%q]}}`, topic))
		at[c]++
	}
	for _, m := range shop {
		if n := m.count.late.Load(); n > 0 {
			t.Errorf("%d subscribes at %s did not wait to the end", n, m.name)
		}
	}
}

// TestOnlyWhoIsInterested: a publish to a topic goes to nodes that have it.
func TestOnlyWhoIsInterested(t *testing.T) {
	shop := startShop(t, 3)
	dial(t, shop[1], "news")
	eventually(t, "all know what all want", func() bool {
		for _, m := range shop {
			for _, p := range m.members.all() {
				if p.view.Load() == nil {
					return false
				}
			}
		}
		return true
	})
	r := publishAt(t, shop[0], server.Topic("news"), "x")
	if r.Matched != 1 || !r.Reach.Complete || r.Reach.Nodes != 3 || len(r.Reach.PerNode) != 2 {
		t.Errorf("%+v %+v", r, r.Reach)
	}
	if r := publishAt(t, shop[2], server.Topic("weather"), "x"); r.Matched != 0 || len(r.Reach.PerNode) != 1 || r.Reach.Nodes != 3 {
		t.Errorf("of a topic that nobody has: %+v %+v", r, r.Reach)
	}
}

// TestMissedDelta: who missed a change of another's interest sends it everything, asks,
// and knows again.
func TestMissedDelta(t *testing.T) {
	shop := startShop(t, 2)
	c := dial(t, shop[1], "one")
	p := shop[0].members.all()[0]
	eventually(t, "the interest is known", func() bool { return p.view.Load() != nil })
	p.view.Load().version.Add(^uint64(0)) // as if the last delta had not come
	p.view.Load().open[bucketOf("one", fewestBuckets-1)/64].Store(0)
	shop[1].beat(false)
	eventually(t, "it was asked for", func() bool {
		v := p.view.Load()
		return v != nil && v.version.Load() == shop[1].interest.sent.Load()
	})
	if r := publishAt(t, shop[0], server.Topic("one"), "x"); r.Matched != 1 {
		t.Errorf("afterwards %+v %+v", r, r.Reach)
	}
	c.await(3)
}

// TestFlapping: a bucket stays open for a while when its topic is gone, and is closed then.
func TestFlapping(t *testing.T) {
	shop := startShop(t, 2)
	n := shop[0].Node
	before := n.interest.sent.Load()
	for range 10_000 {
		n.Opened("flap")
		n.Closed("flap")
	}
	eventually(t, "it was told", func() bool { return n.interest.sent.Load() > before })
	if v := n.interest.sent.Load(); v != before+1 {
		t.Errorf("10,000 changes were told as %d", v-before)
	}
	n.interest.mu.Lock()
	for i := range n.interest.closing {
		n.interest.closing[i].at = 0 // its time is over
	}
	n.interest.mu.Unlock()
	n.closeIdle()
	eventually(t, "it is closed", func() bool { return n.interest.sent.Load() == before+2 })
	p := shop[1].members.all()[0]
	eventually(t, "the other knows", func() bool {
		v := p.view.Load()
		return v != nil && v.version.Load() == before+2
	})
	eventually(t, "the other does not take it for wanted", func() bool { return !shop[1].wants(p, []string{"flap"}) })
}

// TestBuckets: each node has its own number of buckets. With more of them, fewer publishes
// go where nobody has their topics, and never one too few. With so many, what has changed
// at once is told by a snapshot.
func TestBuckets(t *testing.T) {
	t.Parallel()
	first := startNode(t, Config{Node: "n1", Embed: embedOn("127.0.0.1:0"), Buckets: mostBuckets}, server.Config{})
	shop := []*member{first, startNode(t, Config{Node: "n2", Embed: embedOn("127.0.0.1:0", first.link.embed.Addr())}, server.Config{})}
	settle(t, shop)
	const topics, asked = 100_000, 10_000
	for i, m := range shop {
		p := shop[1-i].members.all()[0]
		eventually(t, "the interest is known", func() bool { return p.view.Load() != nil })
		heard, err := shop[1-i].link.conn.Load().SubscribeSync(m.all)
		if err != nil {
			t.Fatal(err)
		}
		m.interest.mu.Lock()
		before := m.interest.version
		for k := range topics {
			m.interest.openLocked(bucketOf(fmt.Sprint("topic ", k), m.interest.mask))
		}
		m.interest.mu.Unlock()
		reached := make(chan struct{})
		if !m.Reached([]string{"topic 0"}, func() { close(reached) }) {
			<-reached
		}
		eventually(t, "all is told", func() bool { return m.interest.unreached.Load() == 0 })
		if m.interest.sent.Load() != before+1 || m.count.late.Load() > 0 {
			t.Errorf("node %d: version %d after %d, %d late", i, m.interest.sent.Load(), before, m.count.late.Load())
		}
		for told := false; !told; {
			delta, err := heard.NextMsg(10 * time.Second)
			if err != nil {
				t.Fatal(err)
			}
			if told = delta.Data[1] == kindDelta; told && len(delta.Data) != 2+8+8+8 {
				t.Errorf("node %d: a delta of %d bytes", i, len(delta.Data))
			}
		}
		_ = heard.Unsubscribe()
		eventually(t, "the snapshot has come", func() bool { v := p.view.Load(); return v != nil && v.version.Load() == before+1 })
		for k := range topics {
			if !shop[1-i].wants(p, []string{fmt.Sprint("topic ", k)}) {
				t.Fatalf("node %d: topic %d is not known to be wanted", i, k)
			}
		}
		// 1 - exp(-topics/buckets) of them: 9.1 and 78.3 %. While the other has not been
		// heard for long all would go there.
		low, high := [...]int{800, 7600}[i], [...]int{1000, 8000}[i]
		eventually(t, fmt.Sprintf("of %d publishes that nobody wants %d to %d would go there", asked, low, high), func() bool {
			vain := 0
			for k := range asked {
				if shop[1-i].wants(p, []string{fmt.Sprint("nobody has ", k)}) {
					vain++
				}
			}
			return low <= vain && vain <= high
		})
	}
}

// TestInterestMemory: a million topics take no more than the table of buckets.
func TestInterestMemory(t *testing.T) {
	n := startNode(t, Config{Node: "n1", Embed: embedOn("127.0.0.1:0")}, server.Config{})
	names := make([]string, 1_000_000)
	for i := range names {
		names[i] = fmt.Sprint("topic number ", i)
	}
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, name := range names {
		n.Opened(name)
	}
	eventually(t, "all is told", func() bool { return n.interest.unreached.Load() == 0 })
	time.Sleep(10 * time.Millisecond)
	runtime.GC()
	runtime.ReadMemStats(&after)
	grown := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	t.Logf("a million topics take %d bytes more", grown)
	if grown > 300<<10 {
		t.Errorf("a million topics take %d bytes more", grown)
	}
	runtime.KeepAlive(names)
}

// TestStaleSnapshot: what a node said of its interest before it was asked again is not
// taken for the answer, however late it comes.
func TestStaleSnapshot(t *testing.T) {
	t.Parallel()
	shop := startShop(t, 2)
	p, i := shop[0].members.all()[0], &shop[1].interest
	eventually(t, "the interest is known", func() bool { return p.view.Load() != nil })
	i.mu.Lock()
	data := binary.LittleEndian.AppendUint64(i.snapshotLocked(shop[1].life), p.wanted.Load())
	stale := &nats.Msg{Subject: shop[0].subject, Reply: shop[1].subject, Data: data}
	i.mu.Unlock()
	dial(t, shop[1], "late")
	eventually(t, "it is told", func() bool { return i.unreached.Load() == 0 })
	i.mu.Lock() // it does not answer
	shop[0].doubt(p)
	shop[0].whole(stale)
	if !shop[0].wants(p, []string{"late"}) {
		t.Error("the old snapshot was taken for the answer: what is published does not go there")
	}
	i.mu.Unlock()
	eventually(t, "the answer has come", func() bool { v := p.view.Load(); return v != nil && v.version.Load() == i.sent.Load() })
	if shop[0].wants(p, []string{"nobody has it"}) || !shop[0].wants(p, []string{"late"}) {
		t.Error("the interest is not what it was")
	}
}

// TestOlderWant: a program that does not number what it wants gets an answer that it
// reads, and one that does not know of numbers is read.
func TestOlderWant(t *testing.T) {
	t.Parallel()
	shop := startShop(t, 2)
	p, n := shop[0].members.all()[0], shop[1].Node
	eventually(t, "the interest is known", func() bool { return p.view.Load() != nil })
	sub, err := shop[0].link.conn.Load().SubscribeSync(shop[0].prefix + "older")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the subscription is known at the other node", func() bool {
		n.want(&nats.Msg{Reply: sub.Subject, Data: binary.LittleEndian.AppendUint64(head(kindWant), 7)})
		_, err = sub.NextMsg(50 * time.Millisecond)
		return err == nil
	})
	n.want(&nats.Msg{Reply: sub.Subject, Data: binary.LittleEndian.AppendUint64(head(kindWant), 7)})
	m, err := sub.NextMsg(10 * time.Second)
	if err != nil || len(m.Data) != 2+8+8+1+fewestBuckets/8 {
		t.Fatalf("the older program gets %d bytes, %v", len(m.Data), err)
	}
	p.view.Store(nil)
	shop[0].whole(&nats.Msg{Reply: shop[1].subject, Data: m.Data})
	if p.view.Load() == nil {
		t.Error("the snapshot of an older program is not taken")
	}
}
