package cluster

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"wsd/lab"
)

// A client that has the answer to its subscribe gets what is published afterwards, at
// whatever node: each topic is new, and published to at once at another node.
func TestSubscribedMeansReached(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, s *site) {
		const workers = 4
		each := lab.Form(100, 10_000) / workers
		var all sync.WaitGroup
		clients := make([]*client, workers)
		for w := range clients {
			clients[w] = connect(t, s.crowd, s.nodes[w%len(s.nodes)].host.Addr(port))
		}
		for w, c := range clients {
			all.Go(func() {
				for k := range each {
					if err := s.reach(c, w, k); err != nil {
						t.Errorf("client %d, topic %d: %v", w, k, err)
						return
					}
				}
			})
		}
		all.Wait()
		for w, c := range clients {
			until(t, "all has come", func() bool { return len(c.others()) >= each })
			if got := c.others(); len(got) != each {
				t.Errorf("client %d got %d messages of %d", w, len(got), each)
			}
		}
	}, "--cluster-subscribe-wait=10s") // a busy machine
}

// reach has a client subscribe to its k-th topic, and publishes to it at another node
// than the client's as soon as the subscribe is answered.
func (s *site) reach(c *client, w, k int) error {
	topic := fmt.Sprintf("fresh-%d-%d", w, k)
	n := c.request("subscribe", fmt.Sprintf(`"topics":[%q]`, topic))
	for end := time.Now().Add(patience); !c.answered(n); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("the subscribe is not answered")
		}
	}
	a, err := s.say(s.nodes[(w+1+k%2)%len(s.nodes)], "topic="+topic, "", "to "+topic)
	c.request("unsubscribe", fmt.Sprintf(`"topics":[%q]`, topic))
	if err != nil || a.Matched != 1 || !a.Complete {
		return fmt.Errorf("the publish: %+v %v", a, err)
	}
	return nil
}
