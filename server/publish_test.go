package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"wsd/topic"
)

// publish sends a text message and checks that the result adds up.
func (s *site) publish(to Target, data string) Result {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := s.Publish(ctx, to, Message{Data: []byte(data)})
	if err != nil {
		s.t.Fatalf("Publish: %v", err)
	}
	if r.Matched != r.Sent+r.Queued+r.Dropped+r.Expired {
		s.t.Fatalf("the counts do not add up: %+v", r)
	}
	return r
}

func (s *site) sent(to Target, data string, n int) {
	s.t.Helper()
	if r := s.publish(to, data); r.Matched != n || r.Sent != n {
		s.t.Fatalf("%q: %+v, want %d sent", data, r, n)
	}
}

// TestPublish: to all, topics and clients, each client once, as it was sent.
func TestPublish(t *testing.T) {
	s := start(t, Config{Mux: testMux(), Loops: 3})
	s.sent(All(), "nobody", 0)
	all := s.dialMany(9)
	id := uuid.MustParse(all[5].id())
	join := s.connect() // not a client yet
	for i, p := range all {
		p.send(fmt.Sprintf(`{"actioncode":"subscribe","data":{"topics":["all","mod%d"]}}`, i%3))
		p.recv()
	}
	s.sent(All(), "one", 9)
	s.sent(Topic("all"), "two", 9)
	s.sent(Topic("mod0", "all", "mod1", "all"), "three", 9)
	s.sent(Topic("mod0"), "mod0", 3)
	s.sent(Topic("nothing"), "none", 0)
	s.sent(Topic("mod1", "nothing", "mod2"), "mod12", 6)
	s.sent(Client(id, id, uuid.New()), "five", 1)
	s.sent(Client(), "none", 0)
	s.sent(All(), strings.Repeat("x", 70_000), 9)
	if r, err := s.Publish(context.Background(), All(), Message{Binary: true, Data: []byte{0, 1, 0xff}}); err != nil || r.Sent != 9 || r.LastClient <= 0 {
		t.Fatalf("%+v %v", r, err)
	}
	for i, p := range all {
		want := []string{"one", "two", "three", "mod12"}
		if i%3 == 0 {
			want[3] = "mod0"
		}
		if i == 5 {
			want = append(want, "five")
		}
		for _, w := range append(want, strings.Repeat("x", 70_000)) {
			p.expect(w)
		}
		if f, err := p.next(); err != nil || f.Header.OpCode != 2 || string(f.Payload) != "\x00\x01\xff" {
			t.Fatalf("binary: %+v %v", f, err)
		}
		p.alive()
	}
	join.shake("/ws")
	join.alive()
	all[0].ask(`{"actioncode":"unsubscribe","data":{"topics":["all","other"]}}`, good(`["mod0"]`, "unsubscribe"))
	all[1].leave()
	s.sent(Topic("all"), "less", 7)
}

// TestPublishOrder: messages of one publisher arrive in its order at everybody,
// also when many walks are under way at once, and nothing is lost or doubled.
func TestPublishOrder(t *testing.T) {
	s := start(t, Config{Mux: testMux(), Loops: 3})
	peers := s.dialMany(300)
	const publishers, each = 4, 25
	var wg sync.WaitGroup
	for k := range publishers {
		wg.Go(func() {
			for i := range each {
				s.publish(All(), fmt.Sprintf("%d %d", k, i))
			}
		})
	}
	for _, p := range peers {
		next := [publishers]int{}
		for range publishers * each {
			var k, i int
			if _, err := fmt.Sscanf(p.recv(), "%d %d", &k, &i); err != nil || next[k] != i {
				t.Fatalf("message %d of publisher %d came when %d was due (%v)", i, k, next[k], err)
			}
			next[k]++
		}
	}
	wg.Wait()
	if st := s.Stats(); st.MessagesOut != uint64(len(peers)*publishers*each) || st.Publishes != publishers*each {
		t.Errorf("%d messages out, %d publishes", st.MessagesOut, st.Publishes)
	}
}

