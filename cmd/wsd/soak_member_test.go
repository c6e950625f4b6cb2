package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/bits"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"
)

// soakTopics is how many topics there are, t0 and up.
const soakTopics = 8

// ears hold what a client hears against what may come: of each source the
// numbers only grow, so no message comes twice, and none out of order. Those that
// may be left out, for their deadline or a newer value, are in order among
// themselves: one takes the place of an older one that waits.
type ears [soakSources]trace

// trace is what a client has heard of one source.
type trace struct {
	next      int    // least number that may come
	n, hash   uint64 // of the messages that must come
	nextLossy int    // the same of the others
	lossy     uint64
}

func (tr *trace) add(number int) {
	tr.n++
	tr.hash = bits.RotateLeft64(tr.hash, 5)*0x9e3779b97f4a7c15 + uint64(number)
}

// soakMessage is the text of message number n of a source.
func soakMessage(source, n int, lossy bool, size int) string {
	return fmt.Sprintf("%d %d %v %s", source, n, lossy, strings.Repeat("x", size))
}

// hear takes a published message.
func (e *ears) hear(message []byte) error {
	var source, n int
	var lossy bool
	if _, err := fmt.Sscanf(string(message[:min(len(message), 40)]), "%d %d %t", &source, &n, &lossy); err != nil || source < 0 || source >= soakSources {
		return fmt.Errorf("got %.60q, which nobody has published", message)
	}
	tr, next := &e[source], &e[source].next
	if lossy {
		next = &e[source].nextLossy
	}
	if n < *next {
		return fmt.Errorf("message %d of source %d came when %d was due", n, source, *next)
	}
	*next = n + 1
	if lossy {
		tr.lossy++
	} else {
		tr.add(n)
	}
	return nil
}

// member is a client that is connected all the while.
type member struct {
	s      *soak
	id     string
	topics uint // bit i: subscribed to topic i
	c      net.Conn
	in     *bufio.Reader

	writing        sync.Mutex
	beats, answers atomic.Int64

	heard ears          // of the reader
	first atomic.Int64  // messages of the first source, which has the last word
	over  chan struct{} // closed when the reader has ended
	wrong error         // then
}

// gather connects the members. They join one by one, since nothing else happens.
func (s *soak) gather() {
	rnd := s.random(-1)
	for i := range s.plan.members {
		m := &member{s: s, topics: uint(rnd.IntN(1 << soakTopics)), over: make(chan struct{})}
		if err := m.join(i); err != nil {
			s.t.Fatalf("member %d: %v", i, err)
		}
		s.members = append(s.members, m)
	}
	s.t.Cleanup(func() {
		for _, m := range s.members {
			m.c.Close()
		}
	})
	for _, m := range s.members {
		go m.read()
	}
	s.began = time.Now()
}

func (m *member) join(i int) (err error) {
	if m.c, err = dialFrom(m.s.l.listen, net.IPv4(127, 1, byte(i>>8), byte(i))); err != nil {
		return err
	}
	m.s.tally.add("accepted", 1)
	shake := ws.Dialer{Timeout: patience, NetDial: func(context.Context, string, string) (net.Conn, error) { return m.c, nil }}
	if _, _, _, err := shake.Dial(context.Background(), "ws://localhost/ws"); err != nil {
		return err
	}
	m.s.tally.add("opened", 1)
	m.in = bufio.NewReaderSize(m.c, 512)
	answer, err := m.ask(`{"actioncode":"whoami"}`)
	if err != nil {
		return err
	}
	if m.id, err = clientID(answer); err != nil || m.topics == 0 {
		return err
	}
	_, err = m.ask(subscribeTo(m.topics))
	return err
}

// ask is for before the reader runs.
func (m *member) ask(question string) ([]byte, error) {
	if err := m.write(clientFrame(ws.OpText, question)); err != nil {
		return nil, err
	}
	_, answer, err := readFrame(m.in)
	m.s.tally.add("messages_in", 1)
	m.s.tally.add("answers", 1)
	return answer, err
}

