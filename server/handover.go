package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"wsd/handoff"
)

// A live upgrade, as the older process sees it. docs/upgrade.md has the whole:
// who does what when, and what is lost when either process dies.

// Successor is the process that is to take over.
type Successor struct {
	// Link is our end of the channel to it. It stays the caller's.
	Link *Link
	// Kill ends that process, if it still runs, and returns when it is gone for
	// certain: before that, this one must not touch a socket again.
	Kill func()
	// Files are descriptors it gets beside the listeners, by name. They stay
	// the caller's.
	Files map[string]*os.File
	// Hold, if set, is called once the other process is prepared and no pooled
	// action runs, before the loops stop: what the application lets in from elsewhere shall wait from
	// here on. An error calls the whole off.
	Hold func(context.Context) error
	// Extra, if set, is called when Hold has returned. What it returns is the
	// other process's Inheritance.Extra. An error calls the whole off.
	Extra func() ([]byte, error)
	// Cluster, if set, is called when all loops stand still: nothing goes to the other
	// nodes any more. What it returns is the other process's Inheritance.Cluster. An
	// error calls the whole off.
	Cluster func() ([]byte, error)
	// fault, if set, is called at each step, with its name, instead of faultAt:
	// a test's.
	fault func(step string)
}

// Handed tells what was handed over.
type Handed struct {
	// Clients is how many there were, whatever their state.
	Clients int
	// Bytes is the size of their state.
	Bytes int64
	// Pause is the time from the first loop that stood still to the other
	// process's word that it runs.
	Pause time.Duration
	// Version is the other process's.
	Version string
}

// Why a handover does not begin, or what it ended by.
var (
	ErrUnderway = errors.New("a handover is under way")
	errDraining = errors.New("the server is stopping")
	errFormat   = errors.New("the state formats do not fit")
	// ErrSuccessorDied: the other process died after it had begun to serve. Its
	// clients are lost with it.
	ErrSuccessorDied = errors.New("the new process died when it had taken over")
)

// How long the other process may take.
const (
	startTimeout    = 60 * time.Second       // to say hello, and then to be prepared
	takeOverTimeout = 10 * time.Second       // to take over, and
	takeOverEach    = 100 * time.Microsecond // for each client
)

// HandOver gives the listeners and all clients, with their state, to another
// process, and then ends the server without a word to any of them. On an error
// the server serves on, and no client has noticed more than a pause; only
// ErrSuccessorDied means that they are gone.
func (s *Server) HandOver(h Successor) (Handed, error) {
	if !s.handing.CompareAndSwap(false, true) {
		return Handed{}, ErrUnderway
	}
	defer s.handing.Store(false)
	t := &handover{s: s, h: h}
	if t.h.fault == nil {
		t.h.fault = faultAt("old")
	}
	err := t.run()
	return t.done, err
}

// handover is one handover.
type handover struct {
	s    *Server
	h    Successor
	done Handed

	began     time.Time // to stand still
	extra     []byte
	cluster   []byte
	drained   bool
	locked    bool
	barrier   *barrier
	committed bool
}

func (t *handover) fault(step string) { t.h.fault(step) }

func (t *handover) run() error {
	err := t.agree()
	if err == nil {
		err = t.quieten()
	}
	if err == nil {
		err = t.giveAway()
	}
	if err == nil {
		t.leave()
		return nil
	}
	return t.callOff(err)
}

// agree finds out whether the other process can read what this one writes, and
// has it build everything that can be built beforehand. All clients are served
// meanwhile.
func (t *handover) agree() error {
	if !t.s.started.Load() || t.s.draining.Load() {
		return errDraining
	}
	t.fault("started")
	t.h.Link.setTimeout(startTimeout)
	body, _, err := t.h.Link.expect(handoff.MessageHello)
	if err != nil {
		return err
	}
	hello, err := handoff.ReadHello(body)
	if err != nil {
		return err
	}
	t.done.Version = hello.Version
	if ours := handoff.Format(); ours < hello.Oldest || ours > hello.Newest {
		return fmt.Errorf("%w: this process writes %d, the new one (%s) reads %d to %d",
			errFormat, ours, hello.Version, hello.Oldest, hello.Newest)
	}
	t.fault("hello")
	list, err := t.passedFiles()
	if err != nil {
		return err
	}
	if err := t.h.Link.sayWelcome(list); err != nil {
		return err
	}
	t.fault("welcome")
	t.h.Link.setTimeout(startTimeout)
	_, _, err = t.h.Link.expect(handoff.MessagePrepared)
	t.fault("prepared")
	return err
}

