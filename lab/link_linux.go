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

// Rate bounds the link to so many bits per second; 0: no bound. What does not fit
// waits for up to 400 ms, and is dropped beyond that.
func (l Link) Rate(bits int) {
	l.host.net.t.Helper()
	l.shape(func(s *shape) { s.rate = bits })
}

// Delay makes each packet wait so long, each way: two such ways make the round
// trip. The test is skipped if the kernel cannot do it (no netem).
func (l Link) Delay(d time.Duration) {
	l.host.net.t.Helper()
	l.shape(func(s *shape) { s.delay = d })
}

// shape is what the queue in front of one direction does.
type shape struct {
	rate  int // bits per second; 0: no bound
	delay time.Duration
}

// commands are those of tc that make the queue of an interface anew.
func (s shape) commands(dev string) (commands []string) {
	parent := "root"
	if s.delay > 0 {
		commands = append(commands, fmt.Sprintf("qdisc add dev %s root handle 1: netem delay %dus limit 100000", dev, s.delay.Microseconds()))
		parent = "parent 1:1"
	}
	if s.rate > 0 {
		commands = append(commands, fmt.Sprintf("qdisc add dev %s %s tbf rate %dbit burst 16kb latency 400ms", dev, parent, s.rate))
	}
	return commands
}

// shape changes the queues: the host's for what it sends, the router's for what
// it gets.
func (l Link) shape(change func(*shape)) {
	h := l.host
	h.net.t.Helper()
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	if l.up {
		change(&h.upShape)
		h.net.queue(h.ns, "eth0", h.upShape)
	}
	if l.down {
		change(&h.downShape)
		h.net.queue(h.net.router(), h.name, h.downShape)
	}
}

func (n *Net) queue(ns, dev string, s shape) {
	n.t.Helper()
	_, _ = run("", "tc", "-n", ns, "qdisc", "del", "dev", dev, "root") // fails if there is none
	for _, command := range s.commands(dev) {
		_, err := run("", append([]string{"tc", "-n", ns}, words(command)...)...)
		if err != nil && strings.Contains(err.Error(), "qdisc kind is unknown") {
			Skip(n.t, "this kernel lacks what tc asks for: "+command)
		}
		n.check(err)
	}
}
