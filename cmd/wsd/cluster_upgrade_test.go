//go:build !nocluster

package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

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

// manyKeys has a node remember all publishes of a test, whose number its length decides.
const manyKeys = "--idempotency-keys=10000000"

// startLineages starts nodes of a cluster, each with what upgrades it.
func startLineages(t *testing.T, k int, args ...string) (nodes []*lineage) {
	first := freePort(t)
	for i := range k {
		own := []string{"--cluster=shop", fmt.Sprintf("--node=n%d", i+1), "--cluster-listen=" + first, manyKeys}
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
// lost, doubled or reordered, though each time the node comes to deal its topics to
// another number of buckets. CLUSTER_UPGRADES says how many for each, 10 as in the
// goal; there are fewer by default.
func TestClusterUpgrades(t *testing.T) {
	rounds := 2
	if text := os.Getenv("CLUSTER_UPGRADES"); text != "" {
		rounds, _ = strconv.Atoi(text)
	}
	file := writeFile(t, "wsd.yaml", "cluster-buckets: 65536\n")
	nodes := startLineages(t, 3, "--config="+file)
	c := newChecker(t, nodes...)
	for i, n := range nodes {
		for range 5 {
			c.listen(n.running, fmt.Sprintf("n%d", i+1))
		}
	}
	for i := range nodes {
		c.publish(i, "all", 2*time.Millisecond)
		c.publish(i, "topic=news", 2*time.Millisecond)
	}
	time.Sleep(300 * time.Millisecond)
	for round := range rounds {
		for i, n := range nodes {
			buckets := 65536 << ((round*len(nodes) + i + 1) * 3 % 5) // 2^19, 2^17, 2^20, 2^18, 2^16
			if err := os.WriteFile(file, fmt.Appendf(nil, "cluster-buckets: %d\n", buckets), 0o600); err != nil {
				t.Fatal(err)
			}
			said := n.succeed()
			t.Logf("round %d: node %d with %d buckets, pause %s", round+1, i+1, buckets, said[4])
			time.Sleep(300 * time.Millisecond)
		}
	}
	c.check()
}
