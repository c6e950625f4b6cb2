package lab

import (
	"fmt"
	"strings"
	"time"
)

// Link is the link between a host and the router, or one direction of it. What
// is set stays until it is set anew.
type Link struct {
	host     *Host
	up, down bool
}

// ways calls change for each direction of the link, and has the router use what
// came of it.
func (l Link) ways(change func(*way)) {
	l.host.net.t.Helper()
	l.host.net.set(func() {
		if l.up {
			change(&l.host.up)
		}
		if l.down {
			change(&l.host.down)
		}
	})
}

// Loss makes each packet vanish with the given probability, from 0 to 100
// percent. Two hosts whose links both lose packets have the loss of both.
func (l Link) Loss(percent float64) {
	l.host.net.t.Helper()
	l.ways(func(w *way) { w.loss = percent })
}

// Cut makes every packet vanish.
func (l Link) Cut() {
	l.host.net.t.Helper()
	l.ways(func(w *way) { w.cut = true })
}

// Heal undoes Cut.
func (l Link) Heal() {
	l.host.net.t.Helper()
	l.ways(func(w *way) { w.cut = false })
}

// BlackHole makes every IP packet of more than size bytes vanish, and nobody is
// told: a path with a smaller MTU whose ICMP messages are filtered. 0: none.
func (l Link) BlackHole(size int) {
	l.host.net.t.Helper()
	l.ways(func(w *way) { w.hole = size })
}

// Delay makes each packet wait so long; both directions together make the round
// trip. With the first Delay the link is made anew, of another kind: what is under
// way then is lost, and an MTU is forgotten. The test is skipped if the kernel
// has no TUN devices.
func (l Link) Delay(d time.Duration) {
	h := l.host
	n := h.net
	n.t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if h.delayed == nil {
		if err := h.delay(); err != nil {
			Skip(n.t, err.Error())
		}
		n.connect(h)
		n.queue(h.ns, "eth0", h.upRate)
		n.queue(n.router(), h.name, h.downRate)
	}
	if l.up {
		h.delayed.up.Store(int64(d))
	}
	if l.down {
		h.delayed.down.Store(int64(d))
	}
}

// Rate bounds the link to so many bits per second; 0: no bound. What does not fit
// waits for up to 400 ms, and is dropped beyond that.
func (l Link) Rate(bits int) {
	h := l.host
	n := h.net
	n.t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if l.up {
		h.upRate = bits
		n.queue(h.ns, "eth0", bits)
	}
	if l.down {
		h.downRate = bits
		n.queue(n.router(), h.name, bits)
	}
}

// queue makes the queue in front of a direction anew: the host's for what it
// sends, the router's for what it gets.
func (n *Net) queue(ns, dev string, bits int) {
	n.t.Helper()
	_, _ = run("", "tc", "-n", ns, "qdisc", "del", "dev", dev, "root") // fails if there is none
	if bits == 0 {
		return
	}
	_, err := run("", "tc", "-n", ns, "qdisc", "add", "dev", dev, "root", "tbf", "rate", fmt.Sprint(bits), "burst", "16kb", "latency", "400ms")
	if err != nil && strings.Contains(err.Error(), "qdisc kind is unknown") {
		Skip(n.t, "this kernel has no queue that bounds a rate (tbf)")
	}
	n.check(err)
}
