package admin

import (
	"context"
	"crypto/sha256"
	"net/http"
	"sync"
	"time"

	"wsd/server"
)

// once remembers the answers to publishes that carried an idempotency key, so
// that one that is repeated is answered again but not published again. It
// remembers for a time, and a number of keys: whichever ends first.
type once struct {
	window time.Duration
	max    int // 0: keys are not honoured
	now    func() time.Time

	mu      sync.Mutex
	entries map[string]*entry
	ended   []*entry // with an answer, the oldest first
}

type entry struct {
	key   string
	print [sha256.Size]byte
	done  chan struct{} // closed when reply and until are set
	reply reply
	until time.Time
}

func newOnce(window time.Duration, max int) *once {
	return &once{window: window, max: max, now: time.Now, entries: map[string]*entry{}}
}

// do answers with what f, or an earlier call of the same key and fingerprint,
// said. Calls of one key at the same time wait for the first, which waits to the
// end. An f that fails has published nothing: it is forgotten, and may be tried
// again.
func (o *once) do(ctx context.Context, key string, print [sha256.Size]byte, f func() coming) reply {
	answer, mine := o.begin(key, print, f)
	if mine {
		ctx = context.WithoutCancel(ctx)
	}
	if p, ok := answer.wait(ctx); ok {
		return p
	}
	return reply{status: http.StatusServiceUnavailable, detail: "the first publish with this key is still under way"}
}

// begin is do without the waiting: f is called before it returns, if this is the
// first call of the key (mine).
func (o *once) begin(key string, print [sha256.Size]byte, f func() coming) (answer coming, mine bool) {
	if o.max == 0 {
		return errNoKeys, false
	}
	e, mine := o.enter(key, print)
	switch {
	case e == nil:
		return reply{status: http.StatusServiceUnavailable, detail: "too many keyed publishes are under way"}, false
	case mine:
		o.run(e, f)
	case e.print != print:
		return reply{status: http.StatusUnprocessableEntity, detail: server.ErrKeyUsed.Error()}, false
	}
	return keyed{e, !mine}, mine
}

var errNoKeys = reply{status: http.StatusNotImplemented, detail: "idempotency keys are turned off here"}

// known returns the entry of a key whose answer is there, nil if there is none.
func (o *once) known(key string) *entry {
	o.mu.Lock()
	defer o.mu.Unlock()
	e := o.entries[key]
	if e == nil || e.until.IsZero() || !o.now().Before(e.until) {
		return nil
	}
	return e
}

// keyed is the answer to a publish with a key.
type keyed struct {
	*entry
	again bool // the key was known
}

func (k keyed) poll() (reply, bool) {
	select {
	case <-k.done:
		p := k.reply
		p.replayed = k.again && !p.failed()
		return p, true
	default:
		return reply{}, false
	}
}

func (k keyed) wait(ctx context.Context) (reply, bool) {
	select {
	case <-k.done:
	case <-ctx.Done():
	}
	return k.poll()
}

// enter finds the key's entry, or makes one that is the caller's to run. It
// returns nil when all that may be remembered are under way.
func (o *once) enter(key string, print [sha256.Size]byte) (e *entry, mine bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for now := o.now(); len(o.ended) > 0 && !now.Before(o.ended[0].until); {
		o.forgetOldest()
	}
	if e = o.entries[key]; e != nil {
		return e, false
	}
	if len(o.entries) >= o.max {
		if len(o.ended) == 0 {
			return nil, false
		}
		o.forgetOldest()
	}
	e = &entry{key: key, print: print, done: make(chan struct{})}
	o.entries[key] = e
	return e, true
}

func (o *once) forgetOldest() {
	delete(o.entries, o.ended[0].key)
	o.ended[0] = nil
	o.ended = o.ended[1:]
}

// run begins the publish of a new entry. Whoever waits for it is told by
// settle, be the publisher that began it still there or not.
func (o *once) run(e *entry, f func() coming) {
	var answer coming = reply{status: http.StatusInternalServerError, detail: "the publish did not begin"}
	defer func() { // also should f panic
		if p, ok := answer.poll(); ok {
			o.settle(e, p)
			return
		}
		go func() {
			p, _ := answer.wait(context.Background())
			o.settle(e, p)
		}()
	}()
	answer = f()
}

func (o *once) settle(e *entry, p reply) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if e.reply = p; p.failed() {
		delete(o.entries, e.key)
	} else {
		e.until = o.now().Add(o.window)
		o.ended = append(o.ended, e)
	}
	close(e.done)
}
