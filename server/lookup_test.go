package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// TestClient: what can be known of one client.
func TestClient(t *testing.T) {
	s := start(t, tight(Config{EchoPath: "/echo", SlowConsumer: DropNew}))
	p, raw := s.stuck("/ws"), s.dialPath("/echo")
	id := uuid.MustParse(p.id())
	p.ask(`{"actioncode":"subscribe","data":{"topics":["b","a"]}}`, good(`["a","b"]`, "subscribe"))
	c, ok := s.Client(t.Context(), id)
	if !ok || c.ID != id || c.Address != p.LocalAddr().String() || c.Path != "/ws" || !slices.Equal(c.Topics, []string{"a", "b"}) || c.QueuedBytes != 0 ||
		c.LastSeen.Before(c.ConnectedAt) || c.ConnectedAt.After(time.Now()) {
		t.Errorf("%v %+v", ok, c)
	}
	for range 2 {
		s.publish(Client(id), numbered(1)+string(make([]byte, 4<<20)))
	}
	if c, ok = s.Client(t.Context(), id); !ok || c.QueuedBytes == 0 || c.QueuedMessages == 0 {
		t.Errorf("%v %+v", ok, c)
	}
	if _, ok := s.Client(t.Context(), uuid.New()); ok {
		t.Error("an unknown id is found")
	}
	list, next, err := s.Clients(t.Context(), "", 0)
	for next != "" && err == nil {
		var more []ClientInfo
		more, next, err = s.Clients(t.Context(), next, 1)
		list = append(list, more...)
	}
	paths := map[string]int{}
	for _, c := range list {
		paths[c.Path]++
	}
	if err != nil || len(list) != 2 || paths["/echo"] != 1 || paths["/ws"] != 1 {
		t.Errorf("%v %+v", err, list)
	}
	raw.ask("x", "x")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, ok := s.Client(ended, uuid.New()); ok {
		t.Error("found without waiting")
	}
}

// TestClients: pages of any size, while others come and go: who stays is
// listed once.
func TestClients(t *testing.T) {
	s := start(t, Config{Loops: 3})
	stay := map[string]bool{}
	for range 40 {
		stay[s.dial().id()] = true
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				p := s.dial()
				p.Close()
			}
		}
	}()
	for _, limit := range []int{1, 7, 1000} {
		seen := map[string]int{}
		for cursor := ""; ; {
			list, next, err := s.Clients(t.Context(), cursor, limit)
			if err != nil || len(list) > limit {
				t.Fatalf("%d clients, %v", len(list), err)
			}
			for _, c := range list {
				seen[c.ID.String()]++
			}
			if cursor = next; cursor == "" {
				break
			}
		}
		for id := range stay {
			if seen[id] != 1 {
				t.Errorf("pages of %d: %s is listed %d times", limit, id, seen[id])
			}
		}
	}
	close(stop)
	<-stopped
	for _, bad := range []string{"x", "1", "9-0", "-1-0", "0-x", "0-", "0-99999999999"} {
		if _, _, err := s.Clients(t.Context(), bad, 1); !errors.Is(err, ErrCursor) {
			t.Errorf("cursor %q: %v", bad, err)
		}
	}
	if list, next, err := s.Clients(t.Context(), "2-4000000000", 1); err != nil || len(list) != 0 || next != "" {
		t.Errorf("beyond the end: %v %q %v", list, next, err)
	}
}

// TestPagesAreBounded: who lists clients with many topics gets fewer of them at a
// time, and all of them in the end.
func TestPagesAreBounded(t *testing.T) {
	s := start(t, Config{Loops: 1})
	const crowd, each = 100, 64
	var names []string
	for i := range each {
		names = append(names, fmt.Sprintf(`"topic-%02d"`, i))
	}
	list := "[" + strings.Join(names, ",") + "]"
	for _, p := range s.dialMany(crowd) {
		p.ask(`{"actioncode":"subscribe","data":{"topics":`+list+`}}`, good(list, "subscribe"))
	}
	seen := map[uuid.UUID]bool{}
	for next, pages := "", 0; pages == 0 || next != ""; pages++ {
		var list []ClientInfo
		var err error
		if list, next, err = s.Clients(t.Context(), next, 1000); err != nil {
			t.Fatal(err)
		}
		topics := 0
		for _, in := range list {
			topics += len(in.Topics)
			seen[in.ID] = true
		}
		if topics > pageWork/topicWork+each {
			t.Errorf("%d topics on one page", topics)
		}
	}
	if len(seen) != crowd {
		t.Errorf("%d of %d clients are listed", len(seen), crowd)
	}
}

