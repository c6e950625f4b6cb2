package auth

import (
	"crypto/sha256"
	"sync"
	"time"
)

// cache has what good tokens claim, by the digest of each: signatures cost some
// hundred times as much. Bad tokens are not in it, for anybody can make any number
// of them.
//
// It is split, so that loops seldom wait for each other. Each shard has two
// generations: what is new or used again goes to the young one, and when that is
// full it becomes the old one, whose place it takes. So what was used lately
// stays, without a list to keep in order.
type cache struct {
	shards [cacheShards]shard
}

// Bounds of a cache. The bytes are an estimate: entryCost for what an entry takes
// in a map, and its subject.
const (
	cacheShards  = 16
	cacheEntries = 64 << 10
	cacheBytes   = 16 << 20
	entryCost    = 184
)

type digest = [sha256.Size]byte

// entry is what a good token claims, and from when on: the clock may be set back.
type entry struct {
	Claims
	from time.Time
}

func (e *entry) good(now time.Time) bool { return !now.Before(e.from) && !e.expired(now) }

type shard struct {
	mu         sync.Mutex
	young, old map[digest]entry
	bytes      int // of young
}

// The digest is as good as random, so its first byte deals evenly.
func (c *cache) shard(d digest) *shard { return &c.shards[d[0]%cacheShards] }

// get does not answer what is not good at the time, and forgets it.
func (c *cache) get(d digest, now time.Time) (Claims, bool) {
	s := c.shard(d)
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.young[d]
	if !ok {
		if e, ok = s.old[d]; !ok {
			return Claims{}, false
		}
		delete(s.old, d)
		s.add(d, e)
	}
	if !e.good(now) {
		delete(s.young, d)
		return Claims{}, false
	}
	return e.Claims, true
}

func (c *cache) put(d digest, e entry) {
	s := c.shard(d)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(d, e)
}

// add counts an entry again that it replaces, or that has been deleted: the
// generation is then full a little early.
func (s *shard) add(d digest, e entry) {
	cost := entryCost + len(e.Subject)
	if s.young == nil || len(s.young) >= cacheEntries/cacheShards/2 || s.bytes+cost > cacheBytes/cacheShards/2 {
		s.old, s.young, s.bytes = s.young, make(map[digest]entry), 0
	}
	s.young[d] = e
	s.bytes += cost
}
