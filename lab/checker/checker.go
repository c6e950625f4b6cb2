// Package checker says whether what clients of a cluster got fits what its publishers
// sent and were answered. It has a log of each: no message twice, each publisher's in
// their order, and none missing of which the publisher was not told that it may be.
//
// A test gives it a way to publish, and has its clients tell what they get. It makes no
// connection itself, and fails no test: its verdict is a list of what is wrong.
package checker

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Answer is what a publisher was told of a message.
type Answer struct {
	Complete bool
	Missing  []string // names of nodes
}

// Send publishes a text at a node; key is "" for none. An error means that nobody knows
// what became of it. It may be called by several goroutines.
type Send func(node int, query, key, text string) (Answer, error)

// Checker has the logs. Its methods may be called by any goroutine.
type Checker struct {
	send  Send
	nodes int // how many there are to publish at
	stop  chan struct{}
	all   sync.WaitGroup

	mu         sync.Mutex
	publishers []*publisher
	clients    []*Client
	wrong      []string
}

// New makes a checker that publishes at so many nodes, numbered from 0.
func New(nodes int, send Send) *Checker {
	return &Checker{send: send, nodes: nodes, stop: make(chan struct{})}
}

// Publisher says how one publishes.
type Publisher struct {
	Name  string // without a space
	Node  int    // where
	Query string // to whom: "all", or "topic=" and a topic
	Pause time.Duration
	Count int // how many messages; 0: until Stop
	// Keyless: its messages have no key, so none is repeated.
	Keyless bool
	// Again repeats, at the next node and before the next message, every so many-th one
	// that was incomplete; 0: none. All are repeated in the end.
	Again int
}

type publisher struct {
	Publisher
	sent []*message // by number
}

// message is what is known of one.
type message struct {
	tries []try
	early int // tries before the next message was sent: what they reached is in order
}

type try struct {
	began, ended time.Time
	answer       Answer
	known        bool  // there was an answer
	why          error // there was none
}

func (t *try) complete() bool { return t.known && t.answer.Complete }

func (m *message) complete() bool {
	return len(m.tries) > 0 && m.tries[len(m.tries)-1].complete()
}

// Publish has a publisher send one message after the other, until Stop or Count.
func (c *Checker) Publish(how Publisher) {
	p := &publisher{Publisher: how}
	c.mu.Lock()
	c.publishers = append(c.publishers, p)
	c.mu.Unlock()
	c.all.Go(func() {
		incomplete := 0
		for k := 0; p.Count == 0 || k < p.Count; k++ {
			select {
			case <-c.stop:
				return
			case <-time.After(p.Pause):
			}
			m := &message{}
			c.mu.Lock()
			p.sent = append(p.sent, m)
			seq := len(p.sent) - 1
			c.mu.Unlock()
			c.try(p, seq, p.Node)
			if !m.complete() {
				if incomplete++; p.Again > 0 && !p.Keyless && incomplete%p.Again == 0 {
					c.try(p, seq, (p.Node+1)%c.nodes)
				}
			}
			c.mu.Lock()
			m.early = len(m.tries)
			c.mu.Unlock()
		}
	})
}

// try sends a message, or repeats it.
func (c *Checker) try(p *publisher, seq, node int) {
	text := p.Name + " " + strconv.Itoa(seq)
	key := text
	if p.Keyless {
		key = ""
	}
	t := try{began: time.Now()}
	answer, err := c.send(node, p.Query, key, text)
	t.ended, t.answer, t.known, t.why = time.Now(), answer, err == nil, err
	c.mu.Lock()
	defer c.mu.Unlock()
	p.sent[seq].tries = append(p.sent[seq].tries, t)
	if t.known && answer.Complete == (len(answer.Missing) > 0) {
		c.wrong = append(c.wrong, fmt.Sprintf("%s: the answer is complete: %v, and misses %v", text, answer.Complete, answer.Missing))
	}
}

// Stop has the publishers stop, and waits for their last answers.
func (c *Checker) Stop() {
	close(c.stop)
	c.all.Wait()
}

// Repeat repeats each message with a key that was not complete, once, at one node or
// another, and returns how many of them still are not. Each publisher does so one after
// the other, all at a time. It is for after Stop.
func (c *Checker) Repeat() (left int) {
	var still atomic.Int64
	var all sync.WaitGroup
	for _, p := range c.publishers {
		if !p.Keyless {
			all.Go(func() { still.Add(c.repeat(p)) })
		}
	}
	all.Wait()
	return int(still.Load())
}

func (c *Checker) repeat(p *publisher) (left int64) {
	for seq, m := range p.sent {
		if m.complete() {
			continue
		}
		if c.try(p, seq, (seq+len(m.tries))%c.nodes); !m.complete() {
			left++
		}
	}
	return left
}

// Client is the log of one.
type Client struct {
	c      *Checker
	name   string
	node   string
	topics []string

	// Guarded by Checker.mu.
	since, until time.Time        // it is there; zero until: still
	got          map[string][]int // numbers of messages, by publisher, as they came
}

// Client adds a client of a node, which has subscribed to topics and been answered.
func (c *Checker) Client(name, node string, topics ...string) *Client {
	l := &Client{c: c, name: name + " of " + node, node: node, topics: topics, since: time.Now(), got: map[string][]int{}}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clients = append(c.clients, l)
	return l
}

// Got notes a message. It reports false for what is none.
func (l *Client) Got(text string) bool {
	who, number, ok := strings.Cut(text, " ")
	seq, err := strconv.Atoi(number)
	if !ok || err != nil {
		return false
	}
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	l.got[who] = append(l.got[who], seq)
	return true
}

// atEnd is how long before a node's death what was answered may still be lost. The node has
// given it to its host's kernel, which sends it at once, or when the client has
// acknowledged what came before: within TCP's shortest time-out, if nothing is lost on
// the way and the client reads. When the node dies the kernel resets connections, and what it has
// not sent is lost.
const atEnd = 200 * time.Millisecond

// Ends says that what the client gets from here on does not matter: its node is about
// to be killed. What was answered before has to be there, but for the last moment's.
func (l *Client) Ends() {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	l.until = time.Now()
}

// Ended says that the connection is over. It is wrong if nobody has said Ends.
func (l *Client) Ended(err error) {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	if l.until.IsZero() {
		l.until = time.Now()
		l.c.wrong = append(l.c.wrong, fmt.Sprintf("client %s was cut off: %v", l.name, err))
	}
}

// concerns says whether a publisher's messages are for the client.
func (l *Client) concerns(p *publisher) bool {
	topic, ok := strings.CutPrefix(p.Query, "topic=")
	return !ok || slices.Contains(l.topics, topic)
}

// due says whether one of tries had an answer that says, or does not deny, that the
// client has got the message. Of one that was sent first before the client came, its
// node may have remembered that it is done.
func (l *Client) due(tries []try) bool {
	if len(tries) == 0 || tries[0].began.Before(l.since) {
		return false
	}
	for i := range tries {
		t := &tries[i]
		if t.known && (l.until.IsZero() || t.ended.Before(l.until.Add(-atEnd))) && !slices.Contains(t.answer.Missing, l.node) {
			return true
		}
	}
	return false
}
