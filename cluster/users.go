package cluster

import (
	"context"
	"encoding/binary"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/google/uuid"
)

// How many clients a user may have is held over all nodes without a register of who
// is where: whoever takes a newcomer of a user in asks the others how many they have.
// The newcomer counts at its node before that, so of two that come at the same moment
// at two nodes one at least is seen.
//
// With RefuseNew the handshake waits for the answers (CountUser). With CloseOldest it
// does not: if there are too many, the oldest of all is looked for and closed, again
// and again until there are not (ThinUser). For each user one node does that, the same
// for all: two at a time, which do not see the ages alike, could close each other's and
// leave none. Both cost who has no such limit nothing.
//
// A node that does not answer within Config.SubscribeWait is left out, and that is
// counted: its clients of the user may be too many until the user comes again.

const (
	// usersAt is how many users are asked for in one question, and userBytes how many
	// bytes their names may have.
	usersAt   = 1000
	userBytes = 64 << 10
	// countsAt is how many such questions are under way at a time: one as soon as
	// there is a user, and a second when it is a crowd. thinsAt is for how many users a
	// node looks for the oldest client.
	countsAt = 2
	thinsAt  = 8
	// usersWaiting bounds how many users wait for either. Who comes then is not counted
	// elsewhere.
	usersWaiting = 1 << 16
	// thinRounds is how many clients of a user are closed for one newcomer.
	thinRounds = 64
)

// counting is a user whose clients at other nodes are to be counted.
type counting struct {
	user string
	done func(elsewhere int)
}

// thinning is a user who has too many clients.
type thinning struct {
	user  string
	limit int
	asked bool // by another node: it is not passed on
}

// crew does what is put to it on goroutines that end when there is nothing left.
type crew[T any] struct {
	mu      sync.Mutex
	waiting []T
	working int
}

// put has work done for x, by up to so many goroutines. Each takes as many of those
// that wait as take says. It reports false if too many wait.
func (c *crew[T]) put(x T, goroutines int, take func([]T) int, work func([]T)) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) >= usersWaiting {
		return false
	}
	c.waiting = append(c.waiting, x)
	if c.working == 0 || c.working < goroutines && take(c.waiting) < len(c.waiting) {
		c.working++
		go c.run(take, work)
	}
	return true
}

func (c *crew[T]) run(take func([]T) int, work func([]T)) {
	for {
		c.mu.Lock()
		if len(c.waiting) == 0 {
			c.working--
			c.waiting = nil
			c.mu.Unlock()
			return
		}
		k := take(c.waiting)
		some := c.waiting[:k:k]
		c.waiting = c.waiting[k:]
		c.mu.Unlock()
		work(some)
	}
}

// CountUser is server.Cluster's.
func (n *Node) CountUser(user string, done func(elsewhere int)) bool {
	if len(n.members.all()) == 0 {
		return false
	}
	if !n.counting.put(counting{user, done}, countsAt, fitting, n.countUsers) {
		n.count.uncounted.Add(1)
		return false
	}
	return true
}

// fitting is how many users fit into one question: one at least.
func fitting(list []counting) int {
	size := 0
	for i := range list {
		if size += len(list[i].user); i == usersAt || i > 0 && size > userBytes {
			return i
		}
	}
	return len(list)
}

// countUsers asks all other nodes for some users at once.
func (n *Node) countUsers(list []counting) {
	names := make([]string, len(list))
	for i := range list {
		names[i] = list[i].user
	}
	answers, o := n.ask(n.alive(), n.members.all(), question{What: askUsers, Users: names}, n.cfg.SubscribeWait)
	answers = o.failures(answers)
	sums := make([]int, len(list))
	for _, r := range answers {
		for i := range min(len(r.Counts), len(sums)) {
			sums[i] += r.Counts[i]
		}
	}
	if len(o.missing) > 0 {
		n.count.uncounted.Add(uint64(len(list)))
	}
	for i := range list {
		list[i].done(sums[i])
	}
}

// userCounts is the answer to such a question.
func (n *Node) userCounts(names []string) []int {
	counts := make([]int, len(names))
	for i, name := range names {
		counts[i] = n.server.UserCount(name)
	}
	return counts
}

// ThinUser is server.Cluster's.
func (n *Node) ThinUser(user string, limit int) {
	n.CountUser(user, func(elsewhere int) {
		if elsewhere == 0 || elsewhere+n.server.UserCount(user) <= limit {
			return
		}
		n.thin(thinning{user: user, limit: limit})
	})
}

// thinnerOf is the node that looks for the oldest client of a user; nil: this one.
func (n *Node) thinnerOf(user string) (first *peer) {
	score := func(life uint64) uint64 {
		return xxhash.Sum64(append(binary.LittleEndian.AppendUint64(nil, life), user...))
	}
	most := score(n.life)
	for _, p := range n.members.all() {
		if s := score(p.life); s > most && n.standing(p) == fine {
			first, most = p, s
		}
	}
	return first
}

// thin closes the oldest clients of a user, one after the other, or has that done. What
// is for one user is done one after the other, too.
func (n *Node) thin(t thinning) {
	c := &n.thinning[xxhash.Sum64String(t.user)%thinsAt]
	if !c.put(t, 1, func(list []thinning) int { return len(list) }, n.thinUsers) {
		n.count.uncounted.Add(1)
	}
}

func (n *Node) thinUsers(list []thinning) {
	for _, t := range list {
		if !t.asked && n.passOn(t) {
			continue
		}
		for range thinRounds {
			if !n.thinOnce(n.alive(), t.user, t.limit) {
				break
			}
		}
	}
}

// passOn has the node do it whose user that is. It reports false if that is this one,
// or does not answer.
func (n *Node) passOn(t thinning) bool {
	p := n.thinnerOf(t.user)
	if p == nil {
		return false
	}
	answers, _ := n.ask(n.alive(), []*peer{p}, question{What: askThin, User: t.user, Limit: t.limit}, n.cfg.SubscribeWait)
	return len(answers) > 0 && answers[0].Error == ""
}

// oldest is the client of a user that came first to a node.
type oldest struct {
	Client uuid.UUID     `json:"client"`
	Age    time.Duration `json:"age_ns"`
}

// thinOnce closes the oldest client of a user who has more than limit at all nodes
// together, and reports whether there may be another one to close.
func (n *Node) thinOnce(ctx context.Context, user string, limit int) bool {
	answers, o := n.ask(ctx, n.members.all(), question{What: askOldest, User: user}, n.cfg.SubscribeWait)
	answers = o.failures(answers)
	total := n.server.UserCount(user)
	first, at := n.oldestHere(ctx, user), (*peer)(nil)
	for _, r := range answers {
		total += r.Count
		if r.Oldest != nil && (first == nil || r.Oldest.Age > first.Age) {
			first, at = r.Oldest, r.peer
		}
	}
	switch {
	case total <= limit || first == nil:
		return false
	case at == nil:
		return n.server.Displace(ctx, first.Client)
	}
	answers, _ = n.ask(ctx, []*peer{at}, question{What: askDisplace, Client: first.Client}, askWithin)
	return len(answers) > 0 && answers[0].Error == ""
}

func (n *Node) oldestHere(ctx context.Context, user string) *oldest {
	id, age, ok, err := n.server.OldestOfUser(ctx, user)
	if !ok || err != nil {
		return nil
	}
	return &oldest{id, age}
}
