package server

import (
	"context"
	"errors"
	"sync/atomic"
)

// backlog bounds the publishes whose walks have not ended: each holds its
// frame, and a walk in every loop. It is safe for concurrent use.
type backlog struct {
	most    int64        // bytes that may be under way: publishBytes, or the account's share
	count   atomic.Int64 // publishes under way
	bytes   atomic.Int64 // of their frames
	fanned  atomic.Int64 // clients that fan-outs under way are for, at most
	refused atomic.Uint64
	room    chan struct{} // holds a token when there may be room again
}

// The bounds. One message larger than publishBytes, or than the account's share,
// may be under way alone.
const (
	publishesAtOnce = 4096
	publishBytes    = 256 << 20
	// fanOutsAtOnce bounds the deliveries under way that clients may add to, and
	// fannedAtOnce the clients that theirs are for, each once per message: half a
	// second's work, for which a handover waits. At either the answer is code 10.
	fanOutsAtOnce = 1024
	fannedAtOnce  = 1 << 16
)

// Why a message is not published.
var (
	// ErrBacklog is returned by Post while 4,096 publishes, or 256 MiB of them
	// or a quarter of Config.PendingTotal, are under way: wait for some to end, or use Publish, which does.
	ErrBacklog = errors.New("too many publishes under way")
	// ErrTooLarge is returned for a message of more than 1 GiB.
	ErrTooLarge = errors.New("a message may have 1 GiB at most")
)

// add counts a fan-out in, whatever the bounds.
func (b *backlog) add(size, fan int) {
	b.count.Add(1)
	b.bytes.Add(int64(size))
	b.fanned.Add(int64(fan))
}

// try counts a publish in if there is room for it.
func (b *backlog) try(size int) bool {
	// Added first and looked at then, so that of several who come for the last
	// place no two get it.
	n, sum := b.count.Add(1), b.bytes.Add(int64(size))
	if n == 1 || n <= publishesAtOnce && sum <= b.most {
		return true
	}
	b.count.Add(-1)
	b.bytes.Add(-int64(size))
	return false
}

// enter counts a publish in, and waits for room until ctx is done.
func (b *backlog) enter(ctx context.Context, ended <-chan struct{}, size int) error {
	for !b.try(size) {
		select {
		case <-b.room:
		case <-ctx.Done():
			return ctx.Err()
		case <-ended:
			return ErrStopped
		}
	}
	b.tell() // there may be room for the next who waits as well
	return nil
}

// leave counts a publish out; fan is 0 if it was no client's.
func (b *backlog) leave(size, fan int) {
	b.count.Add(-1)
	b.bytes.Add(-int64(size))
	b.fanned.Add(-int64(fan))
	b.tell()
}

func (b *backlog) tell() {
	select {
	case b.room <- struct{}{}:
	default: // whoever takes the token that is there will look
	}
}

// full says whether clients that address others are to be told "busy".
func (b *backlog) full() bool {
	return b.count.Load() >= fanOutsAtOnce || b.bytes.Load() >= b.most || b.fanned.Load() >= fannedAtOnce
}
