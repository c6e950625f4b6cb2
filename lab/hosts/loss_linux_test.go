package hosts

import (
	"fmt"
	"testing"
	"time"

	"wsd/lab"
)

// Whatever part of the packets is lost, each way, nobody who is there is closed:
// every heartbeat is answered once and in order, and every message arrives once
// and in order. What is lost costs time, so the time-outs are longer where
// more is.
func TestLoss(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		percent           float64
		clients, messages int
		pace              time.Duration // of the messages, and of each client's heartbeats
		patience          time.Duration // for the kernel to send something again and again
	}{
		{1, lab.Form(50, 200), lab.Form(20, 200), 200 * time.Millisecond, 20 * time.Second},
		{10, lab.Form(50, 200), lab.Form(20, 200), 200 * time.Millisecond, 60 * time.Second},
		{30, lab.Form(10, 50), lab.Form(4, 40), 3 * time.Second, 300 * time.Second},
	} {
		t.Run(fmt.Sprintf("%v %%", c.percent), func(t *testing.T) {
			t.Parallel()
			n := lab.New(t)
			server, host := n.Host("server"), n.Host("clients")
			if c.percent > 20 {
				// The kernel doubles its time-out with each loss in a row, up to two minutes. Here it does
				// not at first, as long as fewer than four packets are under way: ten losses in a row
				// are nothing unusual.
				server.Sysctl("net.ipv4.tcp_thin_linear_timeouts", "1")
				host.Sysctl("net.ipv4.tcp_thin_linear_timeouts", "1")
			}
			long := c.patience.String()
			s := serve(t, server, "--idle-timeout=3s", "--pong-timeout="+long, "--user-timeout="+long, "--pending-age="+long, "--handshake-timeout="+long)
			host.Link().Loss(c.percent)
			all := gather(t, host, s.host, c.clients)
			messages := numbered(c.messages, 1000)
			stop := all.beat(c.pace)
			for _, message := range messages {
				if o := s.publish(message); o.Matched != len(all) {
					t.Errorf("a publish: %+v", o)
				}
				time.Sleep(c.pace)
			}
			stop()
			all.check(t, messages, c.patience)
			s.closed(map[string]int{})
			if got, want := s.counts().MessagesIn, all.sent(); got != want {
				t.Errorf("the server counts %d messages, and %d were sent", got, want)
			}
		})
	}
}
