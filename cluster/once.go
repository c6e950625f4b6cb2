package cluster

import (
	"context"
	"sync"
	"time"

	"wsd/server"
)

// keys remembers what this node did for publishes that carry a key, its own and those
// of other nodes, so that one that is repeated, at whatever node, is delivered only
// where it has not been. It remembers for a time, and a number of keys: whichever ends
// first. All nodes are told of a publish with a key, also those that have nobody it is
// for: it stays so for a repeat.
type keys struct {
	window time.Duration
	max    int // 0: keys are not remembered here

	mu    sync.Mutex
	of    map[string]*remembered
	ended []*remembered // the oldest first
}

// remembered is what became of a publish with a key; it is the server.OutcomeHere of
// all who ask.
type remembered struct {
	key   string
	print [32]byte
	done  chan struct{} // closed when the rest is set
	// What became of it, and when it is forgotten (Node.now).
	result server.Result
	err    error
	until  time.Duration
}

func (e *remembered) Done() <-chan struct{} { return e.done }

func (e *remembered) Poll() (server.Result, bool, error) {
	select {
	case <-e.done:
		return e.result, true, e.err
	default:
		return server.Result{}, false, nil
	}
}

func (e *remembered) Wait(ctx context.Context) (server.Result, error) {
	select {
	case <-e.done:
		return e.result, e.err
	case <-ctx.Done():
		return server.Result{}, ctx.Err()
	}
}

func (k *keys) init(window time.Duration, max int) {
	k.window, k.max, k.of = window, max, map[string]*remembered{}
}

// enter finds the key's entry, or makes one that is the caller's to settle (mine). It
// returns nil when all that may be remembered are under way.
func (k *keys) enter(o Once, now time.Duration) (e *remembered, mine bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.ended) > 0 && k.ended[0].until <= now {
		k.forgetLocked()
	}
	if e = k.of[o.Key]; e != nil {
		return e, false
	}
	if len(k.of) >= k.max {
		if len(k.ended) == 0 {
			return nil, false
		}
		k.forgetLocked()
	}
	e = &remembered{key: o.Key, print: o.Print, done: make(chan struct{})}
	k.of[o.Key] = e
	return e, true
}

// settled says that none is under way.
func (k *keys) settled() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.of) == len(k.ended)
}

func (k *keys) forgetLocked() {
	delete(k.of, k.ended[0].key)
	k.ended[0] = nil
	k.ended = k.ended[1:]
}

// settle says what became of it. What failed is forgotten: nobody has got it.
func (k *keys) settle(e *remembered, r server.Result, err error, now time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	e.result, e.err, e.until = r, err, now+k.window
	if err != nil {
		delete(k.of, e.key)
	} else {
		k.ended = append(k.ended, e)
	}
	close(e.done)
}

// once begins a publish here, unless it has been: then replayed is set, and what is
// returned is what became of it. note: there is nobody here whom it is for, which is
// remembered. Errors are those of server.BeginHere, and ErrKeyUsed.
func (n *Node) once(ctx context.Context, p *publish, note bool) (here server.OutcomeHere, replayed bool, err error) {
	e, mine := n.keys.enter(p.once, n.now())
	switch {
	case e == nil:
		return nil, false, server.ErrBacklog
	case !mine && e.print != p.once.Print:
		return nil, false, server.ErrKeyUsed
	case !mine:
		return e, true, nil
	case note:
		n.keys.settle(e, server.Result{}, nil, n.now())
		return e, false, nil
	}
	begun, err := n.server.BeginHere(ctx, p.to, p.m)
	if err != nil {
		n.keys.settle(e, server.Result{}, err, n.now())
		return nil, false, err
	}
	go func() {
		r, err := begun.Wait(context.Background()) // the server ends it
		n.keys.settle(e, r, err, n.now())
	}()
	return e, false, nil
}

// BeginOnce is Begin for a publish with a key. A repeat, at any node, reaches those who
// have not got it, and the answer is the same as if all had been reached the first time.
func (n *Node) BeginOnce(ctx context.Context, key string, print [32]byte, t server.Target, m server.Message) (server.Outcome, error) {
	if err := n.fits(&m); err != nil {
		return nil, err
	}
	p := &publish{life: n.life, to: t, m: m, once: Once{key, print}}
	here, replayed, err := n.once(ctx, p, false)
	if err != nil {
		return nil, err
	}
	return n.spread(p, here, replayed), nil
}
