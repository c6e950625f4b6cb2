package server

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
)

// TestSubscribedIsReached: who has the answer to a subscription gets every message
// begun from then on, in order and without a gap, up to those that were over when
// it unsubscribed, though only loops that have subscribers are asked; and nothing
// else. Subscriptions come and go beside the publishes, so that loops get their
// first subscriber and lose their last all the time.
func TestSubscribedIsReached(t *testing.T) {
	s := start(t, Config{Loops: 8})
	var begun, over atomic.Int64
	stop := make(chan struct{})
	var publisher, all sync.WaitGroup
	publisher.Go(func() {
		for n := int64(1); ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			begun.Store(n)
			s.publish(Topic("nobody", "all"), strconv.FormatInt(n, 10))
			over.Store(n)
		}
	})
	for i, p := range s.dialMany(12) {
		own := fmt.Sprintf("own%d", i)
		all.Go(func() {
			left := int64(0) // those begun before the last unsubscription was answered may still come
			for range 30 {
				before := over.Load()
				got := p.subscription("subscribe", "all", own)
				from := begun.Load()
				if r := s.publish(Topic(own), "own"); r.Matched != 1 {
					t.Errorf("one is subscribed, %d were reached", r.Matched)
				}
				for len(got) == 0 || got[len(got)-1] <= from {
					if text := p.recv(); text != "own" {
						got = append(got, number(t, text))
					}
				}
				to := over.Load()
				got = append(got, p.subscription("unsubscribe", "all", own)...)
				if r := s.publish(Topic(own), "own"); r != (Result{LastClient: r.LastClient}) {
					t.Errorf("nobody is subscribed, but %+v", r)
				}
				got = slices.DeleteFunc(got, func(n int64) bool { return n <= left })
				left = begun.Load()
				if got[0] <= before || got[0] > from+1 || got[len(got)-1] < to {
					t.Errorf("%d to %d arrived; %d were over before, from %d to %d it was subscribed", got[0], got[len(got)-1], before, from+1, to)
				}
				for k := range got {
					if got[k] != got[0]+int64(k) {
						t.Errorf("%v", got)
						break
					}
				}
				if t.Failed() {
					return
				}
			}
		})
	}
	all.Wait()
	close(stop)
	publisher.Wait()
	if set := s.concerned(Topic("all")); set.len() != 0 {
		t.Errorf("loops %v have subscribers, but there are none", slices.Collect(set.all))
	}
}

// subscription sends a request and returns the numbers that arrive before its answer.
func (p *peer) subscription(action string, topics ...string) (got []int64) {
	p.send(`{"actioncode":"` + action + `","data":{"topics":["` + strings.Join(topics, `","`) + `"]}}`)
	for {
		switch text := p.recv(); {
		case strings.HasPrefix(text, "{"):
			return got
		case text != "own":
			got = append(got, number(p.t, text))
		}
	}
}

func number(t testing.TB, text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Errorf("%q arrived", text)
	}
	return n
}

// TestConcerned: a message is posted where somebody may be whom it is for, and
// nowhere else.
func TestConcerned(t *testing.T) {
	s := start(t, Config{Loops: 8})
	// woken are the loops in whose inbox something is after f, while all stand still.
	inboxes := func(f func()) (woken []int) {
		release, held := make(chan struct{}), make(chan struct{}, len(s.loops))
		for _, l := range s.loops {
			l.post(func(*loop) { held <- struct{}{}; <-release })
		}
		for range s.loops {
			<-held
		}
		f()
		for i, l := range s.loops {
			l.inbox.mu.Lock()
			if len(l.inbox.tasks) > 0 {
				woken = append(woken, i)
			}
			l.inbox.mu.Unlock()
		}
		close(release)
		return woken
	}
	post := func(to Target) []int {
		return inboxes(func() {
			if err := s.Post(to, Message{Data: []byte("m")}); err != nil {
				t.Error(err)
			}
		})
	}
	want := func(name string, got, want []int) {
		t.Helper()
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: loops %v, want %v", name, got, want)
		}
	}
	want("all, and nobody is there", post(All()), nil)
	p := s.dial()
	id := uuid.MustParse(p.id())
	home := s.loopOf(id)
	want("nobody's topic", post(Topic("t")), nil)
	want("all", post(All()), []int{home})
	p.expect("m")
	want("a client", post(Client(id)), []int{home})
	p.expect("m")
	p.ask(`{"actioncode":"subscribe","data":{"topics":["t"]}}`, good(`["t"]`, "subscribe"))
	want("a topic", post(Topic("none", "t")), []int{home})
	p.expect("m")
	other := id
	other[0]++
	want("a client and one who is not here", post(Client(id, other)), sorted(home, s.loopOf(other)))
	p.expect("m")
	p.leave()
	s.closed(ReasonPeer, 1)
	want("a topic that was", post(Topic("t")), nil)
	if st := s.Stats(); st.Publishes != 7 || st.PublishSeconds.Count != 7 {
		t.Errorf("%d publishes, %d times", st.Publishes, st.PublishSeconds.Count)
	}
}

func sorted(a, b int) []int {
	if a > b {
		a, b = b, a
	}
	return []int{a, b}
}