func subscribeTo(topics uint) string {
	return `{"actioncode":"subscribe","data":{"topics":["` + strings.Join(topicNames(topics), `","`) + `"]}}`
}

func topicNames(topics uint) (names []string) {
	for i := range soakTopics {
		if topics&(1<<i) != 0 {
			names = append(names, fmt.Sprintf("t%d", i))
		}
	}
	return names
}

func clientID(answer []byte) (string, error) {
	var who struct {
		Data struct {
			ID string `json:"client_id"`
		}
	}
	err := json.Unmarshal(answer, &who)
	if err == nil && who.Data.ID == "" {
		err = fmt.Errorf("whoami: %s", answer)
	}
	return who.Data.ID, err
}

func (m *member) write(frame []byte) error {
	m.writing.Lock()
	defer m.writing.Unlock()
	_, err := m.c.Write(frame)
	return err
}

var heartbeatFrame = clientFrame(ws.OpText, `{"actioncode":"heart_beat"}`)

// beat sends the heartbeats of all members, each in its turn, unless its last one
// is still to be answered.
func (s *soak) beat() {
	const slices = 50
	tick := time.NewTicker(s.plan.beat / slices)
	defer tick.Stop()
	for i := 0; ; i = (i + 1) % slices {
		select {
		case <-tick.C:
		case <-s.stop:
			return
		}
		for k := i; k < len(s.members); k += slices {
			if m := s.members[k]; m.beats.Load() == m.answers.Load() {
				m.beats.Add(1)
				_ = m.write(heartbeatFrame) // the reader finds out
			}
		}
	}
}

func (m *member) read() {
	defer close(m.over)
	for {
		op, payload, err := readFrame(m.in)
		switch {
		case err != nil:
		case op == ws.OpPing:
			err = m.write(clientFrame(ws.OpPong, string(payload)))
		case op == ws.OpText && string(payload) == heartBeat:
			if m.answers.Add(1) > m.beats.Load() {
				err = fmt.Errorf("an answer too many")
			}
		case op == ws.OpText:
			err = m.heard.hear(payload)
			m.first.Store(int64(m.heard[0].next))
		default:
			err = fmt.Errorf("got %v %q", op, payload)
		}
		if m.wrong = err; err != nil {
			return
		}
	}
}

// checkMembers expects that each member has got what was for it. The last message
// of the first source is behind all others.
func (s *soak) checkMembers() {
	s.t.Helper()
	s.sources[0].last()
	for i, m := range s.members {
		until(s.t, fmt.Sprintf("member %d has got all", i), func() bool {
			select {
			case <-m.over:
				return true
			default:
				return m.answers.Load() == m.beats.Load() && int(m.first.Load()) == len(s.sources[0].history)
			}
		})
		select {
		case <-m.over:
			s.t.Errorf("member %d: %v", i, m.wrong)
		default:
			s.checkMember(i)
		}
	}
}

func (s *soak) checkMember(i int) {
	s.t.Helper()
	m, want := s.members[i], s.due(i)
	s.tally.add("action.heart_beat", m.answers.Load())
	s.tally.add("messages_in", m.answers.Load())
	s.tally.add("answers", m.answers.Load())
	for k := range m.heard {
		got, due := m.heard[k], want[k]
		if got.n != due.n || got.hash != due.hash || got.lossy > due.lossy {
			s.tally.add("members who lack something", 1)
			if s.tally.get("members who lack something") <= 5 {
				s.t.Errorf("member %d, source %d: %d of %d messages came, or others", i, k, got.n, due.n)
			}
		}
		s.tally.add("received", int64(got.n+got.lossy))
		s.tally.add("left out", int64(due.lossy-got.lossy))
	}
}

// due is what member i must have heard, and how many messages beside.
func (s *soak) due(i int) (want ears) {
	for k, p := range s.sources {
		for n, d := range p.history {
			switch {
			case !d.isFor(i, s.members[i]):
			case d.lossy:
				want[k].lossy++
			default:
				want[k].add(n)
			}
		}
	}
	return want
}
