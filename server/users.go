package server

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// users knows, for each user, which loops have clients of theirs, how many, and the
// first of each loop's. It goes by hashes of the names: two users of one hash share
// an entry, so whoever follows it compares names. It is safe for concurrent use, but
// what it says of a loop's clients is that loop's.
//
// It takes 18 to 27 bytes for a user whose clients are in one loop.
type users struct {
	seed   maphash.Seed
	shards [256]userShard
	known  atomic.Int64 // users
}

// userShard is a hash table with linear probing. Hash 0 is a free place.
type userShard struct {
	mu     sync.RWMutex
	hashes []uint64
	where  []userPlace
	used   int
	many   [][]userPlace // places of users with clients in several loops
	vacant []uint32      // indexes into many, to be used again
}

// userPlace says where a user's clients are:
//
//	10 bits loop │ 22 bits how many │ 32 bits slot of the first, plus one
//
// How many is 0 if there are several loops; then the low half is an index into many.
type userPlace uint64

const mostOfUser = 1<<22 - 1 // clients of a user in one loop

func placeOf(loop int, n, head uint32) userPlace {
	return userPlace(loop)<<54 | userPlace(n)<<32 | userPlace(head)
}

func (p userPlace) loop() int    { return int(p >> 54) }
func (p userPlace) n() uint32    { return uint32(p>>32) & mostOfUser }
func (p userPlace) head() uint32 { return uint32(p) }

func newUsers() *users { return &users{seed: maphash.MakeSeed()} }

// hash is what a user goes by, never 0.
func (u *users) hash(name string) uint64 { return max(maphash.String(u.seed, name), 1) }

func (u *users) hashOf(name []byte) uint64 { return max(maphash.Bytes(u.seed, name), 1) }

func (u *users) shard(hash uint64) *userShard { return &u.shards[hash%uint64(len(u.shards))] }

func (s *userShard) ring() ring { return ring(len(s.hashes)) }

// find returns the place of hash, or the free one where it belongs; -1: there is
// no room at all.
func (s *userShard) find(hash uint64) (place int, ok bool) {
	if len(s.hashes) == 0 {
		return -1, false
	}
	for place = s.ring().home(hash); s.hashes[place] != 0; place = s.ring().next(place) {
		if s.hashes[place] == hash {
			return place, true
		}
	}
	return place, false
}

// places are those of a user. The slice is good under the lock.
func (s *userShard) places(hash uint64, buf *[1]userPlace) []userPlace {
	at, ok := s.find(hash)
	if !ok {
		return nil
	}
	if p := s.where[at]; p.n() == 0 {
		return s.many[p.head()]
	}
	buf[0] = s.where[at]
	return buf[:]
}

// enter counts one more client of a user, in a slot of a loop, unless the user has
// limit of them already; limit 0 is none. before is the one that was the loop's
// first, and total how many there are with it.
func (u *users) enter(hash uint64, loop int, slot uint32, limit int) (before uint32, total int, ok bool) {
	s := u.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	var buf [1]userPlace
	list := s.places(hash, &buf)
	i := -1
	for k, p := range list {
		total += int(p.n())
		if p.loop() == loop {
			i = k
		}
	}
	if limit > 0 && total >= limit || i >= 0 && list[i].n() == mostOfUser {
		return 0, total, false
	}
	if list == nil {
		u.known.Add(1)
		s.insert(hash, placeOf(loop, 1, slot+1))
		return 0, 1, true
	}
	if i >= 0 {
		before = list[i].head()
		list[i] = placeOf(loop, list[i].n()+1, slot+1)
	} else {
		list = append(list, placeOf(loop, 1, slot+1))
	}
	s.put(hash, list)
	return before, total + 1, true
}

// leave counts one out. If it was the loop's first, next is who that is now.
func (u *users) leave(hash uint64, loop int, slot, next uint32) {
	s := u.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	var buf [1]userPlace
	list := s.places(hash, &buf)
	for i, p := range list {
		if p.loop() != loop {
			continue
		}
		head := p.head()
		if head == slot+1 {
			head = next
		}
		if p.n() > 1 {
			list[i] = placeOf(loop, p.n()-1, head)
		} else {
			list[i] = list[len(list)-1]
			list = list[:len(list)-1]
		}
		break
	}
	if s.put(hash, list); len(list) == 0 {
		u.known.Add(-1)
	}
}

// put stores where a user's clients are, who is known.
func (s *userShard) put(hash uint64, list []userPlace) {
	at, _ := s.find(hash)
	several := s.where[at].n() == 0
	switch {
	case len(list) > 1 && several:
		s.many[s.where[at].head()] = list
		return
	case len(list) > 1:
		i := uint32(len(s.many))
		if last := len(s.vacant) - 1; last >= 0 {
			i, s.vacant = s.vacant[last], s.vacant[:last]
		} else {
			s.many = append(s.many, nil)
		}
		s.many[i], s.where[at] = append([]userPlace(nil), list...), userPlace(i)
		return
	case several:
		i := s.where[at].head()
		s.many[i], s.vacant = nil, append(s.vacant, i)
	}
	if len(list) == 0 {
		s.remove(at)
		return
	}
	s.where[at] = list[0]
}

func (s *userShard) insert(hash uint64, p userPlace) {
	if s.used >= len(s.hashes)/8*7 {
		hashes, where := s.hashes, s.where
		size := max(8, len(hashes)+len(hashes)/2)
		s.hashes, s.where = make([]uint64, size), make([]userPlace, size)
		for i, h := range hashes {
			if h != 0 {
				at, _ := s.find(h)
				s.hashes[at], s.where[at] = h, where[i]
			}
		}
	}
	at, _ := s.find(hash)
	s.hashes[at], s.where[at] = hash, p
	s.used++
}

// remove frees a place. Those behind it that it had pushed on move up.
func (s *userShard) remove(free int) {
	s.used--
	for at := s.ring().next(free); s.hashes[at] != 0; at = s.ring().next(at) {
		if s.ring().mayMove(s.ring().home(s.hashes[at]), at, free) {
			s.hashes[free], s.where[free] = s.hashes[at], s.where[at]
			free = at
		}
	}
	s.hashes[free], s.where[free] = 0, 0
}

// first is the slot, plus one, of the user's first client in a loop; 0: none.
func (u *users) first(hash uint64, loop int) uint32 {
	s := u.shard(hash)
	s.mu.RLock()
	defer s.mu.RUnlock()
	var buf [1]userPlace
	for _, p := range s.places(hash, &buf) {
		if p.loop() == loop {
			return p.head()
		}
	}
	return 0
}

// addTo adds the loops that have clients of a user to set, and returns how many
// clients those are.
func (u *users) addTo(set *loopSet, hash uint64) (total int) {
	s := u.shard(hash)
	s.mu.RLock()
	defer s.mu.RUnlock()
	var buf [1]userPlace
	for _, p := range s.places(hash, &buf) {
		set.add(p.loop())
		total += int(p.n())
	}
	return total
}
