package server

import "hash/maphash"

// nameIndex is a map from names to numbers with less room to spare than Go's: 23 to
// 35 bytes a name, which it shares with whoever gave it. It has linear probing,
// grows by half, and keeps what it has grown to. The zero value is empty, but seed
// has to be set.
type nameIndex struct {
	seed    maphash.Seed
	names   []string // "" is a free place
	numbers []uint32
	used    int
}

// find returns the place of name, or the free one where it belongs. There must be a
// free one.
func (x *nameIndex) find(name string) (place int, ok bool) {
	for place = x.home(name); x.names[place] != ""; place = x.ring().next(place) {
		if x.names[place] == name {
			return place, true
		}
	}
	return place, false
}

func (x *nameIndex) ring() ring { return ring(len(x.names)) }

func (x *nameIndex) home(name string) int { return x.ring().home(maphash.String(x.seed, name)) }

// get returns the number of name.
func (x *nameIndex) get(name string) (number uint32, ok bool) {
	if x.used == 0 {
		return 0, false
	}
	place, ok := x.find(name)
	return x.numbers[place], ok
}

// set gives name, which is not empty, a number. The string is kept if it is new.
func (x *nameIndex) set(name string, number uint32) {
	if x.used >= len(x.names)/8*7 {
		x.grow()
	}
	place, ok := x.find(name)
	if !ok {
		x.used++
		x.names[place] = name
	}
	x.numbers[place] = number
}

func (x *nameIndex) grow() {
	old := *x
	size := max(8, len(old.names)+len(old.names)/2)
	x.names, x.numbers = make([]string, size), make([]uint32, size)
	for i, name := range old.names {
		if name != "" {
			place, _ := x.find(name)
			x.names[place], x.numbers[place] = name, old.numbers[i]
		}
	}
}

// remove forgets name. Those behind it that it had pushed on move up.
func (x *nameIndex) remove(name string) {
	if x.used == 0 {
		return
	}
	free, ok := x.find(name)
	if !ok {
		return
	}
	x.used--
	for place := x.ring().next(free); x.names[place] != ""; place = x.ring().next(place) {
		if x.ring().mayMove(x.home(x.names[place]), place, free) {
			x.names[free], x.numbers[free] = x.names[place], x.numbers[place]
			free = place
		}
	}
	x.names[free], x.numbers[free] = "", 0
}
