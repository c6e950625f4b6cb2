package topic

import (
	"hash/maphash"
	"math/bits"
	"sync"
)

// MaxOwners is how many tables can share one Owners.
const MaxOwners = 1024

// OwnerSet is a set of owners, by number.
type OwnerSet [MaxOwners / 64]uint64

// Add puts an owner, 0 to MaxOwners-1, into the set.
func (s *OwnerSet) Add(owner int) { s[owner/64] |= 1 << (owner % 64) }

// Len returns the number of owners in the set.
func (s *OwnerSet) Len() (n int) {
	for _, w := range s {
		n += bits.OnesCount64(w)
	}
	return n
}

// All yields the owners in rising order.
func (s *OwnerSet) All(yield func(owner int) bool) {
	for i, w := range s {
		for ; w != 0; w &= w - 1 {
			if !yield(i*64 + bits.TrailingZeros64(w)) {
				return
			}
		}
	}
}

// Owners knows which of several tables have subscribers of a topic, so that a message goes only where
// somebody is. A table changes it with the first and the last subscriber that a topic has there. It is
// safe for concurrent use.
//
// It takes 23 to 35 bytes for a topic, whose name it shares with a table; BenchmarkOwners measures it.
type Owners struct {
	seed   maphash.Seed
	shards [256]shard
}

// shard is a part of the topics, so that those who change one seldom meet, and growing takes little.
type shard struct {
	mu sync.RWMutex
	// of has an owner's number for a topic of one owner, which most topics are if they are many, and
	// MaxOwners plus an index into sets for one of several.
	of     index
	sets   []OwnerSet
	vacant []uint32 // indexes into sets, to be used again
}

// NewOwners returns an Owners that knows of no topic.
func NewOwners() *Owners {
	o := &Owners{seed: maphash.MakeSeed()}
	for i := range o.shards {
		o.shards[i].of.seed = maphash.MakeSeed()
	}
	return o
}

func (o *Owners) shard(topic string) *shard {
	return &o.shards[maphash.String(o.seed, topic)%uint64(len(o.shards))]
}

// add notes that an owner, who was none of it, has subscribers of topic. The string is kept.
func (o *Owners) add(topic string, owner int) {
	s := o.shard(topic)
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.of.get(topic)
	switch {
	case !ok:
		s.of.set(topic, uint32(owner))
	case v < MaxOwners:
		i := uint32(len(s.sets))
		if last := len(s.vacant) - 1; last >= 0 {
			i, s.vacant = s.vacant[last], s.vacant[:last]
		} else {
			s.sets = append(s.sets, OwnerSet{})
		}
		s.sets[i].Add(int(v))
		s.sets[i].Add(owner)
		s.of.set(topic, MaxOwners+i)
	default:
		s.sets[v-MaxOwners].Add(owner)
	}
}

// remove undoes add.
func (o *Owners) remove(topic string, owner int) {
	s := o.shard(topic)
	s.mu.Lock()
	defer s.mu.Unlock()
	v, _ := s.of.get(topic)
	if v < MaxOwners {
		s.of.remove(topic)
		return
	}
	set := &s.sets[v-MaxOwners]
	set[owner/64] &^= 1 << (owner % 64)
	if set.Len() > 1 {
		return
	}
	for last := range set.All {
		s.of.set(topic, uint32(last))
	}
	*set = OwnerSet{}
	s.vacant = append(s.vacant, v-MaxOwners)
}

// AddTo adds the owners of topic to set.
func (o *Owners) AddTo(set *OwnerSet, topic string) {
	s := o.shard(topic)
	s.mu.RLock()
	defer s.mu.RUnlock()
	v, ok := s.of.get(topic)
	switch {
	case !ok:
	case v < MaxOwners:
		set.Add(int(v))
	default:
		for i, w := range s.sets[v-MaxOwners] {
			set[i] |= w
		}
	}
}
