package upgrade

import (
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// listen opens the control socket of the test.
func listen(t *testing.T) *Control {
	t.Helper()
	k, err := Listen()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	return k
}

// outcome is what Ask returned.
type outcome struct {
	report Report
	err    error
}

func ask() <-chan outcome {
	c := make(chan outcome, 1)
	go func() {
		r, err := Ask(os.Getpid())
		c <- outcome{r, err}
	}()
	return c
}

// Whoever asks gets the answer to his request, and Close waits until he has it.
func TestControlAnswers(t *testing.T) {
	k := listen(t)
	for _, want := range []Report{
		{Error: "not now"},
		{PID: 7, Version: "v1", Clients: 3, Bytes: 400, Pause: 0.25},
	} {
		answer := ask()
		request := <-k.Requests()
		if want.Error == "" {
			k.Shut() // the next one to ask is the new process's
		}
		request.Answer(want)
		if got := <-answer; got.err != nil || got.report != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	k.Close()
}

// When the socket is shut, whoever waits for his turn gets an error, and so does
// whoever asks from then on. The name is free for another Control.
func TestControlShut(t *testing.T) {
	k := listen(t)
	first := ask()
	request := <-k.Requests()
	second := ask()
	k.Shut()
	request.Answer(Report{PID: 7})
	if got := <-first; got.err != nil || got.report.PID != 7 {
		t.Errorf("the first got %+v", got)
	}
	if got := <-second; got.err == nil {
		t.Errorf("the second got %+v", got)
	}
	if got := <-ask(); got.err == nil {
		t.Errorf("the third got %+v", got)
	}
	k.Close()
	listen(t)
}

// A request that nobody receives any more does not keep Close from its end.
func TestControlCloseWithoutAnswer(t *testing.T) {
	k := listen(t)
	asker, asked := net.Pipe()
	defer asker.Close()
	ended := make(chan struct{})
	go func() {
		k.one(asked)
		close(ended)
	}()
	k.Shut()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Fatal("it waits for an answer")
	}
}

// When Close has returned, the process may end: the answer is on its way.
func TestControlCloseAwaitsAnswer(t *testing.T) {
	k := listen(t)
	c, err := net.Dial("unix", controlName(os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	(<-k.Requests()).Answer(Report{PID: 7})
	k.Close()
	raw, err := c.(*net.UnixConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 100)
	n := 0
	_ = raw.Read(func(fd uintptr) bool {
		n, err = syscall.Read(int(fd), answer) // without waiting, which Go's descriptors do not
		return true
	})
	if err != nil || !strings.Contains(string(answer[:max(n, 0)]), `"pid":7`) {
		t.Errorf("read %q, %v", answer[:max(n, 0)], err)
	}
}

// A process that has no control socket is never asked.
func TestNilControl(t *testing.T) {
	var k *Control
	if k.Requests() != nil {
		t.Error("it has requests")
	}
	k.Shut()
	k.Close()
	var r *Request
	r.Answer(Report{})
}
