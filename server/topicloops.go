package server

import (
	"hash/maphash"
	"math/bits"
	"sync"

	"wsd/topic"
)

// loopSet is a set of loops, by number.
type loopSet [mostLoops / 64]uint64

// add puts a loop into the set.
func (s *loopSet) add(loop int) { s[loop/64] |= 1 << (loop % 64) }

// len returns how many are in the set.
func (s *loopSet) len() (n int) {
	for _, w := range s {
		n += bits.OnesCount64(w)
	}
	return n
}

// all yields them in rising order.
func (s *loopSet) all(yield func(loop int) bool) {
	for i, w := range s {
		for ; w != 0; w &= w - 1 {
			if !yield(i*64 + bits.TrailingZeros64(w)) {
				return
			}
		}
	}
}

// topicLoops knows which loops have subscribers of a topic, so that a publish wakes
// only those. A loop changes it with the first and the last subscriber that a topic
// has there. It is safe for concurrent use.
//
// It takes 23 to 35 bytes for a topic, whose name it shares with the loop's table;
// BenchmarkTopicLoops measures it.
type topicLoops struct {
	seed   maphash.Seed
	shards [256]shard
	// opened and closed, if set, are called under a shard's lock with a topic that gets
	// its first loop, and one that loses its last.
	opened, closed func(topic string)
}

// shard is a part of the topics, so that loops seldom meet, and growing takes little.
type shard struct {
	mu sync.RWMutex
	// of has the loop's number for a topic of one loop, which most topics are if they
	// are many, and mostLoops plus an index into sets for one of several.
	of     nameIndex
	sets   []loopSet
	vacant []uint32 // indexes into sets, to be used again
}

func newTopicLoops() *topicLoops {
	t := &topicLoops{seed: maphash.MakeSeed()}
	for i := range t.shards {
		t.shards[i].of.seed = maphash.MakeSeed()
	}
	return t
}

// watch has a loop's table tell of its topics.
func (t *topicLoops) watch(table *topic.Table, loop int) {
	table.Opened = func(name string) { t.add(name, loop) }
	table.Closed = func(name string) { t.remove(name, loop) }
}

func (t *topicLoops) shard(topic string) *shard {
	return &t.shards[maphash.String(t.seed, topic)%uint64(len(t.shards))]
}

// add notes that a loop has subscribers of topic, and had none before. The string
// is kept.
func (t *topicLoops) add(topic string, loop int) {
	s := t.shard(topic)
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.of.get(topic)
	switch {
	case !ok:
		s.of.set(topic, uint32(loop))
		if t.opened != nil {
			t.opened(topic)
		}
	case v < mostLoops:
		i := uint32(len(s.sets))
		if last := len(s.vacant) - 1; last >= 0 {
			i, s.vacant = s.vacant[last], s.vacant[:last]
		} else {
			s.sets = append(s.sets, loopSet{})
		}
		s.sets[i].add(int(v))
		s.sets[i].add(loop)
		s.of.set(topic, mostLoops+i)
	default:
		s.sets[v-mostLoops].add(loop)
	}
}

// remove undoes add.
func (t *topicLoops) remove(topic string, loop int) {
	s := t.shard(topic)
	s.mu.Lock()
	defer s.mu.Unlock()
	v, _ := s.of.get(topic)
	if v < mostLoops {
		s.of.remove(topic)
		if t.closed != nil {
			t.closed(topic)
		}
		return
	}
	set := &s.sets[v-mostLoops]
	set[loop/64] &^= 1 << (loop % 64)
	if set.len() > 1 {
		return
	}
	for last := range set.all {
		s.of.set(topic, uint32(last))
	}
	*set = loopSet{}
	s.vacant = append(s.vacant, v-mostLoops)
}

// addTo adds the loops of topic to set.
func (t *topicLoops) addTo(set *loopSet, topic string) {
	s := t.shard(topic)
	s.mu.RLock()
	defer s.mu.RUnlock()
	v, ok := s.of.get(topic)
	switch {
	case !ok:
	case v < mostLoops:
		set.add(int(v))
	default:
		for i, w := range s.sets[v-mostLoops] {
			set[i] |= w
		}
	}
}
