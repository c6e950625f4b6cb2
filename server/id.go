package server

import (
	"crypto/rand"
	"encoding/binary"
	"sync"

	"github.com/google/uuid"
)

// ids makes client ids: random (version 4) UUIDs, with one system call for 64
// of them. uuid.EnableRandPool would do the same, but for the whole process,
// and not while anybody else makes an id. uuid.NewRandomFromReader leaves 16 bytes
// to the collector for each, which is a tenth of what a client may take.
type ids struct {
	mu   sync.Mutex
	pool [64 * len(uuid.UUID{})]byte
	left int // bytes of pool not used yet, at its front
	// tag, if tagged, is in all ids: it says which node of a cluster a client is at.
	tag    uint16
	tagged bool
}

// The place of the tag: the first group of four hexadecimal digits behind the last
// dash. Neither the number of the loop nor the directory's hash depends on it.
const tagAt = 10

// TagOf is the tag in a client's id.
func TagOf(id uuid.UUID) uint16 { return binary.BigEndian.Uint16(id[tagAt:]) }

func (g *ids) setTag(tag uint16) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tag, g.tagged = tag, true
}

func (g *ids) next() (id uuid.UUID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.left == 0 {
		_, _ = rand.Read(g.pool[:]) // it fails never, but ends the process
		g.left = len(g.pool)
	}
	g.left -= copy(id[:], g.pool[g.left-len(id):g.left])
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	if g.tagged {
		binary.BigEndian.PutUint16(id[tagAt:], g.tag)
	}
	return id
}
