//go:build !nocluster

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws/wsutil"
)

// checker has a log of all that publishers sent and were answered, and of all that
// clients got, and says whether the one fits the other: nothing twice, each publisher's
// messages in their order, and nothing missing of what was said to be there.
type checker struct {
	t     *testing.T
	nodes []string // addresses of the admin sides
	done  chan struct{}
	all   sync.WaitGroup

	mu         sync.Mutex
	publishers map[string]*publisher
	clients    []*listener
}

func newChecker(t *testing.T) *checker {
	return &checker{t: t, done: make(chan struct{}), publishers: map[string]*publisher{}}
}

// listener is a client that keeps what it gets.
type listener struct {
	node string

	mu    sync.Mutex
	got   map[string][]int // by publisher, in the order in which it came
	ended bool             // the connection is over
}

// listen adds a client of a node, which has subscribed to news.
func (c *checker) listen(r *running, node string) *listener {
	c.t.Helper()
	conn := r.dial("/ws")
	ask(c.t, conn, `{"actioncode":"subscribe","data":{"topics":["news"]}}`)
	l := &listener{node: node, got: map[string][]int{}}
	c.clients = append(c.clients, l)
	go l.read(conn)
	return l
}

func (l *listener) read(conn net.Conn) {
	_ = conn.SetReadDeadline(time.Time{})
	for {
		text, _, err := wsutil.ReadServerData(conn)
		l.mu.Lock()
		if err != nil {
			l.ended = true
			l.mu.Unlock()
			return
		}
		if who, number, ok := strings.Cut(string(text), " "); ok {
			if seq, err := strconv.Atoi(number); err == nil {
				l.got[who] = append(l.got[who], seq)
			}
		}
		l.mu.Unlock()
	}
}

// publisher sends one message after the other, each with a key, when the one before is
// answered.
type publisher struct {
	name string
	sent []attempt // by number
}

// attempt is what is known of one message.
type attempt struct {
	tries   int
	missing []string // nodes, at the last try; all is true if nobody knows
	all     bool
	late    bool // it was repeated after others were sent: its order does not count
}

func (a *attempt) complete() bool { return len(a.missing) == 0 && !a.all }

// publish adds a publisher at a node.
func (c *checker) publish(node int, query string, pause time.Duration) {
	p := &publisher{name: fmt.Sprintf("p%d-%s", node, query)}
	c.mu.Lock()
	c.publishers[p.name] = p
	c.mu.Unlock()
	c.all.Go(func() {
		for {
			select {
			case <-c.done:
				return
			case <-time.After(pause):
			}
			p.sent = append(p.sent, attempt{})
			c.try(p, len(p.sent)-1, node, query)
		}
	})
}

var checkerHTTP = &http.Client{Timeout: 20 * time.Second}

// try publishes a message, or repeats it.
func (c *checker) try(p *publisher, seq, node int, query string) {
	a := &p.sent[seq]
	a.tries++
	a.late = a.late || a.tries > 1 && seq < len(p.sent)-1
	text := fmt.Sprintf("%s %d", p.name, seq)
	q, _ := http.NewRequest("POST", "http://"+c.nodes[node]+"/v1/publish?"+query, strings.NewReader(text))
	q.Header.Set("Idempotency-Key", text)
	a.missing, a.all = nil, true
	r, err := checkerHTTP.Do(q)
	if err != nil {
		return
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	var o struct {
		Complete bool
		Missing  []struct{ Node, Why string }
	}
	if err != nil || r.StatusCode != 200 || json.Unmarshal(body, &o) != nil {
		return
	}
	if a.all = !o.Complete && len(o.Missing) == 0; a.all {
		c.t.Errorf("%s: neither complete nor somebody missing: %s", text, body)
	}
	for _, m := range o.Missing {
		a.missing = append(a.missing, m.Node)
	}
}

// stop ends publishing, and repeats, at other nodes, what was not complete until it is.
func (c *checker) stop() {
	c.t.Helper()
	close(c.done)
	c.all.Wait()
	sum, incomplete := 0, 0
	for _, p := range c.publishers {
		query := p.name[strings.Index(p.name, "-")+1:]
		for seq := range p.sent {
			sum++
			if p.sent[seq].complete() {
				continue
			}
			incomplete++
			at := seq % len(c.nodes)
			until(c.t, fmt.Sprintf("a repeat of %s %d is complete", p.name, seq), func() bool {
				c.try(p, seq, at, query)
				at = (at + 1) % len(c.nodes)
				return p.sent[seq].complete()
			})
		}
	}
	c.t.Logf("%d messages to %d clients each; %d were answered as incomplete at first, and repeated", sum, len(c.clients), incomplete)
}

// check compares what clients got with what they should have.
func (c *checker) check() {
	c.t.Helper()
	for i, l := range c.clients {
		for name, p := range c.publishers {
			until(c.t, "all has come", func() bool {
				l.mu.Lock()
				defer l.mu.Unlock()
				return l.ended || len(l.got[name]) >= len(p.sent)
			})
			l.mu.Lock()
			if l.ended {
				c.t.Errorf("client %d of %s was cut off", i, l.node)
			}
			c.checkOne(fmt.Sprintf("client %d of %s", i, l.node), p, l.got[name])
			l.mu.Unlock()
		}
	}
}

func (c *checker) checkOne(who string, p *publisher, got []int) {
	times, last, wrong := map[int]int{}, -1, 0
	for _, seq := range got {
		if seq >= len(p.sent) {
			c.t.Errorf("%s got %s %d, which was not sent", who, p.name, seq)
			return
		}
		if times[seq]++; times[seq] == 2 {
			c.t.Errorf("%s got %s %d twice", who, p.name, seq)
		}
		if !p.sent[seq].late {
			if seq < last {
				c.t.Errorf("%s got %s %d after %d", who, p.name, seq, last)
			}
			last = max(last, seq)
		}
	}
	for seq := range p.sent {
		if times[seq] == 0 && wrong < 5 {
			wrong++
			c.t.Errorf("%s did not get %s %d: %+v", who, p.name, seq, p.sent[seq])
		}
	}
}
