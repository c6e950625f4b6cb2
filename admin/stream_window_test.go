package admin

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"wsd/server"
)

// Lines for few clients are under way at once, in order; whatever order they end
// in, the answers come in that of the lines, each as soon as it may.
func TestStreamPipelines(t *testing.T) {
	f := &pipe{results: make(chan chan server.Result, 1000)}
	base := start(t, f, nil)
	lines, answers := dialogue(t, base, "")
	defer lines.Close()
	hear := func(n int) {
		t.Helper()
		answer, err := answers.ReadString('\n')
		if want := fmt.Sprintf(`{"line":%d,"matched":%d,`, n, n); err != nil || !strings.HasPrefix(answer, want) {
			t.Fatalf("%q %v, want %s", answer, err, want)
		}
	}
	n := 0
	for ; n < 50; n++ { // one at a time, until it is known how few they are for
		fmt.Fprintln(lines, `{"topic":"t","text":"x"}`)
		<-f.results <- server.Result{Matched: n + 1}
		hear(n + 1)
	}
	go func() {
		for range 3 * windowLines {
			_, _ = io.WriteString(lines, `{"topic":"t","text":"x"}`+"\n")
		}
	}()
	for range 3 {
		var under []chan server.Result
		for range windowLines {
			under = append(under, <-f.results)
		}
		for k := range under { // the last first
			k = len(under) - 1 - k
			under[k] <- server.Result{Matched: n + 1 + k}
		}
		for range under {
			n++
			hear(n)
		}
	}
}

// pipe is a fake whose publishes end when, and as, they are told to.
type pipe struct {
	fake
	results chan chan server.Result
}

func (p *pipe) Begin(context.Context, server.Target, server.Message) (server.Outcome, error) {
	told := make(pipeOutcome, 1)
	p.results <- told
	return told, nil
}

// pipeOutcome has the result once it was told. It is put back: it may be asked again.
type pipeOutcome chan server.Result

func (o pipeOutcome) Wait(ctx context.Context) (server.Result, error) {
	select {
	case r := <-o:
		o <- r
		return r, nil
	case <-ctx.Done():
		return server.Result{}, ctx.Err()
	}
}

func (o pipeOutcome) Poll() (server.Result, bool, error) {
	select {
	case r := <-o:
		o <- r
		return r, true, nil
	default:
		return server.Result{}, false, nil
	}
}

// A publisher that is faster than the server is held back: the server does not
// read on, and what it holds stays small.
func TestStreamHoldsBack(t *testing.T) {
	f := &fake{hold: make(chan struct{})}
	base := start(t, f, nil)
	lines, answers := dialogue(t, base, "")
	text := `{"all":true,"text":"` + strings.Repeat("x", 64<<10) + `"}` + "\n"
	const total = 500
	go func() {
		for range total {
			if _, err := io.WriteString(lines, text); err != nil {
				break
			}
		}
		lines.Close()
	}()
	until(t, func() bool { return blocked("sync.Cond.Wait", "(*window).enter") == 1 }) // and reads no further line
	// Two, not more: nobody knows yet how many clients a line is for.
	if n := len(f.published()); n != 2 {
		t.Errorf("%d were published before the first was done", n)
	}
	close(f.hold)
	n := 0
	for {
		answer, err := answers.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(answer, `{"summary"`) {
			break
		}
		n++
	}
	if n != total {
		t.Errorf("%d answers to %d lines", n, total)
	}
}
