package hosts

import (
	"testing"
	"time"

	"wsd/lab"
)

// The server is replaced while some clients are cut off. Those whose link heals
// in time do not notice either: what they sent and were sent meanwhile arrives
// once and in order. That is more than the kernel holds for them, so some of it
// is handed over. The new process finds those whose link does not heal. They come
// back later.
func TestUpgradeDuringCut(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	age := lab.Form(20*time.Second, 90*time.Second)
	s := serve(t, n.Host("server"), "--idle-timeout=4s", "--pong-timeout="+age.String(), "--pending-age="+age.String())
	hosts := map[string]*lab.Host{"well": n.Host("well"), "back": n.Host("back"), "gone": n.Host("gone")}
	size := lab.Form(20, 200)
	well, back, gone := gather(t, hosts["well"], s.host, size), gather(t, hosts["back"], s.host, size), gather(t, hosts["gone"], s.host, size)
	stop := well.beat(100 * time.Millisecond)
	n.Cut(s.host, hosts["gone"])
	messages := numbered(lab.Form(6, 30), 120_000)
	for i, message := range messages {
		hosts["back"].Link().Cut()
		for _, c := range back {
			c.beat()
			c.beat()
		}
		if o := s.publish(message); o.Matched < 2*size {
			t.Errorf("a publish: %+v", o)
		}
		if i%3 == 2 {
			if s.counts().PendingBytes == 0 {
				t.Error("there is nothing to hand over")
			}
			s.upgrade()
		}
		hosts["back"].Link().Heal()
		time.Sleep(lab.Form(200*time.Millisecond, time.Second))
	}
	s.found(size, "slow", age)
	stop()
	well.check(t, messages, 0)
	back.check(t, messages, 0)
	s.closed(map[string]int{"slow": size})
	if got, want := s.counts().MessagesIn, well.sent()+back.sent(); got != want {
		t.Errorf("the servers count %d messages, and %d were sent", got, want)
	}
	n.Heal(s.host, hosts["gone"])
	again := gather(t, hosts["gone"], s.host, size)
	s.publish("after")
	again.check(t, []string{"after"}, 0)
	lab.Within(t, 0, "the old connections end", func() bool { return gone.ended() })
	for i, c := range gone {
		if !equal(c.messages, messages[:len(c.messages)]) {
			t.Errorf("client %d that was gone got other messages: %d", i, len(c.messages))
		}
	}
}