// TestPublishChurn: clients come and go under walks; who stays gets everything.
func TestPublishChurn(t *testing.T) {
	s := start(t, Config{Mux: testMux()})
	stay := s.dialMany(20)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				p := s.dial()
				if i%2 == 0 {
					p.reset()
				} else {
					p.Close()
				}
			}
		})
	}
	for i := range 200 {
		s.publish(All(), fmt.Sprint(i))
	}
	close(stop)
	wg.Wait()
	for _, p := range stay {
		for i := range 200 {
			p.expect(fmt.Sprint(i))
		}
	}
}

// TestPublishEnds: a context ends the waiting, and the end of the server
// everything.
func TestPublishEnds(t *testing.T) {
	s := start(t, Config{Mux: testMux()})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for range 100 { // the walk may be over first
		if _, err := s.Publish(ctx, All(), Message{}); err != nil {
			if !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			break
		}
	}
	s.stop()
	if _, err := s.Publish(context.Background(), All(), Message{}); !errors.Is(err, ErrStopped) {
		t.Errorf("after the end: %v", err)
	}
}

// TestPublishKeepsItsTarget: a slice that named the target is the caller's again.
func TestPublishKeepsItsTarget(t *testing.T) {
	s := start(t, Config{Mux: testMux()})
	a, b := s.dial(), s.dial()
	a.ask(`{"actioncode":"subscribe","data":{"topics":["a"]}}`, good(`["a"]`, "subscribe"))
	b.ask(`{"actioncode":"subscribe","data":{"topics":["b"]}}`, good(`["b"]`, "subscribe"))
	const n = 100
	ida, idb := uuid.MustParse(a.id()), uuid.MustParse(b.id())
	for range n {
		names, ids := []string{"a"}, []uuid.UUID{ida}
		for _, to := range []Target{Topic(names...), Client(ids...)} {
			if err := s.Post(to, Message{Data: []byte("for a")}); err != nil {
				t.Fatal(err)
			}
		}
		names[0], ids[0] = "b", idb
	}
	for range 2 * n {
		a.expect("for a")
	}
	s.sent(All(), "end", 2)
	b.expect("end")
}

// TestPublishRefusesWhatCannotArrive: a text that is none, a name no topic has.
func TestPublishRefusesWhatCannotArrive(t *testing.T) {
	s := start(t, Config{Mux: testMux()})
	p := s.dial()
	for _, c := range []struct {
		to   Target
		m    Message
		want error
	}{
		{All(), Message{Data: []byte{0xff, 0xfe}}, ErrNotText},
		{All(), Message{Data: []byte("\xed\xa0\x80")}, ErrNotText}, // a surrogate
		{Topic("a", "\x00"), Message{Data: []byte("x")}, topic.ErrName},
		{Topic(strings.Repeat("x", topic.MaxName+1)), Message{}, topic.ErrName},
	} {
		if _, err := s.Publish(t.Context(), c.to, c.m); !errors.Is(err, c.want) {
			t.Errorf("%+v %q: %v", c.to, c.m.Data, err)
		}
		if err := s.Post(c.to, c.m); !errors.Is(err, c.want) {
			t.Errorf("posted, %+v %q: %v", c.to, c.m.Data, err)
		}
	}
	if st := s.Stats(); st.Publishes != 0 || st.PublishesUnderWay != 0 {
		t.Errorf("%d publishes, %d under way", st.Publishes, st.PublishesUnderWay)
	}
	p.alive()
}

// TestStoppedBacklog: what cannot begin any more does not count as under way.
func TestStoppedBacklog(t *testing.T) {
	s := start(t, Config{})
	s.stop()
	if _, err := s.Publish(t.Context(), All(), Message{Data: []byte("x")}); err != ErrStopped {
		t.Errorf("Publish: %v", err)
	}
	if err := s.Post(All(), Message{Data: []byte("x")}); err != ErrStopped {
		t.Errorf("Post: %v", err)
	}
	if _, err := s.CloseTopic(t.Context(), "t", 1000, ""); err != ErrStopped {
		t.Errorf("CloseTopic: %v", err)
	}
	s.tellAll(newDelivery([]byte("x"), All()))
	if b := &s.backlog; b.count.Load() != 0 || b.bytes.Load() != 0 || b.fanned.Load() != 0 {
		t.Errorf("%d are under way, %d bytes, for %d", b.count.Load(), b.bytes.Load(), b.fanned.Load())
	}
}
