package cluster

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"wsd/server"
)

func onceAt(t *testing.T, m *member, key string, to server.Target, text string) server.Result {
	t.Helper()
	o, err := m.BeginOnce(t.Context(), key, [32]byte{byte(len(text))}, to, server.Message{Data: []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	r, err := o.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestOnce: a publish that is repeated at any node is delivered once, and answered the
// same.
func TestOnce(t *testing.T) {
	shop := startShop(t, 3)
	a, b := dial(t, shop[0], "news"), dial(t, shop[1], "news")
	for i, to := range []server.Target{server.All(), server.Topic("news")} {
		key := fmt.Sprint("key ", i)
		for k := range 6 {
			r := onceAt(t, shop[k%3], key, to, key)
			if r.Matched != 2 || r.Sent != 2 || !r.Reach.Complete || r.Reach.Nodes != 3 || r.Reach.Replayed != (k > 0) {
				t.Errorf("%s, time %d: %+v %+v", key, k, r, r.Reach)
			}
		}
	}
	late := dial(t, shop[2], "news") // it was not there the first time
	if r := onceAt(t, shop[1], "key 1", server.Topic("news"), "key 1"); r.Matched != 2 || !r.Reach.Replayed {
		t.Errorf("%+v %+v", r, r.Reach)
	}
	if _, err := shop[2].BeginOnce(t.Context(), "key 1", [32]byte{99}, server.All(), server.Message{Data: []byte("other")}); !errors.Is(err, server.ErrKeyUsed) {
		t.Errorf("another message with the same key: %v", err)
	}
	publishAt(t, shop[0], server.All(), "end")
	for i, c := range []*wsClient{a, b, late} {
		want := []int{5, 5, 3}[i]
		if got := c.await(want); len(got) != want || got[want-1] != "end" {
			t.Errorf("client %d got %q", i, got)
		}
	}
}

// TestOnceHeals: a repeat reaches those who were missed, and only them.
func TestOnceHeals(t *testing.T) {
	shop := startShop(t, 3)
	clients := []*wsClient{dial(t, shop[0]), dial(t, shop[1]), dial(t, shop[2])}
	fill := func(bytes int) {
		shop[2].inbox.mu.Lock()
		defer shop[2].inbox.mu.Unlock()
		shop[2].inbox.bytes += bytes
	}
	fill(inboxBytes + 1)
	if r := onceAt(t, shop[0], "k", server.All(), "x"); r.Matched != 2 || r.Reach.Complete || r.Reach.Missing[0].Node != "n3" || r.Reach.Missing[0].Why != whyBehind {
		t.Errorf("while n3 is behind: %+v %+v", r, r.Reach)
	}
	fill(-inboxBytes - 1)
	for _, m := range []*member{shop[1], shop[0]} {
		if r := onceAt(t, m, "k", server.All(), "x"); r.Matched != 3 || !r.Reach.Complete {
			t.Errorf("afterwards: %+v %+v", r, r.Reach)
		}
	}
	publishAt(t, shop[0], server.All(), "end")
	for i, c := range clients {
		if got := c.await(3); len(got) != 3 {
			t.Errorf("client %d got %q", i, got)
		}
	}
}

// TestOnceAtOnce: the same key at all nodes at the same time is one delivery.
func TestOnceAtOnce(t *testing.T) {
	shop := startShop(t, 3)
	c := dial(t, shop[1])
	for round := range 30 {
		var all sync.WaitGroup
		for i := range 6 {
			all.Go(func() {
				if r := onceAt(t, shop[i%3], fmt.Sprint("k", round), server.All(), "same"); r.Matched != 1 || !r.Reach.Complete {
					t.Errorf("%+v %+v", r, r.Reach)
				}
			})
		}
		all.Wait()
	}
	publishAt(t, shop[0], server.All(), "end")
	if got := c.await(32); len(got) != 32 {
		t.Errorf("30 messages came as %d", len(got)-2)
	}
}
