package server

import (
	"encoding/binary"
	"math"

	"github.com/google/uuid"
)

// directory finds a loop's clients by their ids. It keeps no ids but looks for
// them in the records: 9 to 14 bytes a client, where a map of ids takes 45. Ids
// are random, so their own bytes serve as hash.
type directory struct {
	clients *slab
	// tables grow by themselves, so that no turn has to move more than a small
	// part of a million entries.
	tables [64]idTable
}

// idTable is a hash table with linear probing.
type idTable struct {
	entries []entry
	used    int
}

// entry has the slot of a client, plus one, in its low half; 0 is a free place.
// The high half is of the id: where it differs no record needs a look.
type entry uint64

func (e entry) slot() uint32 { return uint32(e) - 1 }

func entryOf(id *uuid.UUID, slot uint32) entry {
	return entry(binary.LittleEndian.Uint32(id[2:]))<<32 | entry(slot+1)
}

// matches says whether an entry may be that of an id.
func (e entry) matches(id *uuid.UUID) bool {
	return uint32(e>>32) == binary.LittleEndian.Uint32(id[2:])
}

// newDirectory makes one for the clients of a slab, with room for so many: ids are
// random, so a table has its share and, hardly ever, four deviations more.
func newDirectory(clients *slab, room int) *directory {
	d := &directory{clients: clients}
	share := float64(room) / float64(len(d.tables))
	for i := range d.tables {
		d.tables[i].entries = make([]entry, int(share+4*math.Sqrt(share))/7*8+16)
	}
	return d
}

// table and home use other bytes than loopOf, whose are the same, nearly, for all
// clients of a loop.
func (d *directory) table(id *uuid.UUID) *idTable { return &d.tables[int(id[2])%len(d.tables)] }

func (t *idTable) home(id *uuid.UUID) int { return t.ring().home(binary.LittleEndian.Uint64(id[8:])) }

func (t *idTable) ring() ring { return ring(len(t.entries)) }

// place returns where id is in its table, or the free place where its search ends.
func (d *directory) place(t *idTable, id *uuid.UUID) (place int, ok bool) {
	for place = t.home(id); t.entries[place] != 0; place = t.ring().next(place) {
		if e := t.entries[place]; e.matches(id) && d.clients.at(e.slot()).id == *id {
			return place, true
		}
	}
	return place, false
}

// find returns the slot of the client with an id.
func (d *directory) find(id uuid.UUID) (slot uint32, ok bool) {
	t := d.table(&id)
	place, ok := d.place(t, &id)
	return t.entries[place].slot(), ok
}

// add enters a client, whose id is set and stays so until remove.
func (d *directory) add(slot uint32) {
	t := d.table(&d.clients.at(slot).id)
	if t.used >= len(t.entries)/8*7 {
		d.grow(t)
	}
	t.used++
	d.put(t, slot)
}

func (d *directory) put(t *idTable, slot uint32) {
	id := &d.clients.at(slot).id
	place, _ := d.place(t, id)
	t.entries[place] = entryOf(id, slot)
}

// grow makes a table half as large again.
func (d *directory) grow(t *idTable) {
	old := t.entries
	t.entries = make([]entry, len(old)+len(old)/2)
	for _, e := range old {
		if e != 0 {
			d.put(t, e.slot())
		}
	}
}

// remove takes a client out, if it is in. Those behind it that had to give way to
// it move up.
func (d *directory) remove(id uuid.UUID) {
	t := d.table(&id)
	free, ok := d.place(t, &id)
	if !ok {
		return
	}
	t.used--
	for place := t.ring().next(free); t.entries[place] != 0; place = t.ring().next(place) {
		home := t.home(&d.clients.at(t.entries[place].slot()).id)
		if t.ring().mayMove(home, place, free) {
			t.entries[free] = t.entries[place]
			free = place
		}
	}
	t.entries[free] = 0
}

// size is how many clients are in.
func (d *directory) size() (n int) {
	for i := range d.tables {
		n += d.tables[i].used
	}
	return n
}
