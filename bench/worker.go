package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"

	"wsd/netpoll"
)

// worker is an engine somewhere: here or in a process of its own.
type worker interface {
	post(command)
	// wait returns when the worker has ended, after quit was posted.
	wait() error
}

// localWorker is an engine in this process.
type localWorker struct {
	engine *engine
	ended  chan error
}

func startLocal(part Part, emit func(event)) (*localWorker, error) {
	e, err := newEngine(part, emit)
	if err != nil {
		return nil, err
	}
	w := &localWorker{engine: e, ended: make(chan error, 1)}
	emit(event{Ready: &readyEvent{RSS: residentSelf()}})
	go func() {
		err := e.runLocked()
		if err != nil {
			emit(event{Error: err.Error()})
		}
		w.ended <- err
	}()
	return w, nil
}

// runLocked is run on a thread of its own, with timers that keep their time.
func (e *engine) runLocked() error {
	runtime.LockOSThread()
	if err := netpoll.FineTimers(); err != nil {
		return err
	}
	return e.run()
}

func (w *localWorker) post(c command) { w.engine.post(c) }
func (w *localWorker) wait() error    { return <-w.ended }

// remoteWorker is an engine in a process of its own.
type remoteWorker struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	mu  sync.Mutex
	enc *json.Encoder
}

func startRemote(cmd *exec.Cmd, part Part, emit func(event)) (*remoteWorker, error) {
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("worker %d: %w", part.Index, err)
	}
	w := &remoteWorker{cmd: cmd, in: in, enc: json.NewEncoder(in)}
	go func() {
		dec := json.NewDecoder(out)
		for {
			var ev event
			if err := dec.Decode(&ev); err != nil {
				emit(event{Error: fmt.Sprintf("worker %d ended: %v", part.Index, err)})
				return
			}
			emit(ev)
		}
	}()
	if err := w.enc.Encode(part); err != nil {
		return w, fmt.Errorf("worker %d does not listen: %w", part.Index, err)
	}
	return w, nil
}

func (w *remoteWorker) post(c command) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.enc.Encode(c) // one that is gone has said so by an event
}

func (w *remoteWorker) wait() error {
	w.in.Close()
	return w.cmd.Wait()
}

// Work is the main function of a worker process: it reads its part and its
// commands from in and writes its events to out, until it is told to quit or in
// ends, as it does when the coordinator is gone.
func Work(in io.Reader, out io.Writer) error {
	dec := json.NewDecoder(in)
	var part Part
	if err := dec.Decode(&part); err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	var mu sync.Mutex
	enc := json.NewEncoder(out)
	emit := func(ev event) {
		mu.Lock()
		defer mu.Unlock()
		enc.Encode(ev)
	}
	w, err := startLocal(part, emit)
	if err != nil {
		emit(event{Error: err.Error()})
		return err
	}
	go obey(dec, w)
	return w.wait()
}

func obey(dec *json.Decoder, w *localWorker) {
	for {
		var c command
		if err := dec.Decode(&c); err != nil {
			c = command{Quit: true}
			if !errors.Is(err, io.EOF) {
				fmt.Fprintln(os.Stderr, "worker:", err)
			}
		}
		w.post(c)
		if c.Quit {
			return
		}
	}
}
