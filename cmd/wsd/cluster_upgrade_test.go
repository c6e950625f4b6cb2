//go:build !nocluster

package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws/wsutil"
)

// clusterLog is all that a client got, and all that publishers sent.
type clusterLog struct {
	node int
	mu   sync.Mutex
	next map[string]int // by publisher: what is to come
	last time.Time
	bad  []string
}

// take notes a message, "publisher number".
func (l *clusterLog) take(text string) {
	who, number, ok := strings.Cut(text, " ")
	seq, err := strconv.Atoi(number)
	if !ok || err != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = time.Now()
	if want := l.next[who]; seq != want && len(l.bad) < 5 {
		l.bad = append(l.bad, fmt.Sprintf("of %s came %d, not %d", who, seq, want))
	}
	l.next[who] = seq + 1
}

// listenTo subscribes a client and keeps what it gets.
func listenTo(t *testing.T, r *running, node int) *clusterLog {
	t.Helper()
	c := r.dial("/ws")
	ask(t, c, `{"actioncode":"subscribe","data":{"topics":["news"]}}`)
	l := &clusterLog{node: node, next: map[string]int{}}
	go func() {
		_ = c.SetReadDeadline(time.Time{})
		for {
			text, _, err := wsutil.ReadServerData(c)
			if err != nil {
				return
			}
			l.take(string(text))
		}
	}()
	return l
}

// freePort is one that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// publisher publishes one message after the other, each when the one before is
// answered, until done is closed.
type publisher struct {
	sent       int
	incomplete int
	err        error
}

func (p *publisher) run(r *running, name, query string, done chan struct{}) {
	for ; ; p.sent++ {
		select {
		case <-done:
			return
		default:
		}
		status, body := r.http("POST", "/v1/publish?"+query, fmt.Sprintf("%s %d", name, p.sent))
		var o struct {
			Complete bool
			Missing  json.RawMessage
		}
		if status != 200 || json.Unmarshal([]byte(body), &o) != nil {
			p.err = fmt.Errorf("%s %d: %d %s", name, p.sent, status, body)
			return
		}
		if !o.Complete {
			p.incomplete++
			p.err = fmt.Errorf("%s %d: %s", name, p.sent, body)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// startLineages starts nodes of a cluster, each with what upgrades it.
func startLineages(t *testing.T, k int, args ...string) (nodes []*lineage) {
	first := freePort(t)
	for i := range k {
		own := []string{"--cluster=shop", fmt.Sprintf("--node=n%d", i+1), "--cluster-listen=" + first}
		if i > 0 {
			own[2] = "--cluster-listen=" + freePort(t)
			own = append(own, "--cluster-peers="+first)
		}
		nodes = append(nodes, found(t, "", nil, append(own, args...)...))
	}
	until(t, "all nodes know each other", func() bool {
		for _, n := range nodes {
			_, body := n.http("GET", "/v1/nodes", "")
			if strings.Count(body, `"state":"ready"`) != k {
				return false
			}
		}
		return true
	})
	return nodes
}

// Upgrades of each of three nodes in turn, under publishes at every node: nothing is
// lost, doubled or reordered. CLUSTER_UPGRADES says how many for each, 10 as in the
// goal; there are fewer by default.
func TestClusterUpgrades(t *testing.T) {
	rounds := 2
	if text := os.Getenv("CLUSTER_UPGRADES"); text != "" {
		rounds, _ = strconv.Atoi(text)
	}
	nodes := startLineages(t, 3, "--client-fanout")
	var logs []*clusterLog
	for i, n := range nodes {
		for range 5 {
			logs = append(logs, listenTo(t, n.running, i))
		}
	}
	done := make(chan struct{})
	var all sync.WaitGroup
	publishers := map[string]*publisher{}
	for i, n := range nodes {
		for k, query := range []string{"all", "topic=news"} {
			name := fmt.Sprintf("p%d-%d", i, k)
			p := new(publisher)
			publishers[name] = p
			all.Go(func() { p.run(n.running, name, query, done) })
		}
	}
	told := map[string]*atomic.Int64{}
	for i, n := range nodes {
		name, count := fmt.Sprintf("c%d", i), new(atomic.Int64)
		told[name] = count
		c := n.dial("/ws")
		go func() {
			for {
				if _, _, err := wsutil.ReadServerData(c); err != nil {
					return
				}
			}
		}()
		all.Go(func() {
			for {
				select {
				case <-done:
					return
				case <-time.After(5 * time.Millisecond):
				}
				text := fmt.Sprintf(`{"actioncode":"echo","data":"%s %d","is_broadcast":true}`, name, count.Load())
				if err := wsutil.WriteClientText(c, []byte(text)); err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
				count.Add(1)
			}
		})
	}
	time.Sleep(300 * time.Millisecond)
	for round := range rounds {
		for i, n := range nodes {
			said := n.succeed()
			t.Logf("round %d: node %d, pause %s", round+1, i+1, said[4])
			time.Sleep(300 * time.Millisecond)
		}
	}
	close(done)
	all.Wait()
	for name, p := range publishers {
		if p.err != nil {
			t.Errorf("%s: %d of %d incomplete, the last: %v", name, p.incomplete, p.sent, p.err)
		}
	}
	for _, l := range logs {
		until(t, "all has come", func() bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			return len(l.bad) > 0 || func() bool {
				for name, p := range publishers {
					if l.next[name] < p.sent {
						return false
					}
				}
				return true
			}()
		})
		for _, bad := range l.bad {
			t.Errorf("a client of node %d: %s", l.node+1, bad)
		}
	}
	sum := 0
	for _, p := range publishers {
		sum += p.sent
	}
	t.Logf("%d messages to %d clients each", sum, len(logs))
}
