package server

import "math/bits"

// ring is so many places of a hash table with linear probing, the first one after
// the last.
type ring int

// home is where an entry of that hash is if nobody was there before it.
func (r ring) home(hash uint64) int {
	high, _ := bits.Mul64(hash, uint64(r))
	return int(high)
}

func (r ring) next(place int) int {
	if place++; place == int(r) {
		return 0
	}
	return place
}

// mayMove says whether an entry at place may move up to one that was freed before
// it: not if its home comes after that.
func (r ring) mayMove(home, place, free int) bool {
	return r.distance(home, place) >= r.distance(free, place)
}

// distance is how many steps lead from one place to another.
func (r ring) distance(from, to int) int {
	if to < from {
		to += int(r)
	}
	return to - from
}