// TestCloseClient: by id and by topic, once.
func TestCloseClient(t *testing.T) {
	s := start(t, Config{Loops: 2})
	p := s.dial()
	id := uuid.MustParse(p.id())
	if !s.CloseClient(t.Context(), id, 4321, "enough") || s.CloseClient(t.Context(), id, 4321, "again") {
		t.Error("closed not exactly once")
	}
	if code, reason := p.ended(); code != 4321 || reason != "enough" {
		t.Errorf("closed with %d %q", code, reason)
	}
	if s.CloseClient(t.Context(), uuid.New(), 1008, "") {
		t.Error("an unknown client was closed")
	}
	peers := s.dialMany(10)
	for i, p := range peers {
		p.ask(fmt.Sprintf(`{"actioncode":"subscribe","data":{"topics":["t%d"]}}`, i%2), good(fmt.Sprintf(`["t%d"]`, i%2), "subscribe"))
	}
	if n, err := s.CloseTopic(t.Context(), "t1", 1008, "topic closed"); n != 5 || err != nil {
		t.Errorf("%d closed, %v", n, err)
	}
	for i, p := range peers {
		if i%2 == 1 {
			p.closedWith(1008)
		} else {
			p.alive()
		}
	}
	if n, err := s.CloseTopic(t.Context(), "t1", 1008, ""); n != 0 || err != nil {
		t.Errorf("%d closed, %v", n, err)
	}
	s.closed(ReasonAdmin, 6)
}

// TestDeadline: what nobody wants any more is not delivered, whether its turn
// came too late or it waited for too long.
func TestDeadline(t *testing.T) {
	s := start(t, tight(Config{SlowConsumer: DropNew, PendingLimit: 1 << 20}))
	p := s.stuck("/ws")
	if r, err := s.Publish(t.Context(), All(), Message{Data: []byte("stale"), Deadline: time.Now().Add(-time.Second)}); err != nil || r.Expired != 1 || r.Matched != 1 {
		t.Errorf("%+v %v", r, err)
	}
	if r, err := s.Publish(t.Context(), All(), Message{Data: []byte("timely"), Deadline: time.Now().Add(time.Hour)}); err != nil || r.Sent != 1 {
		t.Errorf("%+v %v", r, err)
	}
	n, _ := s.jam(0, func(r Result) bool { return r.Queued == 1 })
	if r, err := s.Publish(t.Context(), All(), Message{Data: []byte("waiting"), Deadline: time.Now().Add(time.Hour)}); err != nil || r.Queued != 1 {
		t.Errorf("%+v %v", r, err)
	}
	if r := s.publish(All(), numbered(n)); r.Queued != 1 {
		t.Errorf("%+v", r)
	}
	s.overdue("waiting")
	p.expect("timely")
	if got, _ := p.drained(n); len(got) != n+1 { // it would have been garbled to drained
		t.Errorf("%d messages, want %d", len(got), n+1)
	}
	if st := s.Stats(); st.Expired != 1 || st.Queue.Expired != 1 {
		t.Errorf("%s, %d expired", describe(st), st.Expired)
	}
}

// TestCoalesce: of values of one name the latest is what a slow client gets.
func TestCoalesce(t *testing.T) {
	s := start(t, tight(Config{SlowConsumer: DropNew, PendingLimit: 1 << 20}))
	p, other := s.stuck("/ws"), s.dial()
	n, _ := s.jam(0, func(r Result) bool { return r.Queued == 1 })
	for i := range 50 {
		for _, name := range []string{"price", "volume"} {
			if _, err := s.Publish(t.Context(), All(), Message{Data: fmt.Append(nil, name, i), Coalesce: name}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got, _ := p.drained(n - 1); len(got) != n {
		t.Errorf("%d messages, want %d", len(got), n)
	}
	p.expect("price49")
	p.expect("volume49")
	p.alive()
	other.drained(n - 1)
	for i := range 50 { // who keeps up gets them all
		other.expect(fmt.Sprint("price", i))
		other.expect(fmt.Sprint("volume", i))
	}
	if st := s.Stats(); st.Queue.Coalesced != 98 {
		t.Errorf("%+v", st.Queue)
	}
}

// TestPost: like Publish, without waiting, so that many walks are under way at
// once: none overtakes another.
func TestPost(t *testing.T) {
	s := start(t, Config{Loops: 1})
	peers := s.dialMany(300)
	const n = 60
	// The walk over a few has less far to go than the one over all before it.
	last := Client(uuid.MustParse(peers[len(peers)-1].id()))
	for i := range n {
		to := All()
		if i%2 == 1 {
			to = last
		}
		if err := s.Post(to, Message{Data: fmt.Append(nil, i)}); err != nil {
			t.Fatal(err)
		}
	}
	for k, p := range peers {
		for i := range n {
			if i%2 == 0 || k == len(peers)-1 {
				p.expect(fmt.Sprint(i))
			}
		}
		p.Close()
	}
	s.stop()
	if err := s.Post(All(), Message{}); !errors.Is(err, ErrStopped) {
		t.Errorf("after the end: %v", err)
	}
}

// BenchmarkPage is the longest that a listing holds a loop at a time.
func BenchmarkPage(b *testing.B) {
	s := start(b, Config{Loops: 1})
	s.crowd(1000)
	s.each(func(l *loop) {
		for slot := range uint32(1000) {
			l.clients.at(slot).set(flagSubscribed)
			for i := range 64 {
				if err := l.topics.Subscribe(slot, fmt.Sprintf("topic-%02d", i)); err != nil {
					b.Fatal(err)
				}
			}
		}
		for b.Loop() {
			l.page(0, 1000)
		}
	})
}
