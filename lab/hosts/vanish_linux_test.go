package hosts

import (
	"testing"
	"time"

	"wsd/lab"
)

// Clients whose host loses its link, and then its power, are found by their
// silence. If something waits for them, they are found by what they do not
// acknowledge. The others do not notice.
func TestVanished(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		idle, pong, user time.Duration
		reason           string
		publish          bool
	}{
		"silent":         {2 * time.Second, 3 * time.Second, time.Minute, "idle", false},
		"unacknowledged": {time.Hour, time.Hour, 4 * time.Second, "reset", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := lab.New(t)
			s := serve(t, n.Host("server"), "--idle-timeout="+c.idle.String(), "--pong-timeout="+c.pong.String(), "--user-timeout="+c.user.String())
			host := n.Host("gone")
			well, gone := gather(t, n.Host("well"), s.host, 30), gather(t, host, s.host, lab.Form(30, 300))
			stop := well.beat(200 * time.Millisecond)
			host.Link().Cut()
			host.Remove()
			var messages []string
			if c.publish {
				messages = numbered(3, 1000)
			}
			for _, message := range messages {
				if o := s.publish(message); o.Matched != len(well)+len(gone) {
					t.Errorf("a publish: %+v", o)
				}
			}
			s.found(len(gone), c.reason, min(c.idle+c.pong, c.user))
			stop()
			well.check(t, messages, 0)
			s.closed(map[string]int{c.reason: len(gone)})
			if o := s.publish("after"); o.Matched != len(well) {
				t.Errorf("a publish to those who are there: %+v", o)
			}
		})
	}
}

// Packets are lost in one direction only.
func TestHalfOpen(t *testing.T) {
	t.Parallel()
	// The clients do not get the server's packets. It hears their heartbeats, so they are not
	// idle; but they acknowledge nothing.
	t.Run("server's packets", func(t *testing.T) {
		t.Parallel()
		n := lab.New(t)
		const user = 4 * time.Second
		s := serve(t, n.Host("server"), "--idle-timeout=1h", "--pong-timeout=1h", "--user-timeout="+user.String())
		host := n.Host("deaf")
		well, deaf := gather(t, n.Host("well"), s.host, 20), gather(t, host, s.host, 20)
		defer well.beat(200 * time.Millisecond)()
		stop := deaf.beat(200 * time.Millisecond)
		n.CutOneWay(s.host, host)
		s.found(len(deaf), "reset", user)
		n.Heal(s.host, host)
		// What they send next is answered with a reset.
		lab.Within(t, 0, "the clients learn it", func() bool { return deaf.ended() })
		stop()
		s.closed(map[string]int{"reset": len(deaf)})
		well.check(t, nil, 0)
	})
	// The server does not get the clients' packets. They get its ping, and answer in
	// vain. Of the close they learn only when they are heard again: the server's
	// kernel repeats the ping, and sends nothing beyond it until that is acknowledged.
	t.Run("client's packets", func(t *testing.T) {
		t.Parallel()
		n := lab.New(t)
		const idle, pong = 2 * time.Second, 3 * time.Second
		s := serve(t, n.Host("server"), "--idle-timeout="+idle.String(), "--pong-timeout="+pong.String())
		host := n.Host("mute")
		well, mute := gather(t, n.Host("well"), s.host, 20), gather(t, host, s.host, 20)
		stop := well.beat(200 * time.Millisecond)
		n.CutOneWay(host, s.host)
		s.found(len(mute), "idle", idle+pong)
		n.Heal(host, s.host)
		lab.Within(t, 0, "the clients learn it", func() bool { return mute.ended() })
		stop()
		s.closed(map[string]int{"idle": len(mute)})
		well.check(t, nil, 0)
	})
}

// Clients whose host gets another address come back from there. The server
// finds out about their old connections, and nobody gets a message twice on one.
func TestAddressChange(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	const idle, pong = 2 * time.Second, 3 * time.Second
	s := serve(t, n.Host("server"), "--idle-timeout="+idle.String(), "--pong-timeout="+pong.String())
	phone := n.Host("phone")
	old := gather(t, phone, s.host, 20)
	messages := numbered(3, 1000)
	s.publish(messages[0])
	old.check(t, messages[:1], 0)
	phone.Move()
	again := gather(t, phone, s.host, len(old))
	stop := again.beat(200 * time.Millisecond)
	if o := s.publish(messages[1]); o.Matched < len(again) || o.Matched > len(old)+len(again) {
		t.Errorf("a publish: %+v", o)
	}
	s.found(len(old), "idle", idle+pong)
	if o := s.publish(messages[2]); o.Matched != len(again) {
		t.Errorf("a publish to those who are there: %+v", o)
	}
	stop()
	again.check(t, messages[1:], 0)
	s.closed(map[string]int{"idle": len(old)})
}

// ended tells whether all connections have ended.
func (all crowd) ended() bool {
	for _, c := range all {
		if !c.ended() {
			return false
		}
	}
	return true
}
