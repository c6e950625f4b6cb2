package server

import (
	"bufio"
	"crypto/rand"
	"sync"

	"github.com/google/uuid"
)

// ids makes client ids: random (version 4) UUIDs, with one system call for 64
// of them. uuid.EnableRandPool would do the same, but for the whole process,
// and not while anybody else makes an id. It is safe for concurrent use.
type ids struct {
	mu   sync.Mutex
	pool *bufio.Reader // of random bytes; made with the first id
}

func (g *ids) next() uuid.UUID {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.pool == nil {
		g.pool = bufio.NewReaderSize(rand.Reader, 64*len(uuid.UUID{}))
	}
	id, _ := uuid.NewRandomFromReader(g.pool) // rand.Reader fails never, but ends the process
	return id
}
