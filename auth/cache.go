package auth

import (
	"crypto/sha256"
	"sync"
	"sync/atomic"
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
	epoch  atomic.Uint64 // of the keys that the tokens in it are good by
	shards [cacheShards]shard
}

// Bounds of a cache. The bytes are an estimate: entryCost for what an entry takes
// in a map, and what its claims refer to.
const (
	cacheShards  = 16
	cacheEntries = 64 << 10
	cacheBytes   = 16 << 20
	entryCost    = 280
)

type digest = [sha256.Size]byte

type shard struct {
	mu         sync.Mutex
	young, old map[digest]Claims
	bytes      int // of young
}

// The digest is as good as random, so its first byte deals evenly.
func (c *cache) shard(d digest) *shard { return &c.shards[d[0]%cacheShards] }

// get does not answer what has expired, and forgets it.
func (c *cache) get(d digest, now time.Time) (Claims, bool) {
	s := c.shard(d)
	s.mu.Lock()
	defer s.mu.Unlock()
	claims, ok := s.young[d]
	if !ok {
		if claims, ok = s.old[d]; !ok {
			return Claims{}, false
		}
		delete(s.old, d)
		s.add(d, claims)
	}
	if claims.expired(now) {
		delete(s.young, d)
		return Claims{}, false
	}
	return claims, true
}

// put remembers a token that was good by the keys of an epoch, unless these are gone.
func (c *cache) put(d digest, claims Claims, epoch uint64) {
	s := c.shard(d)
	s.mu.Lock()
	defer s.mu.Unlock()
	if epoch == c.epoch.Load() {
		s.add(d, claims)
	}
}

// reset forgets all tokens, and those that are being looked at. It begins an epoch.
func (c *cache) reset() (epoch uint64) {
	epoch = c.epoch.Add(1)
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		s.young, s.old, s.bytes = nil, nil, 0
		s.mu.Unlock()
	}
	return epoch
}

// add counts an entry again that it replaces, or that has been deleted: the
// generation is then full a little early.
func (s *shard) add(d digest, claims Claims) {
	cost := entryCost + claims.size()
	if s.young == nil || len(s.young) >= cacheEntries/cacheShards/2 || s.bytes+cost > cacheBytes/cacheShards/2 {
		s.old, s.young, s.bytes = s.young, make(map[digest]Claims), 0
	}
	s.young[d] = claims
	s.bytes += cost
}
