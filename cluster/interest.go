package cluster

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
)

// A topic belongs to a bucket, by its hash. Each node tells the others which buckets
// have a topic with subscribers there, and a publish to topics goes to nodes whose
// bucket is open. So a million topics take no more than the buckets do; a node that has
// another topic of the bucket answers that it has nobody.
//
// NATS does not say when a subscription is known everywhere, so buckets that open are
// acknowledged: the answer to a subscribe waits until all nodes that are there have
// said that they know (Reached). One that does not know a node's buckets, because it has
// just come, or may have missed something, sends it everything.
//
// How many buckets there are is each node's own affair: it tells with its snapshot.
const (
	fewestBuckets = 1 << 16
	mostBuckets   = 1 << 20 // a snapshot has to fit into the smallest max_payload
	// mostChanges bounds a delta, in which a change takes up to three bytes: of more, a
	// snapshot is shorter.
	mostChanges = mostBuckets / 8 / 3
	// closeAfter is how long a bucket without a topic stays open: clients that
	// reconnect close it and open it again.
	closeAfter = 10 * time.Second
)

func bucketOf(topic string, mask uint64) uint32 { return uint32(xxhash.Sum64String(topic) & mask) }

// interest is this node's.
type interest struct {
	kick chan struct{} // holds a token when there is something to say
	sent atomic.Uint64 // version that the others have been told
	// unreached is how many buckets are open that not all others know of.
	unreached atomic.Int64
	mask      uint64 // of the hash: buckets less one; set when it is made

	mu      sync.Mutex
	topics  []uint16 // by bucket; at its most it stays there, and the bucket is open for ever
	open    []uint64 // bitmap of buckets that the others are told to be open
	changes []uint32 // since the last delta: 2·bucket + opened
	closing []closing
	version uint64            // after the last delta
	since   map[uint32]uint64 // version that opens a bucket which not all others know of
	known   uint64            // version that all others knew when somebody looked last
	waiters []waiter          // in the order of their versions
	wanted  []wanted          // snapshots that other nodes want
}

// wanted is a snapshot that a node wants. The number tells it which want was answered.
type wanted struct {
	subject  string
	number   uint64
	numbered bool // older programs do not number them
}

type closing struct {
	bucket uint32
	at     time.Duration
}

type waiter struct {
	version uint64
	until   time.Duration
	done    func()
}

func (i *interest) init(buckets int) {
	i.kick = make(chan struct{}, 1)
	i.mask = uint64(buckets) - 1
	i.topics, i.open = make([]uint16, buckets), make([]uint64, buckets/64)
	i.since = map[uint32]uint64{}
}

func (i *interest) wake() {
	select {
	case i.kick <- struct{}{}:
	default:
	}
}

// mostTopics is as far as a bucket counts.
const mostTopics = 1<<16 - 1

// Opened is server.Cluster's.
func (n *Node) Opened(topic string) {
	n.count.topics.Add(1)
	i := &n.interest
	b := bucketOf(topic, i.mask)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.openLocked(b)
}

// openLocked is for one more topic of a bucket.
func (i *interest) openLocked(b uint32) {
	if i.topics[b] < mostTopics {
		i.topics[b]++
	}
	if i.open[b/64]&(1<<(b%64)) != 0 {
		return
	}
	i.open[b/64] |= 1 << (b % 64)
	i.changes = append(i.changes, 2*b+1)
	i.since[b] = i.version + 1
	i.unreached.Store(int64(len(i.since)))
	i.wake()
}

// Closed is server.Cluster's.
func (n *Node) Closed(topic string) {
	n.count.topics.Add(-1)
	i := &n.interest
	b := bucketOf(topic, i.mask)
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.topics[b] == mostTopics {
		return
	}
	if i.topics[b]--; i.topics[b] == 0 {
		i.closing = append(i.closing, closing{b, n.now() + closeAfter})
	}
}

