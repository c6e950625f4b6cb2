package server

import (
	"fmt"
	"strings"
	"testing"

	"wsd/dispatch"
)

// TestSubscribe: names, patterns and limits, all or nothing.
func TestSubscribe(t *testing.T) {
	m := testMux()
	dispatch.Handle(m, "join_pooled", func(ctx *dispatch.Context, names []string) ([]string, error) {
		err := ctx.Client.Subscribe(names...)
		return ctx.Client.Topics(), err
	})
	s := start(t, Config{Mux: m, Loops: 1, Topics: []string{"room.*", "news"}, MaxTopicsPerClient: 3, MaxTopics: 5})
	p := s.dial()
	sub := func(names string) string {
		return `{"actioncode":"subscribe","data":{"topics":[` + names + `]}}`
	}
	long := strings.Repeat("x", 129)
	for _, c := range []struct{ request, want string }{
		{sub(``), good(`[]`, "subscribe")},
		{`{"actioncode":"subscribe"}`, good(`[]`, "subscribe")},
		{`{"actioncode":"subscribe","data":{"topics":"news"}}`, answer(1, "invalid params", "null", "subscribe", "")},
		{`{"actioncode":"subscribe","data":[1]}`, answer(1, "invalid params", "null", "subscribe", "")},
		{sub(`"secret"`), answer(9, "permission denied", "null", "subscribe", "")},
		{sub(`"news","secret"`), answer(9, "permission denied", "null", "subscribe", "")},
		{sub(`"news","room.1","news"`), good(`["news","room.1"]`, "subscribe")},
		{sub(`"news","room.2","room.3"`), answer(9, "the client has as many topics as it may have", "null", "subscribe", "")},
		{sub(``), good(`["news","room.1"]`, "subscribe")},
		{sub(`"room.2"`), good(`["news","room.1","room.2"]`, "subscribe")},
		{`{"actioncode":"unsubscribe","data":{"topics":["room.1","never",""]}}`, good(`["news","room.2"]`, "unsubscribe")},
		{`{"actioncode":"join_pooled","data":["room.9"]}`, good(`["news","room.2","room.9"]`, "join_pooled")},
		{`{"actioncode":"join_pooled","data":["room.10"]}`, answer(9, "the client has as many topics as it may have", "null", "join_pooled", "")},
	} {
		p.ask(c.request, c.want)
	}
	for _, bad := range []string{`""`, `"` + long + `"`, `"a\u0000b"`} {
		p.send(sub(bad))
		if got := p.recv(); !strings.HasPrefix(got, `{"code":1,`) {
			t.Errorf("topic %.20s: %s", bad, got)
		}
	}
	q := s.dial()
	q.ask(sub(`"room.a","room.b"`), good(`["room.a","room.b"]`, "subscribe"))
	q.ask(sub(`"room.c"`), answer(9, "there are as many topics as there may be", "null", "subscribe", ""))
	q.ask(sub(`"news"`), good(`["news","room.a","room.b"]`, "subscribe")) // it exists
	if st := s.Stats(); st.Topics != 5 || st.Subscribed != 6 || st.TopicLimit != 3 {
		t.Errorf("%d topics, %d subscriptions, %d refused", st.Topics, st.Subscribed, st.TopicLimit)
	}
	q.reset()
	s.until("topics leave with their clients", func(st Stats) bool { return st.Topics == 3 && st.Subscribed == 3 })
	p.leave()
	s.until("all topics are gone", func(st Stats) bool { return st.Topics == 0 && st.Subscribed == 0 })
}

// TestSlotTopics: a client that gets the slot of one that left has none of its
// topics.
func TestSlotTopics(t *testing.T) {
	s := start(t, Config{Loops: 1})
	for i := range 20 {
		p := s.dial()
		p.ask(fmt.Sprintf(`{"actioncode":"subscribe","data":{"topics":["t%d"]}}`, i), good(fmt.Sprintf(`["t%d"]`, i), "subscribe"))
		s.sent(Topic(fmt.Sprintf("t%d", i)), "x", 1)
		p.expect("x")
		s.sent(Topic(fmt.Sprintf("t%d", i-1)), "y", 0)
		p.leave()
		s.until("it left", func(st Stats) bool { return st.Clients.Connected == 0 })
	}
}
