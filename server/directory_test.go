package server

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/google/uuid"
)

// TestDirectory holds it to a map, with ids that share their tables, places and
// halves more often than random ones do.
func TestDirectory(t *testing.T) {
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(seed, 4))
		var clients slab
		d, twin := newDirectory(&clients, 0), map[uuid.UUID]uint32{}
		var known []uuid.UUID
		for n := range 400 {
			id := uuid.UUID{2: byte(n % 2), 3: byte(r.IntN(3))}
			binary.BigEndian.PutUint64(id[8:], r.Uint64())
			id[15] = byte(n % 5 * 60) // the byte that counts most for the place
			known = append(known, id)
		}
		for step := range 8000 {
			id := known[r.IntN(len(known))]
			slot, exists := twin[id]
			switch {
			case exists:
				d.remove(id)
				delete(twin, id)
				clients.release(slot)
				d.remove(id) // is none of it any more
			case step%3 > 0:
				slot, c := clients.alloc()
				c.id = id
				d.add(slot)
				twin[id] = slot
			}
			if step%16 > 0 {
				continue
			}
			for _, id := range known {
				slot, ok := d.find(id)
				if want, exists := twin[id]; ok != exists || ok && slot != want {
					t.Fatalf("seed %d, step %d: %v is in slot %d, %v, want %d, %v", seed, step, id, slot, ok, want, exists)
				}
			}
			if d.size() != len(twin) {
				t.Fatalf("seed %d, step %d: %d are in, want %d", seed, step, d.size(), len(twin))
			}
		}
	}
}
