package cluster

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"wsd/server"
)

// brought is how many messages NATS has brought to a node so far.
func brought(m *member) uint64 { return m.link.conn.Load().Stats().InMsgs }

// beginAt begins a publish to all.
func beginAt(t *testing.T, m *member, text string) server.Outcome {
	t.Helper()
	o, err := m.srv.Begin(t.Context(), server.All(), server.Message{Data: []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// hears checks what a client has got after its first messages.
func (c *wsClient) hears(after int, want ...string) {
	c.t.Helper()
	if got := c.await(after + len(want))[after:]; !slices.Equal(got, want) {
		c.t.Errorf("got %.200q", got)
	}
}

func completed(t *testing.T, list []server.Outcome) {
	t.Helper()
	for i, o := range list {
		if r, err := o.Wait(t.Context()); err != nil || r.Matched != 1 || !r.Reach.Complete {
			t.Fatalf("publish %d: %+v %+v %v", i, r, r.Reach, err)
		}
	}
}

// TestTogether: what is published while the sender is at work goes together, in its order.
func TestTogether(t *testing.T) {
	const n = 500
	shop := startShop(t, 2)
	c := dial(t, shop[1])
	base := len(c.messages())
	shop[0].sender.busy.Lock()
	before := brought(shop[1])
	var list []server.Outcome
	var want []string
	for i := range n {
		want = append(want, fmt.Sprint(i))
		list = append(list, beginAt(t, shop[0], want[i]))
	}
	shop[0].sender.busy.Unlock()
	completed(t, list)
	if k := brought(shop[1]) - before; k > n/5 {
		t.Errorf("%d publishes were %d messages", n, k)
	}
	c.hears(base, want...)
}

// TestTogetherBound: no message is larger than togetherBytes, unless one publish is, and
// large ones keep their place.
func TestTogetherBound(t *testing.T) {
	shop := startShop(t, 2)
	c := dial(t, shop[1])
	base := len(c.messages())
	var list []server.Outcome
	var want []string
	for i, size := range []int{10, 20_000, 100_000, 10, 30_000, 30_000, 30_000, 200_000, 200_000, 10} {
		want = append(want, strings.Repeat(fmt.Sprint(i), size))
		list = append(list, beginAt(t, shop[0], want[i]))
	}
	completed(t, list)
	c.hears(base, want...)
	var sizes []outgoingPublish
	for _, size := range []int{100, togetherBytes / 2, togetherBytes / 2, togetherBytes * 2, 100} {
		sizes = append(sizes, outgoingPublish{body: make([]byte, size)})
	}
	var parts []int
	for len(sizes) > 0 {
		k := fit(sizes, togetherBytes)
		if k > 1 && len(together(sizes[:k])) > togetherBytes {
			t.Errorf("%d bytes go together", len(together(sizes[:k])))
		}
		parts, sizes = append(parts, k), sizes[k:]
	}
	if fmt.Sprint(parts) != "[2 1 1 1]" {
		t.Errorf("%v go together", parts)
	}
	if k := fit(make([]outgoingPublish, 10), 20); k != 3 {
		t.Errorf("%d go together in 20 bytes", k)
	}
}

// TestTogetherSmall: of a NATS server that takes less than togetherBytes no message is
// more than that.
func TestTogetherSmall(t *testing.T) {
	const n, most = 100, 1000
	shop := startShop(t, 2)
	shop[0].link.most.Store(most)
	shop[0].sender.busy.Lock()
	before := brought(shop[1])
	var list []server.Outcome
	for range n {
		list = append(list, beginAt(t, shop[0], strings.Repeat("x", 100)))
	}
	shop[0].sender.busy.Unlock()
	for _, o := range list {
		if r, err := o.Wait(t.Context()); err != nil || !r.Reach.Complete {
			t.Fatalf("%+v %v", r.Reach, err)
		}
	}
	if k := brought(shop[1]) - before; k < n*100/most {
		t.Errorf("%d bytes were %d messages", n*100, k)
	}
}

// TestTogetherUnknown: a node that has not said that it takes publishes together gets them
// one by one.
func TestTogetherUnknown(t *testing.T) {
	shop := startShop(t, 2)
	c := dial(t, shop[1])
	base := len(c.messages())
	old := &peer{name: "old", subject: shop[1].subject}
	old.told.Store(&heartbeat{})
	var list []outgoingPublish
	var want []string
	for i := range 20 {
		want = append(want, fmt.Sprint(i))
		p := publish{tell: true, life: 7, to: server.All(), m: server.Message{Data: fmt.Append(nil, i)}}
		list = append(list, outgoingPublish{&outcome{n: shop[0].Node, silent: true, number: uint64(i + 1)}, 0, p.append(nil)})
	}
	before := brought(shop[1])
	shop[0].sendTo(old, list)
	c.hears(base, want...)
	if k := brought(shop[1]) - before; k < 20 {
		t.Errorf("20 publishes were %d messages", k)
	}
}

// TestMoveEmptiesSender: when a node knows that another one moves, it has sent all that was
// on its way there, and holds the rest.
func TestMoveEmptiesSender(t *testing.T) {
	shop := startShop(t, 2)
	c := dial(t, shop[1])
	base := len(c.messages())
	p := shop[0].members.all()[0]
	shop[0].sender.busy.Lock()
	list := []server.Outcome{beginAt(t, shop[0], "before")}
	shop[1].setState(stateMoving)
	shop[0].sender.busy.Unlock()
	eventually(t, "it is known to move", func() bool { return p.state.Load() == stateMoving })
	shop[0].sender.busy.Lock() // whoever knows it has sent
	shop[0].sender.mu.Lock()
	if len(p.out.list) > 0 {
		t.Error("something is on its way to a node that moves")
	}
	shop[0].sender.mu.Unlock()
	shop[0].sender.busy.Unlock()
	list = append(list, beginAt(t, shop[0], "after"))
	c.hears(base, "before")
	shop[1].setState(stateReady)
	completed(t, list)
	c.hears(base, "before", "after")
}

// TestHeldUp: what was given up while the sender was held up is not sent, and what waited
// there has that much less time left.
func TestHeldUp(t *testing.T) {
	shop := startShop(t, 2)
	c := dial(t, shop[1])
	base := len(c.messages())
	shop[0].sender.busy.Lock()
	beginAt(t, shop[0], "given up")
	shop[0].requests.giveUpAll(whyPartitioned)
	deadline := time.Now().Add(20 * time.Millisecond)
	late, err := shop[0].srv.Begin(t.Context(), server.All(), server.Message{Data: []byte("late"), Deadline: deadline})
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Until(deadline))
	shop[0].sender.busy.Unlock()
	if r, err := late.Wait(t.Context()); err != nil || r.Sent != 0 || !r.Reach.Complete {
		t.Errorf("late: %+v %+v %v", r, r.Reach, err)
	}
	completed(t, []server.Outcome{beginAt(t, shop[0], "next")})
	c.hears(base, "next")
}

// TestLeftOverIsGivenUp: what nobody has sent when a session ends is given up, and not
// sent in the next one.
func TestLeftOverIsGivenUp(t *testing.T) {
	shop := startShop(t, 2)
	c := dial(t, shop[1])
	base := len(c.messages())
	shop[0].sender.busy.Lock()
	o := beginAt(t, shop[0], "left over")
	shop[0].sender.giveUpOut()
	shop[0].sender.busy.Unlock()
	r, err := o.Wait(t.Context())
	if err != nil || r.Reach.Complete || len(r.Reach.Missing) != 1 || r.Reach.Missing[0].Why != whyGone {
		t.Errorf("%+v %+v %v", r, r.Reach, err)
	}
	completed(t, []server.Outcome{beginAt(t, shop[0], "next")})
	c.hears(base, "next")
}
