package hosts

import (
	"testing"
	"time"

	"wsd/lab"
)

// A long way costs time and nothing else, with some loss as well.
func TestDelay(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	s := serve(t, n.Host("server"), "--idle-timeout=2s", "--pong-timeout=20s")
	far := n.Host("far")
	far.Link().Delay(300 * time.Millisecond)
	far.Link().Loss(1)
	all := gather(t, far, s.host, 50)
	stop := all.beat(200 * time.Millisecond)
	messages := numbered(10, 50_000)
	for _, message := range messages {
		s.publish(message)
	}
	stop()
	all.check(t, messages, 30*time.Second)
	s.closed(map[string]int{})
}
