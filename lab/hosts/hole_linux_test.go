package hosts

import (
	"testing"
	"time"

	"wsd/lab"
)

// Large packets vanish on the way to some clients, without a word. If the
// server's kernel does not look for that (tcp_mtu_probing), they get no large
// message, and are found by what they do not acknowledge. If it does, they get
// all. A path that says how large a packet may be needs no looking.
func TestBlackHole(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		probing string
		hole    func(*lab.Host)
		user    time.Duration
		through bool
	}{
		"without probing": {"0", func(h *lab.Host) { h.Link().BlackHole(1200) }, 4 * time.Second, false},
		"with probing":    {"1", func(h *lab.Host) { h.Link().BlackHole(1200) }, time.Minute, true},
		"with ICMP":       {"0", func(h *lab.Host) { h.MTU(1200) }, time.Minute, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := lab.New(t)
			host := n.Host("server")
			host.Sysctl("net.ipv4.tcp_mtu_probing", c.probing)
			s := serve(t, host, "--user-timeout="+c.user.String())
			narrow := n.Host("narrow")
			well, behind := gather(t, n.Host("well"), s.host, 10), gather(t, narrow, s.host, 10)
			stop := well.beat(200 * time.Millisecond)
			c.hole(narrow)
			small, large := numbered(3, 100), numbered(4, 200<<10)
			for _, message := range append(small, large...) {
				if o := s.publish(message); o.Matched != len(well)+len(behind) {
					t.Errorf("a publish: %+v", o)
				}
			}
			want := map[string]int{}
			if c.through {
				behind.check(t, append(small, large...), 0)
			} else {
				s.found(len(behind), "reset", c.user)
				want["reset"] = len(behind)
			}
			stop()
			well.check(t, append(small, large...), 0)
			s.closed(want)
			if c := s.counts(); c.PendingBytes != 0 {
				t.Errorf("%d bytes are still held", c.PendingBytes)
			}
		})
	}
}
