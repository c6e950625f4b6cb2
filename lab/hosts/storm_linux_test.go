package hosts

import (
	"testing"
	"time"

	"wsd/lab"
)

// A crowd that has lost its connections comes back all at once, over a narrow
// link that loses packets. Admission refuses what is too much at a time, and in
// the end everybody is in. Who was there all along keeps his heartbeats.
func TestStorm(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	idle, pong := lab.Form(3*time.Second, 10*time.Second), lab.Form(20*time.Second, 60*time.Second)
	s := serve(t, n.Host("server"), "--handshake-rate=100", "--retry-after=1s",
		"--idle-timeout="+idle.String(), "--pong-timeout="+pong.String(), "--user-timeout=2m")
	host := n.Host("crowd")
	host.Link().Loss(5)
	host.Link().Rate(1_000_000)
	well := gather(t, n.Host("well"), s.host, 30)
	defer well.beat(200 * time.Millisecond)()
	size := lab.Form(250, 1000)
	for range lab.Form(1, 5) {
		before := gather(t, host, s.host, size)
		host.Link().Cut()
		for _, c := range before {
			c.drop()
		}
		host.Link().Heal()
	}
	back := gather(t, host, s.host, size)
	// The host answers the pings to the connections it does not know.
	lab.Within(t, idle+pong, "the old connections are found", func() bool { return s.counts().Clients.Connected == len(well)+len(back) })
	messages := numbered(3, 100)
	for _, message := range messages {
		if o := s.publish(message); o.Matched != len(well)+len(back) {
			t.Errorf("a publish: %+v", o)
		}
	}
	for _, c := range back {
		c.beat()
	}
	back.check(t, messages, time.Minute)
	well.check(t, messages, 0)
	c := s.counts()
	if c.Refused["handshake_rate"] == 0 {
		t.Errorf("nobody was refused: %+v", c)
	}
	gone := 0
	for reason, n := range c.Closed {
		switch reason {
		case "reset", "idle", "vanished":
			gone += n
		case "refused", "handshake_timeout":
		default:
			t.Errorf("%d clients were closed: %s", n, reason)
		}
	}
	t.Logf("opened %d, refused %v, closed %v", c.Opened, c.Refused, c.Closed)
}
