package server

import (
	"fmt"
	"sync"

	"wsd/netpoll"
)

// registrar puts sockets into the loops' epoll instances beside the goroutine
// that takes the state in: that is nearly half of what a client costs while all
// of them wait, and each loop's can be done by another processor.
type registrar struct {
	loops   []*loop
	piles   [][]registration // by loop, not handed on yet
	queues  []chan []registration
	working sync.WaitGroup

	mu  sync.Mutex
	err error // the first
}

type registration struct {
	fd       int
	token    netpoll.Token
	interest netpoll.Interest
}

// registerBatch is how many are handed on at a time.
const registerBatch = 64

func newRegistrar(loops []*loop) *registrar {
	r := &registrar{loops: loops, piles: make([][]registration, len(loops))}
	for _, l := range loops {
		queue := make(chan []registration, 16)
		r.queues = append(r.queues, queue)
		r.working.Go(func() {
			for pile := range queue {
				r.all(l.poll, pile)
			}
		})
	}
	return r
}

func (r *registrar) all(poll *netpoll.Poller, pile []registration) {
	for _, g := range pile {
		if err := poll.Add(g.fd, g.token, g.interest); err != nil {
			r.mu.Lock()
			if r.err == nil {
				r.err = fmt.Errorf("watching a client's socket: %w", err)
			}
			r.mu.Unlock()
			return
		}
	}
}

// add has a socket of loop number registered, soon.
func (r *registrar) add(number int, g registration) {
	pile := append(r.piles[number], g)
	if len(pile) == registerBatch {
		r.queues[number] <- pile
		pile = nil
	}
	r.piles[number] = pile
}

// wait returns when all are registered, or with the first error. It is called
// once, in any case.
func (r *registrar) wait() error {
	for i, queue := range r.queues {
		if len(r.piles[i]) > 0 {
			queue <- r.piles[i]
		}
		close(queue)
	}
	r.working.Wait()
	return r.err
}
