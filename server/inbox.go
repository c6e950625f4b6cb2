package server

import "runtime"

// post has f run by the loop, soon, after everything posted before it. It and giveBack
// are the only ways in for other goroutines, and safe for all of them. It reports
// false, and f will not run, once the loop is over.
//
// The wake-up, a write that cannot block, stays under the lock: outside it the
// loop could end first, and the write go to whoever got the descriptor next.
func (l *loop) post(f func(*loop)) bool {
	l.inbox.mu.Lock()
	defer l.inbox.mu.Unlock()
	if l.inbox.closed {
		return false
	}
	l.inbox.tasks = append(l.inbox.tasks, f)
	l.rouse()
	return true
}

// giveBack is post for a call that has its answer. Answers are taken behind all that
// was posted before.
func (l *loop) giveBack(k *call) bool {
	l.inbox.mu.Lock()
	defer l.inbox.mu.Unlock()
	if l.inbox.closed {
		return false
	}
	l.inbox.answers = append(l.inbox.answers, k)
	l.rouse()
	return true
}

// rouse has the loop look into its inbox, whose lock the caller holds.
func (l *loop) rouse() {
	if !l.inbox.posted && !l.inbox.awake {
		l.inbox.posted = true
		_ = l.poll.Wake() // an eventfd that is full is readable, too
	}
}

// expectAnswers is called before a request is handed to somebody who may answer
// it within this turn.
func (l *loop) expectAnswers() {
	if l.pooled.handed {
		return
	}
	l.pooled.handed = true
	l.inbox.mu.Lock()
	l.inbox.awake = true
	l.inbox.mu.Unlock()
}

// letWork lets those run who got requests in this turn, and takes what they have
// answered by then. They need not wake the loop for that, which costs several times
// what a short handler does. For the others the loop parks when it sleeps next.
func (l *loop) letWork() {
	l.pooled.handed = false
	runtime.Gosched()
	l.takeInbox()
	l.yield = l.yield || l.pooled.waiting > 0
}

// takeInbox runs what was posted. Who posts from here on wakes the loop again.
func (l *loop) takeInbox() {
	in := &l.inbox
	in.mu.Lock()
	tasks, answers := in.tasks, in.answers
	in.tasks, in.answers, in.posted, in.awake = in.spare[:0], in.spareAnswers[:0], false, false
	in.mu.Unlock()
	for i, f := range tasks {
		f(l)
		tasks[i] = nil
		l.yield = true // whoever posted may be waiting for an answer
	}
	for i, k := range answers {
		l.answer(k)
		answers[i] = nil
	}
	in.spare, in.spareAnswers = tasks, answers
	const burst = 1024
	if cap(tasks) > burst {
		in.spare = nil
	}
	if cap(answers) > burst {
		in.spareAnswers = nil
	}
}
