package hosts

import (
	"fmt"
	"testing"
	"time"

	"wsd/lab"
)

// The load generator on a host of its own, over a long link that loses packets:
// no heartbeat stays without an answer, nobody is closed, and after half of the
// clients have vanished all are back.
func TestBench(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	s := serve(t, n.Host("server"))
	load := n.Host("load")
	load.Link().Delay(20 * time.Millisecond)
	load.Link().Loss(2)
	clients := lab.Form(200, 2000)
	cmd := load.Command(wsd, "bench", "run", "--url=ws://"+s.host.Addr(port)+"/ws", fmt.Sprintf("--clients=%d", clients),
		"--hold=0s", "--interval=1s", "--duration="+lab.Form("5s", "60s"), "--storm=50%", "--grace="+lab.Slack.String(),
		"--handshake-timeout="+lab.Slack.String(), "--pid=0", "--assert=loss=0,closes=0,failed=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("wsd bench: %v\n%s", err, out)
	}
	c := s.counts()
	if c.Opened != clients+clients/2 {
		t.Errorf("%d clients were opened, not %d and half of them again", c.Opened, clients)
	}
	for reason, n := range c.Closed {
		switch reason {
		case "reset", "vanished", "peer": // the storm's, and those of the end
		default:
			t.Errorf("%d clients were closed: %s", n, reason)
		}
	}
}