// Reached is server.Cluster's.
func (n *Node) Reached(topics []string, done func()) bool {
	i := &n.interest
	if i.unreached.Load() == 0 {
		return true
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	version := uint64(0)
	for _, name := range topics {
		version = max(version, i.since[bucketOf(name, i.mask)])
	}
	if version == 0 {
		return true
	}
	i.waiters = append(i.waiters, waiter{version, n.now() + n.cfg.SubscribeWait, done})
	i.wake()
	return false
}

// announce tells the others of buckets that open and close, and those who wait that
// they need not wait any longer. Deltas and snapshots are sent by nobody else, so they
// come in the order of their versions.
func (n *Node) announce() {
	i := &n.interest
	late := time.NewTimer(time.Hour)
	defer late.Stop()
	for {
		select {
		case <-i.kick:
		case <-late.C:
		case <-n.alive().Done():
			n.endWaits(^uint64(0))
			return
		}
		n.announceNow()
		if d := n.endWaits(n.knownVersion()); d > 0 {
			late.Reset(d)
		}
	}
}

func (n *Node) announceNow() {
	i := &n.interest
	i.mu.Lock()
	delta, snapshot, to := i.deltaLocked(n.life), []byte(nil), i.wanted
	if i.wanted = nil; len(to) > 0 {
		snapshot = i.snapshotLocked(n.life)
	}
	version := i.version
	i.mu.Unlock()
	if delta != nil {
		_ = n.send(n.all, delta) // who does not get it sees it by the heartbeat's version
	}
	i.sent.Store(version)
	for _, w := range to {
		body := snapshot
		if w.numbered {
			body = binary.LittleEndian.AppendUint64(slices.Clip(snapshot), w.number)
		}
		_ = n.send(w.subject, body) // it asks again
	}
}

// deltaLocked is nil if nothing has changed. If too much has, it says that it comes after
// itself, which nobody has: the others ask for a snapshot, and send everything till then.
func (i *interest) deltaLocked(life uint64) []byte {
	if len(i.changes) == 0 {
		return nil
	}
	before := i.version
	i.version++
	if len(i.changes) > mostChanges {
		before, i.changes = i.version, nil
	}
	b := binary.LittleEndian.AppendUint64(head(kindDelta), life)
	b = binary.LittleEndian.AppendUint64(b, before)
	b = binary.LittleEndian.AppendUint64(b, i.version)
	for _, change := range i.changes {
		b = binary.AppendUvarint(b, uint64(change))
	}
	i.changes = i.changes[:0]
	if cap(i.changes) > 4096 {
		i.changes = nil // a storm is over
	}
	return b
}

func (i *interest) snapshotLocked(life uint64) []byte {
	b := binary.LittleEndian.AppendUint64(head(kindSnapshot), life)
	b = append(binary.LittleEndian.AppendUint64(b, i.version), byte(bits.Len64(i.mask)))
	for _, w := range i.open {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	return b
}

// knownVersion is the version that all others know who are there. Who is away, or
// moves, does not count: back again it takes this node to want everything.
func (n *Node) knownVersion() uint64 {
	version := n.interest.sent.Load()
	if !n.connected() {
		return version
	}
	for _, p := range n.members.all() {
		if n.standing(p) == fine {
			version = min(version, p.acked.Load())
		}
	}
	return version
}

// endWaits ends those for versions up to known, and those that take too long. It
// returns how long the next one may take, 0 if there is none.
func (n *Node) endWaits(known uint64) time.Duration {
	i, now := &n.interest, n.now()
	i.mu.Lock()
	i.forgetLocked(known)
	var over []waiter
	for len(i.waiters) > 0 && (i.waiters[0].version <= known || i.waiters[0].until <= now) {
		if i.waiters[0].version > known {
			n.count.late.Add(1)
		}
		over = append(over, i.waiters[0])
		i.waiters[0] = waiter{}
		i.waiters = i.waiters[1:]
	}
	next := time.Duration(0)
	if len(i.waiters) > 0 {
		next = max(i.waiters[0].until-now, time.Millisecond)
	}
	i.mu.Unlock()
	for _, w := range over {
		w.done()
	}
	return next
}

// forgetLocked forgets which buckets opened up to version known.
func (i *interest) forgetLocked(known uint64) {
	if known != i.known {
		i.known = known
		for b, version := range i.since {
			if version <= known {
				delete(i.since, b)
			}
		}
	}
	if len(i.since) == 0 {
		i.since = map[uint32]uint64{} // a large one would stay large
	}
	i.unreached.Store(int64(len(i.since)))
}

// closeIdle closes buckets that have had no topic for long enough.
func (n *Node) closeIdle() {
	i, now := &n.interest, n.now()
	i.mu.Lock()
	defer i.mu.Unlock()
	for len(i.closing) > 0 && i.closing[0].at <= now {
		b := i.closing[0].bucket
		if i.closing = i.closing[1:]; len(i.closing) == 0 {
			i.closing = nil
		}
		if i.topics[b] == 0 && i.open[b/64]&(1<<(b%64)) != 0 {
			i.open[b/64] &^= 1 << (b % 64)
			i.changes = append(i.changes, 2*b)
			delete(i.since, b)
		}
	}
	if len(i.changes) > 0 || len(i.waiters) > 0 { // who is waited for may not be there any more
		i.wake()
	}
}
