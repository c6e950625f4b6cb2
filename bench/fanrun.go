package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"wsd/bench/report"
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
	due     []int64          // when each was due
	left    map[uint32][]int // workers that do not have it in full
	lost    map[int]bool
	arrived chan struct{} // poked when one has reached everybody
	last    int64         // when a delivery was last heard of
	call    report.Hist
	failed  int
	err     error // the first failure
}

func (p *phaseRun) startFan(ctx context.Context) *fanRun {
	f := &fanRun{
		phase: p, pub: p.pub, base: p.published + 1,
		done: make(chan struct{}), ready: make(chan struct{}), waiting: p.present(), left: make(map[uint32][]int), lost: make(map[int]bool), arrived: make(chan struct{}, 1),
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
		if ctx.Err() != nil || f.err != nil || f.overtime() {
			return
		}
		n := f.publish(ctx, f.phase.clock.now())
		f.await(ctx, n)
	}
}

// overtime says whether a phase that has a bound is beyond it.
func (f *fanRun) overtime() bool {
	bound := f.phase.spec.Duration.ns()
	return f.phase.spec.Kind == Publish && bound > 0 && f.phase.clock.now() >= f.phase.start+bound
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
	for i, up := range f.phase.upAtStart {
		if up > 0 && !f.lost[i] {
			f.left[n] = append(f.left[n], i)
		}
	}
	f.mu.Unlock()
	msg := appendPublish(nil, f.phase.runID, n, due, f.phase.spec.PublishBytes)
	begin := f.phase.clock.now()
	call, cancel := f.bounded(ctx)
	err := f.pub.publish(call, msg, f.phase.spec.Text)
	if err != nil && context.Cause(call) == errCall {
		err = fmt.Errorf("publish: %w", errCall)
	}
	cancel()
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

// await returns when message n has reached everybody, or nobody waits longer:
// that is until no delivery has come for as long as late answers are waited for.
func (f *fanRun) await(ctx context.Context, n uint32) {
	began := f.phase.clock.now()
	for {
		f.mu.Lock()
		left := len(f.left[n])
		f.mu.Unlock()
		quiet := f.quietFor(began, max(time.Duration(f.phase.plan.Grace), 3*time.Duration(arrivalEvery)))
		if left == 0 || quiet <= 0 || f.overtime() {
			return
		}
		select {
		case <-f.arrived:
		case <-time.After(min(quiet, time.Second)):
		case <-ctx.Done():
			return
		}
	}
}

// quietFor is how much of limit is left, which runs from began or from the last
// delivery.
func (f *fanRun) quietFor(began int64, limit time.Duration) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return limit - time.Duration(f.phase.clock.now()-max(began, f.last))
}

// callTimeout is how long a publish call may go on while nothing is delivered: a
// server that answers when all have the message takes as long as that takes.
const callTimeout = 30 * time.Second

var errCall = errors.New("no answer, and nothing delivered, for so long that it was given up")

// bounded is a context for one publish call.
func (f *fanRun) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	began := f.phase.clock.now()
	go func() {
		for {
			quiet := f.quietFor(began, cmp.Or(f.phase.opt.callTimeout, callTimeout))
			if quiet <= 0 {
				cancel(errCall)
				return
			}
			select {
			case <-time.After(quiet):
			case <-ctx.Done():
				return
			}
		}
	}()
	return ctx, func() { cancel(nil) }
}

// began: one more worker has begun the phase.
func (f *fanRun) began() {
	if f.waiting--; f.waiting == 0 {
		close(f.ready)
	}
}

// lose: nobody waits for a worker any more. hasBegun says whether it has begun the
// phase.
func (f *fanRun) lose(worker int, hasBegun bool) {
	f.mu.Lock()
	f.lost[worker] = true
	for n := range f.left {
		f.without(n, worker)
	}
	f.mu.Unlock()
	if !hasBegun {
		f.began()
	}
	f.poke()
}

// without takes a worker off those that a message has yet to reach; mu is held.
func (f *fanRun) without(n uint32, worker int) {
	rest := slices.DeleteFunc(f.left[n], func(i int) bool { return i == worker })
	if f.left[n] = rest; len(rest) == 0 {
		delete(f.left, n)
	}
}

// reached: one worker's clients all have a message, or more of them than before.
func (f *fanRun) reached(worker int, ev *fanEvent) {
	f.mu.Lock()
	f.last = f.phase.clock.now()
	if ev.Count > 0 {
		f.without(ev.Number, worker)
	}
	f.mu.Unlock()
	f.poke()
}

func (f *fanRun) poke() {
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
func (f *fanRun) report(out *report.Phase, results []*WorkerResult) {
	var toFirst, toLast report.Hist
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
