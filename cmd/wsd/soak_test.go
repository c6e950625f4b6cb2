package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"wsd/server"
)

// The soak: the program under all that clients and publishers do to it, good and
// bad, with live upgrades, at random from a seed. Members (soak_member_test.go)
// are connected all the while and must not notice anything: each publish comes
// once and in order, each heartbeat is answered, nobody is closed. Visitors
// (soak_visit_test.go) come and go, each in a way whose end the generator knows.
// Strangers (soak_stranger_test.go) do anything. Publishers
// (soak_publish_test.go) use each way there is to publish.
//
// In the end the server's counters are held against the generator's own
// (soak_tally_test.go), and what the process takes must not have grown
// (soak_samples_test.go, soak_verdict_test.go).
//
//	make soak HOURS=0.5 SEED=7

// soakPlan is how much of what there is, for the length of a run.
type soakPlan struct {
	length    time.Duration
	members   int
	visitors  int           // under way at a time
	strangers int           // at a time
	storm     int           // visitors that come at once
	think     time.Duration // longest pause of a visitor, stranger or publisher before the next
	beat      time.Duration // between two heartbeats of a member
	sample    time.Duration // between two samples
	upgrades  time.Duration // mean time between two upgrades
	storms    time.Duration // mean time between two storms
}

// soakFor keeps a long run well below one processor, and a short one busy: the
// shortest is for every run of the tests.
func soakFor(length time.Duration) soakPlan {
	p := soakPlan{length: length, members: 60, visitors: 24, strangers: 6, storm: 60, think: 40 * time.Millisecond, beat: 250 * time.Millisecond,
		sample: 500 * time.Millisecond, upgrades: length / 30, storms: length / 8}
	if length >= 5*time.Minute {
		p.members, p.storm, p.think, p.beat = 300, 300, 400*time.Millisecond, 2*time.Second
		p.sample, p.upgrades, p.storms = length/360, 15*time.Second, 20*time.Second
	}
	return p
}

// soakFlags make each limit one that a visitor can reach within seconds, and that
// nobody else reaches because the machine is busy.
var soakFlags = []string{"--handshake-timeout=5s", "--first-message-timeout=5s", "--message-timeout=5s", "--idle-timeout=6s", "--pong-timeout=5s",
	"--close-timeout=2s", "--pending-age=5s", "--pending-limit=1MiB", "--notsent-lowat=4KiB", "--idempotency-keys=1000",
	fmt.Sprintf("--max-per-address=%d", soakPerAddress)}

// soak is a run.
type soak struct {
	t        *testing.T
	plan     soakPlan
	seed     uint64
	l        *lineage // of the goroutine of the test
	members  []*member
	sources  []*source
	client   *http.Client
	tally    *tally
	samples  []sample
	began    time.Time
	upgraded []time.Duration // when
	turn     time.Duration   // when the second half began
	report   strings.Builder
	stop     chan struct{}
	done     sync.WaitGroup
}

func TestSoak(t *testing.T) {
	length, file := 6*time.Second, ""
	if hours := soakNumber(t, "SOAK_HOURS", 0); hours > 0 {
		length = time.Duration(hours * float64(time.Hour))
		file = buildProgram(t, filepath.Join(t.TempDir(), "wsd"), "-trimpath") // the one that is shipped
	}
	s := &soak{t: t, plan: soakFor(length), seed: uint64(soakNumber(t, "SOAK_SEED", float64(time.Now().UnixNano()%1e6))),
		tally: newTally(), client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: soakSources}}, stop: make(chan struct{})}
	t.Logf("SOAK_SEED=%d for %v", s.seed, length)
	s.l = found(t, file, nil, soakFlags...)
	s.gather()
	s.take() // what there is at rest
	s.set()
	s.run()
	s.end()
	st := s.settled()
	s.take()
	s.reckon(&st)
	s.judge()
}

// soakNumber is a variable of the environment.
func soakNumber(t *testing.T, variable string, otherwise float64) float64 {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatalf("%s=%q is no number", variable, text)
	}
	return n
}

