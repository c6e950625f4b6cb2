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

// Bounds of a cache. The bytes are an estimate: entryCost for an entry, its place in
// a map and what Config.Make makes of it, and what its claims refer to.
const (
	cacheShards  = 16
	cacheEntries = 64 << 10
	cacheBytes   = 24 << 20
	entryCost    = 416
)

type digest = [sha256.Size]byte

// entry is what a good token claims, and from when on: the clock may be set back.
type entry struct {
	Claims
	from time.Time
}

// newEntry has a token good from the later of two times on, not before and issued, and
// until it expires, with the leeway at both ends.
func newEntry(c Claims, notBefore time.Time, leeway time.Duration) *entry {
	from := notBefore
	if c.Issued.After(from) {
		from = c.Issued
	}
	if !c.Expires.IsZero() {
		c.until = c.Expires.Add(leeway)
	}
	return &entry{c, from.Add(-leeway)}
}

func (e *entry) good(now time.Time) bool { return !now.Before(e.from) && !e.expired(now) }

type shard struct {
	mu         sync.Mutex
	young, old map[digest]*entry // of which nobody changes one
	bytes      int               // of young
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

// put remembers a token that was good by the keys of an epoch, unless these are gone.
func (c *cache) put(d digest, e *entry, epoch uint64) {
	s := c.shard(d)
	s.mu.Lock()
	defer s.mu.Unlock()
	if epoch == c.epoch.Load() {
		s.add(d, e)
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
func (s *shard) add(d digest, e *entry) {
	cost := entryCost + e.size()
	if s.young == nil || len(s.young) >= cacheEntries/cacheShards/2 || s.bytes+cost > cacheBytes/cacheShards/2 {
		s.old, s.young, s.bytes = s.young, make(map[digest]*entry), 0
	}
	s.young[d] = e
	s.bytes += cost
}
