//go:build !nocluster

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws/wsutil"

	"wsd/lab/checker"
)

// clusterChecker is a checker of processes on this host.
type clusterChecker struct {
	*checker.Checker
	t     *testing.T
	nodes []string // addresses of the admin sides
	made  int      // clients
}

func newChecker(t *testing.T, nodes ...*lineage) *clusterChecker {
	c := &clusterChecker{t: t}
	for _, n := range nodes {
		c.nodes = append(c.nodes, n.admin)
	}
	c.Checker = checker.New(len(nodes), c.send)
	return c
}

// listen adds a client of a node, which has subscribed to news.
func (c *clusterChecker) listen(r *running, node string) *checker.Client {
	c.t.Helper()
	conn := r.dial("/ws")
	ask(c.t, conn, `{"actioncode":"subscribe","data":{"topics":["news"]}}`)
	c.made++
	l := c.Client(fmt.Sprint(c.made), node, "news")
	go read(l, conn)
	return l
}

func read(l *checker.Client, conn net.Conn) {
	_ = conn.SetReadDeadline(time.Time{})
	for {
		text, _, err := wsutil.ReadServerData(conn)
		if err != nil {
			l.Ended(err)
			return
		}
		l.Got(string(text))
	}
}

// publish adds a publisher at a node.
func (c *clusterChecker) publish(node int, query string, pause time.Duration) {
	c.Publish(checker.Publisher{Name: fmt.Sprintf("p%d-%s", node, query), Node: node, Query: query, Pause: pause})
}

var checkerHTTP = &http.Client{Timeout: 20 * time.Second}

// send is a checker.Send.
func (c *clusterChecker) send(node int, query, key, text string) (a checker.Answer, err error) {
	q, err := http.NewRequest("POST", "http://"+c.nodes[node]+"/v1/publish?"+query, strings.NewReader(text))
	if err != nil {
		return a, err
	}
	q.Header.Set("Idempotency-Key", key)
	r, err := checkerHTTP.Do(q)
	if err != nil {
		return a, err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	var o struct {
		Complete bool
		Missing  []struct{ Node string }
	}
	switch {
	case err != nil:
		return a, err
	case r.StatusCode != http.StatusOK:
		return a, fmt.Errorf("%d: %s", r.StatusCode, body)
	}
	if err := json.Unmarshal(body, &o); err != nil {
		return a, err
	}
	a.Complete = o.Complete
	for _, m := range o.Missing {
		a.Missing = append(a.Missing, m.Node)
	}
	return a, nil
}

// check ends publishing, compares what clients got with what the publishers were told,
// repeats at other nodes what was not complete until it is, and compares again.
func (c *clusterChecker) check() {
	c.t.Helper()
	c.Stop()
	until(c.t, "what the publishers were told has come", c.Settled)
	until(c.t, "every message is complete when it is repeated", func() bool { return c.Repeat() == 0 })
	until(c.t, "what was repeated has come", c.Settled)
	c.t.Log(c.Tally())
	for _, line := range c.Wrong() {
		c.t.Error(line)
	}
}