// passedFiles are the listeners, and the application's files.
func (t *handover) passedFiles() (list []passedFile, err error) {
	err = t.s.within(turnTimeout, t.s.loops[0], func(l *loop) {
		if a := l.accept; a != nil {
			for i, ln := range a.listeners {
				file := ln.File()
				list = append(list, passedFile{handoff.PassedFile{Name: a.asked[i], Listener: true, Dev: file.Dev, Ino: file.Ino}, ln.Fd()})
			}
		}
	})
	names := make([]string, 0, len(t.h.Files))
	for name := range t.h.Files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		list = append(list, passedFile{handoff.PassedFile{Name: name}, descriptorOf(t.h.Files[name])})
	}
	return list, err
}

// descriptorOf is f.Fd without its side effect: that one makes the descriptor,
// and all its copies, blocking.
func descriptorOf(f *os.File) (fd int) {
	if raw, err := f.SyscallConn(); err == nil {
		_ = raw.Control(func(p uintptr) { fd = int(p) })
	}
	return fd
}

// quieten brings everything to a stand.
func (t *handover) quieten() (err error) {
	t.drained = true
	if err := t.s.drainActions(); err != nil {
		return err
	}
	t.fault("drained")
	if t.h.Hold != nil {
		ctx, cancel := context.WithTimeout(context.Background(), publishTimeout)
		defer cancel()
		if err := t.h.Hold(ctx); err != nil {
			return fmt.Errorf("holding what comes from elsewhere: %w", err)
		}
	}
	if t.h.Extra != nil {
		if t.extra, err = t.h.Extra(); err != nil {
			return err
		}
	}
	t.s.handoverLock.Lock()
	t.locked = true
	if err := t.s.pauseFanout(); err != nil {
		return err
	}
	t.fault("held")
	t.began = time.Now()
	t.barrier, err = t.s.freeze()
	if err == nil && t.h.Cluster != nil {
		t.cluster, err = t.h.Cluster()
	}
	if err == nil {
		t.fault("frozen")
	}
	return err
}

// giveAway writes the state and the sockets down and waits for the word that
// they are in use. Nothing of ours changes here, so that until then we can go
// on as if nothing had been.
func (t *handover) giveAway() error {
	k := t.h.Link
	k.setTimeout(takeOverTimeout + time.Duration(t.s.population.connected.Load())*takeOverEach)
	w := &stateWriter{link: k, extra: t.extra, cluster: t.cluster, fault: func() { t.fault("state") }}
	if err := t.s.writeDown(w); err != nil {
		return err
	}
	t.done.Clients, t.done.Bytes = int(w.end.Clients), w.bytes
	t.fault("sent")
	body, _, err := k.expect(handoff.MessageReady)
	if err != nil {
		return err
	}
	if n, err := handoff.ReadReady(body); err != nil || n != w.end.Clients {
		return fmt.Errorf("the new process has %d clients of %d", n, w.end.Clients)
	}
	t.fault("ready")
	t.committed = true
	if err := k.say(handoff.MessageCommit, nil, nil); err != nil {
		return err
	}
	t.fault("commit")
	if _, _, err = k.expect(handoff.MessageRunning); err != nil {
		return err
	}
	t.done.Pause = time.Since(t.began)
	t.fault("running")
	return nil
}

// leave ends the loops: their clients are served elsewhere.
func (t *handover) leave() {
	t.s.gone = true
	t.barrier.tell(orderDetach)
	t.s.handoverLock.Unlock()
	<-t.s.ended
}

// callOff goes on serving, once the other process cannot touch anything any
// more. If it died after it had said that it runs, it has touched what we have
// the state of: then there is nothing to go on with.
func (t *handover) callOff(err error) error {
	t.h.Link.setTimeout(time.Second)
	_ = t.h.Link.say(handoff.MessageRefused, []byte(err.Error()), nil)
	t.h.Kill()
	if t.committed && t.ran() {
		t.leave()
		return fmt.Errorf("%w: %w", ErrSuccessorDied, err)
	}
	if t.barrier != nil {
		t.barrier.tell(orderThaw)
	}
	if t.locked {
		t.s.handoverLock.Unlock()
	}
	if t.drained {
		t.s.resumeAll()
	}
	return err
}

// ran looks for the word of a process that is dead by now.
func (t *handover) ran() bool {
	t.h.Link.setTimeout(time.Second)
	for {
		what, _, fds, err := t.h.Link.hear()
		closeAll(fds)
		if what == handoff.MessageRunning || err != nil {
			return what == handoff.MessageRunning
		}
	}
}
