package hosts

import (
	"testing"
	"time"

	"wsd/lab"
)

// The server is replaced while some clients are cut off. Those whose link heals
// in time do not notice either: what they sent and were sent meanwhile arrives
// once and in order. The new process finds those whose link does not. They
// come back later.
func TestUpgradeDuringCut(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	const idle, pong = 4 * time.Second, 10 * time.Second
	s := serve(t, n.Host("server"), "--idle-timeout="+idle.String(), "--pong-timeout="+pong.String())
	hosts := map[string]*lab.Host{"well": n.Host("well"), "back": n.Host("back"), "gone": n.Host("gone")}
	size := form(20, 200)
	well, back, gone := gather(t, hosts["well"], s.host, size), gather(t, hosts["back"], s.host, size), gather(t, hosts["gone"], s.host, size)
	stop := well.beat(100 * time.Millisecond)
	n.Cut(s.host, hosts["gone"])
	messages := numbered(form(6, 30), 1000)
	for i, message := range messages {
		hosts["back"].Link().Cut()
		for _, c := range back {
			c.beat()
			c.beat()
		}
		if o := s.publish(message); o.Matched < 2*size {
			t.Errorf("a publish: %+v", o)
		}
		if i%3 == 0 {
			s.upgrade()
		}
		hosts["back"].Link().Heal()
	}
	s.found(size, "idle", idle+pong)
	stop()
	well.check(t, messages, 0)
	back.check(t, messages, 0)
	s.closed(map[string]int{"idle": size})
	if got, want := s.counts().MessagesIn, well.sent()+back.sent(); got != want {
		t.Errorf("the servers count %d messages, and %d were sent", got, want)
	}
	n.Heal(s.host, hosts["gone"])
	again := gather(t, hosts["gone"], s.host, size)
	s.publish("after")
	again.check(t, []string{"after"}, 0)
	within(t, 0, "the old connections end", func() bool { return gone.ended() })
	for i, c := range gone {
		if !equal(c.messages, messages[:len(c.messages)]) {
			t.Errorf("client %d that was gone got other messages: %d", i, len(c.messages))
		}
	}
}
