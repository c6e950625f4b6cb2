package checker

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A publisher sends four messages to two clients, and each case says what becomes of
// them: the checker has to find what is wrong, and nothing else.
func TestVerdict(t *testing.T) {
	complete, lacksB := Answer{Complete: true}, Answer{Missing: []string{"b"}}
	silent := errors.New("the line is dead")
	for name, c := range map[string]struct {
		answers []Answer
		errs    []error
		a, b    string // numbers of what the clients of a and b got
		settled bool
		want    string // part of the one thing that is wrong; "" for none
	}{
		"all is well":                     {a: "0123", b: "0123", settled: true},
		"incomplete, and not there":       {answers: []Answer{complete, lacksB, complete, complete}, a: "0123", b: "023", settled: true},
		"incomplete, and there":           {answers: []Answer{complete, lacksB, complete, complete}, a: "0123", b: "0123", settled: true},
		"incomplete, and late":            {answers: []Answer{complete, lacksB, complete, complete}, a: "0123", b: "0231", settled: true},
		"no answer":                       {errs: []error{nil, silent, nil, nil}, a: "0123", b: "023", settled: true},
		"complete, and not there":         {a: "0123", b: "013", want: "client 1 of b did not get p 2"},
		"not missing, and not there":      {answers: []Answer{complete, lacksB, complete, complete}, a: "023", b: "023", want: "client 1 of a did not get p 1"},
		"twice":                           {a: "0123", b: "01223", settled: true, want: "client 1 of b got p 2 twice"},
		"twice, without an answer":        {errs: []error{silent, nil, nil, nil}, a: "00123", b: "123", settled: true, want: "client 1 of a got p 0 twice"},
		"out of order":                    {a: "0213", b: "0123", settled: true, want: "client 1 of a got p 1 after 2"},
		"never sent":                      {a: "01237", b: "0123", settled: true, want: "p 7, which was not sent"},
		"neither complete nor incomplete": {answers: []Answer{complete, {}, complete, complete}, a: "0123", b: "0123", settled: true, want: "the answer is complete: false, and misses []"},
		"complete and not":                {answers: []Answer{complete, {Complete: true, Missing: []string{"b"}}, complete, complete}, a: "0123", b: "0123", settled: true, want: "the answer is complete: true, and misses [b]"},
	} {
		t.Run(name, func(t *testing.T) {
			next, sent := 0, make(chan bool, 1)
			k := New(2, func(int, string, string, string) (answer Answer, err error) {
				if next == 4 {
					select {
					case sent <- true:
					default:
					}
					return complete, nil
				}
				answer = complete
				if c.answers != nil {
					answer = c.answers[next]
				}
				if c.errs != nil {
					err = c.errs[next]
				}
				next++
				return answer, err
			})
			logs := []*Client{k.Client("1", "a"), k.Client("1", "b")}
			time.Sleep(time.Millisecond)
			k.Publish(Publisher{Name: "p", Query: "all"})
			<-sent
			k.Stop()
			k.publishers[0].sent = k.publishers[0].sent[:4]
			for i, got := range []string{c.a, c.b} {
				for _, number := range got {
					if !logs[i].Got("p " + string(number)) {
						t.Fatalf("%c is no message", number)
					}
				}
			}
			if k.Settled() != c.settled {
				t.Errorf("settled: %v", !c.settled)
			}
			wrong := k.Wrong()
			if c.want == "" && len(wrong) > 0 || c.want != "" && (len(wrong) != 1 || !strings.Contains(wrong[0], c.want)) {
				t.Errorf("wrong is %q, and should be %q", wrong, c.want)
			}
			unanswered := k.Unanswered()
			if i := slices.Index(c.errs, silent); len(unanswered) != k.Tally().Unanswered || (i >= 0) != (len(unanswered) == 1) ||
				i >= 0 && (!strings.HasPrefix(unanswered[0], "p "+strconv.Itoa(i)+":") || !strings.HasSuffix(unanswered[0], silent.Error())) {
				t.Errorf("unanswered: %q", unanswered)
			}
		})
	}
}

// A client counts from when it came until its node is killed, and what is not for it
// does not count.
func TestComingAndGoing(t *testing.T) {
	first, sent := make(chan bool), make(chan bool, 100)
	k := New(1, func(int, string, string, string) (Answer, error) {
		sent <- true
		<-first
		return Answer{Complete: true}, nil
	})
	early, other := k.Client("early", "a", "news"), k.Client("other", "a", "sport")
	time.Sleep(time.Millisecond)
	k.Publish(Publisher{Name: "p", Query: "topic=news", Pause: 100 * time.Millisecond})
	<-sent
	late := k.Client("late", "a", "news")
	early.Ends()
	close(first)
	k.Stop()
	if !k.Settled() {
		t.Errorf("a message is due to one that came late, has ended, or has another topic: %q", k.Wrong())
	}
	early.Ended(nil)
	late.Ended(errors.New("reset"))
	other.Got("p 0")
	wrong := strings.Join(k.Wrong(), "\n")
	if strings.Count(wrong, "\n") != 1 || !strings.Contains(wrong, "client late of a was cut off: reset") || !strings.Contains(wrong, "client other of a got what p sent, which is not for it") {
		t.Errorf("wrong: %s", wrong)
	}
}

// What was answered before a node's death is due, but for the last moment's.
func TestEnds(t *testing.T) {
	k := New(1, nil)
	l := k.Client("c", "a")
	l.Ends()
	l.since = l.until.Add(-time.Minute)
	for _, c := range []struct {
		before time.Duration
		known  bool
		want   bool
	}{{time.Second, true, true}, {atEnd + time.Millisecond, true, true}, {atEnd / 2, true, false}, {-time.Second, true, false}, {time.Second, false, false}} {
		ended := l.until.Add(-c.before)
		if got := l.due([]try{{began: ended.Add(-time.Millisecond), ended: ended, answer: Answer{Complete: true}, known: c.known}}); got != c.want {
			t.Errorf("answered %v before the end: due: %v", c.before, got)
		}
	}
}

// What was incomplete is repeated until it is not, at one node after the other, and
// what has no key is not.
func TestRepeat(t *testing.T) {
	nodes, calls, sent := map[int]bool{}, 0, make(chan bool, 1)
	k := New(3, func(node int, _, key, _ string) (Answer, error) {
		if key != "" {
			nodes[node] = true
			if calls++; calls == 4 {
				return Answer{Complete: true}, nil
			}
		}
		select {
		case sent <- true:
		default:
		}
		return Answer{Missing: []string{"c"}}, nil
	})
	k.Publish(Publisher{Name: "keyless", Query: "all", Keyless: true, Pause: time.Millisecond})
	<-sent
	k.Stop()
	k.stop = make(chan struct{})
	k.Publish(Publisher{Name: "p", Query: "all", Pause: time.Hour})
	k.publishers[1].sent = []*message{{}}
	k.try(k.publishers[1], 0, 0)
	for left := 1; left > 0; {
		left = k.Repeat()
	}
	k.Stop()
	if calls != 4 || len(nodes) != 3 {
		t.Errorf("%d tries at %d nodes", calls, len(nodes))
	}
	if tally := k.Tally(); tally.Repeats != 3 {
		t.Errorf("tally: %v", tally)
	}
}