// random is the source of chance of the n-th goroutine.
func (s *soak) random(n int) *rand.Rand { return rand.New(rand.NewPCG(s.seed, uint64(n))) }

// set sets everybody to work.
func (s *soak) set() {
	n := 0
	each := func(count int, think time.Duration, life func(rnd *rand.Rand)) {
		for range count {
			n++
			rnd := s.random(n)
			s.done.Go(func() {
				for s.pause(rnd, think) {
					life(rnd)
				}
			})
		}
	}
	each(s.plan.visitors, s.plan.think, func(rnd *rand.Rand) { s.visit(drawVisit(rnd), rnd) })
	each(s.plan.strangers, 5*s.plan.think, s.stranger)
	for i := range soakSources {
		p := newSource(s, i)
		s.sources = append(s.sources, p)
		each(1, s.plan.think, p.publish)
	}
	s.done.Go(s.beat)
}

// pause waits for a while, and says whether to go on.
func (s *soak) pause(rnd *rand.Rand, most time.Duration) bool {
	select {
	case <-s.stop:
		return false
	case <-time.After(time.Duration(rnd.Int64N(int64(most)))):
		return !s.t.Failed()
	}
}

// run has storms and samples all the while, and upgrades in the first half: a
// leak that a process keeps to itself shows in the second half, one that an
// upgrade hands on, in the first. Three more upgrades end it.
func (s *soak) run() {
	rnd := s.random(0)
	at := func(mean time.Duration) time.Time {
		return time.Now().Add(time.Duration(rnd.ExpFloat64() * float64(mean)))
	}
	upgrade, storm, sample := at(s.plan.upgrades), at(s.plan.storms), time.Now()
	for end := s.began.Add(s.plan.length); time.Now().Before(end) && !s.t.Failed(); time.Sleep(5 * time.Millisecond) {
		switch now := time.Now(); {
		case now.After(storm):
			seed := rnd.Uint64()
			s.done.Go(func() { s.storm(seed) })
			storm = at(s.plan.storms)
		case now.After(sample):
			s.take()
			sample = now.Add(s.plan.sample)
		case now.After(s.began.Add(s.plan.length/2)) && s.turn == 0:
			s.upgrade() // to the one that stays
			s.turn = time.Since(s.began)
			upgrade = end
		case now.After(upgrade):
			s.upgrade()
			upgrade = at(s.plan.upgrades)
		}
	}
	for range 3 {
		s.upgrade()
	}
}

// upgrade is one, and a sample of what it left.
func (s *soak) upgrade() {
	before := s.l.pid
	s.l.succeed()
	s.client.CloseIdleConnections() // the old process waits for a last request on each
	http.DefaultClient.CloseIdleConnections()
	until(s.t, "the old process ends", func() bool { return gone(before) })
	s.upgraded = append(s.upgraded, time.Since(s.began))
	s.take()
}

// storm has many come at once, leave, and come again.
func (s *soak) storm(seed uint64) {
	var all sync.WaitGroup
	for i := range s.plan.storm {
		all.Go(func() {
			rnd := rand.New(rand.NewPCG(seed, uint64(i)))
			for range 2 {
				s.visit(rnd.IntN(stormVisits), rnd)
			}
		})
	}
	all.Wait()
	s.tally.add("storms", 1)
}

// end stops everybody, and expects that the members have got everything.
func (s *soak) end() {
	close(s.stop)
	s.done.Wait()
	s.client.CloseIdleConnections()
	s.checkMembers()
}

// settled waits until only the members are left, and nothing is held for anybody.
func (s *soak) settled() (st server.Stats) {
	s.t.Helper()
	until(s.t, "the server has forgotten the visitors", func() bool {
		st = server.Stats{}
		s.l.stats(&st)
		return st.StaleLoops == 0 && st.Clients.Connected == int64(len(s.members)) && st.PendingBytes == 0 && st.PublishesUnderWay == 0
	})
	return st
}
