package bench

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// fanRun publishes the messages of a phase, on a goroutine of its own.
type fanRun struct {
	phase *phaseRun
	pub   *publisher
	base  uint32 // number of the first message
	done  chan struct{}
	ready chan struct{} // closed when all workers have begun the phase

	waiting int // workers that have not; of the coordinator's goroutine

	mu      sync.Mutex
	due     []int64        // when each was due
	left    map[uint32]int // workers that do not have it in full
	arrived chan struct{}  // poked when one has reached everybody
	call    Hist
	failed  int
	err     error // the first failure
}

func (p *phaseRun) startFan(ctx context.Context) *fanRun {
	f := &fanRun{
		phase: p, pub: newPublisher(p.plan, !p.spec.Text), base: p.published + 1,
		done: make(chan struct{}), ready: make(chan struct{}), waiting: len(p.workers), left: make(map[uint32]int), arrived: make(chan struct{}, 1),
	}
	go func() {
		defer close(f.done)
		select {
		case <-f.ready: // a message must not reach a worker before the phase does
		case <-ctx.Done():
			return
		}
		if p.spec.Kind == Publish {
			f.inTurn(ctx)
		} else {
			f.atRate(ctx)
		}
	}()
	return f
}

// inTurn publishes one message after the other: each when the one before has
// reached everybody.
func (f *fanRun) inTurn(ctx context.Context) {
	f.sleepUntil(ctx, f.phase.start)
	for range f.phase.spec.Count {
		if ctx.Err() != nil || f.err != nil {
			return
		}
		n := f.publish(ctx, f.phase.clock.now())
		f.await(ctx, n)
	}
}

// atRate publishes on a schedule, beside the phase's other load.
func (f *fanRun) atRate(ctx context.Context) {
	gap := 1e9 / f.phase.spec.PublishRate
	end := f.phase.start + f.phase.spec.Duration.ns()
	n := f.base
	for k := 0; ; k++ {
		due := f.phase.start + int64(float64(k)*gap)
		if due >= end {
			break
		}
		if f.sleepUntil(ctx, due); ctx.Err() != nil {
			return
		}
		n = f.publish(ctx, due)
	}
	f.sleepUntil(ctx, end)
	f.await(ctx, n)
}

// publish sends the next message, which was due at due, and returns its number.
func (f *fanRun) publish(ctx context.Context, due int64) uint32 {
	f.mu.Lock()
	n := f.base + uint32(len(f.due))
	f.due = append(f.due, due)
	for _, up := range f.phase.upAtStart {
		if up > 0 {
			f.left[n]++
		}
	}
	f.mu.Unlock()
	msg := appendPublish(nil, f.phase.runID, n, due, f.phase.spec.PublishBytes)
	begin := f.phase.clock.now()
	err := f.pub.publish(ctx, msg)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.call.Record(f.phase.clock.now() - begin)
	if err != nil && ctx.Err() == nil {
		f.failed++
		if f.err == nil {
			f.err = err
		}
	}
	return n
}

// await returns when message n has reached everybody, or nobody waits longer.
func (f *fanRun) await(ctx context.Context, n uint32) {
	timeout := time.NewTimer(time.Duration(f.phase.plan.Grace))
	defer timeout.Stop()
	for {
		f.mu.Lock()
		left := f.left[n]
		f.mu.Unlock()
		if left <= 0 {
			return
		}
		select {
		case <-f.arrived:
		case <-timeout.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// began: one more worker has begun the phase.
func (f *fanRun) began() {
	if f.waiting--; f.waiting == 0 {
		close(f.ready)
	}
}

// reached: one worker's clients all have message n.
func (f *fanRun) reached(n uint32) {
	f.mu.Lock()
	f.left[n]--
	f.mu.Unlock()
	select {
	case f.arrived <- struct{}{}:
	default:
	}
}

func (f *fanRun) sleepUntil(ctx context.Context, at int64) {
	select {
	case <-time.After(time.Duration(at - f.phase.clock.now())):
	case <-ctx.Done():
	}
}

// sent is how many messages were published so far.
func (f *fanRun) sent() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.due)
}

// wait returns when the goroutine has ended.
func (f *fanRun) wait() error {
	<-f.done
	if f.failed > 0 {
		return fmt.Errorf("%d of %d publishes failed: %w", f.failed, len(f.due), f.err)
	}
	return nil
}

// report puts together what the workers saw of each message.
func (f *fanRun) report(out *PhaseReport, results []*WorkerResult) {
	var toFirst, toLast Hist
	for i, due := range f.due {
		first, last := int64(0), int64(0)
		for _, r := range results {
			if i < len(r.Publishes) && r.Publishes[i].Count > 0 {
				s := r.Publishes[i]
				if first == 0 || s.First < first {
					first = s.First
				}
				last = max(last, s.Last)
			}
		}
		if last > 0 {
			toFirst.Record(first - due)
			toLast.Record(last - due)
		}
	}
	out.Publishes = uint64(len(f.due))
	out.ToFirst, out.ToLast, out.Call = optional(&toFirst), optional(&toLast), optional(&f.call)
}
