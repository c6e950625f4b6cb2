package main

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// attack has n clients send stream again and again, as fast as they can.
func (c *crowd) attack(r *running, n int, first, stream string) {
	for range n {
		f := c.join(r.listen)
		if c.t.Failed() {
			c.t.FailNow()
		}
		c.t.Cleanup(func() { f.c.Close() })
		go func() { _, _ = io.Copy(io.Discard, f.c) }()
		go func() {
			_, err := io.WriteString(f.c, first)
			for err == nil {
				_, err = io.WriteString(f.c, stream)
			}
		}()
	}
}

func masked(message string) string {
	return string(ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame([]byte(message)))))
}

// A few clients that ask for as much as they can keep neither a publish nor an
// upgrade from its end, on one processor.
func TestUpgradeUnderAttack(t *testing.T) {
	l := found(t, "", []string{"GOMAXPROCS=1"}, "--loops=1")
	c := gather(t, l.running, 1500, 10*time.Second, 50*time.Millisecond)
	topics := make([]string, 64)
	for i := range topics {
		topics[i] = fmt.Sprintf(`"a-topic-of-some-length-number-%d-in-a-list-of-many"`, i)
	}
	subscribe := `{"actioncode":"subscribe","data":{"topics":[` + strings.Join(topics, ",") + `]}}`
	c.attack(l.running, 32, masked(subscribe), strings.Repeat(masked(`{"actioncode":"whoami"}`), 2000))
	c.more(3)
	before := l.pid
	said := l.succeed()
	until(t, "the old process ends", func() bool { return gone(before) })
	c.more(3)
	t.Logf("pause %s; %s", said[4], c.slowest())
	c.check()
	if code := l.exit(); code != exitOK {
		t.Errorf("the first process ended with %d", code)
	}
}
