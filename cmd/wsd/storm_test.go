package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"wsd/server"
)

// A storm: several publishers, each as fast as it can, to many clients of whom
// some read slowly, some not at all before the end, and some leave meanwhile.
// Whoever stays and reads gets every message it should, once and in order, and
// what the others did not get is counted to the last message.

// manner is how a client of a storm behaves.
type manner int

const (
	reads   manner = iota
	dawdles        // reads a message a millisecond, and has room for few
	stops          // reads nothing before the end, and has room for few
	leaves         // sends a close frame, and reads on to the answer
	breaks         // ends its connection with a reset
	manners
)

const (
	stormPublishers = 4 // the last one publishes to stormTopic, the others to all
	stormTopic      = "half"
	stormBytes      = 900 // of a message
)

// guest is one client of a storm.
type guest struct {
	manner     manner
	subscribed bool
	leaveAt    int64 // messages after which it leaves
	c          *net.TCPConn
	in         *bufio.Reader

	got  atomic.Int64
	over atomic.Bool          // and with that the following is final
	next [stormPublishers]int // number that is due, of each publisher
	gaps int                  // messages left out before others
	code ws.StatusCode        // of the close frame it was sent
	bad  error
}

type storm struct {
	t      *testing.T
	r      *running
	guests []*guest
	reading,
	leaving sync.WaitGroup
	thaw chan struct{} // closed when those that stopped begin to read

	mu        sync.Mutex
	sum       server.Result // over all publishes
	publishes int
}

// stormFlags leave little room, and nobody is closed but by the policy.
func stormFlags(policy string) []string {
	return []string{"--slow-consumer=" + policy, "--pending-limit=24KiB", "--notsent-lowat=4KiB", "--pending-age=10m", "--close-timeout=10m", "--idle-timeout=0"}
}

// TestStorm: with each policy for slow consumers.
func TestStorm(t *testing.T) {
	for _, policy := range []string{"close", "drop-new", "drop-old"} {
		t.Run(policy, func(t *testing.T) {
			s := newStorm(t, serve(t, stormFlags(policy)...), 400)
			s.blow(3, 12)
			s.reckon(policy)
		})
	}
}

// newStorm connects n clients; one in five dawdles, stops, leaves or breaks.
func newStorm(t *testing.T, r *running, n int) *storm {
	t.Helper()
	s := &storm{t: t, r: r, guests: make([]*guest, n), thaw: make(chan struct{})}
	var joining sync.WaitGroup
	for part := range 8 {
		joining.Go(func() {
			for i := part; i < n; i += 8 {
				g := &guest{subscribed: i/2%2 == 0, leaveAt: int64(i % 17)}
				if i%5 == 0 {
					g.manner = 1 + manner(i/5)%(manners-1)
				}
				if g.bad = s.join(g, i); g.bad != nil {
					t.Errorf("client %d: %v", i, g.bad)
					return
				}
				s.guests[i] = g
			}
		})
	}
	joining.Wait()
	t.Cleanup(func() {
		for _, g := range s.guests {
			if g != nil {
				g.c.Close()
			}
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	for _, g := range s.guests {
		s.reading.Add(1)
		if g.manner == leaves || g.manner == breaks {
			s.leaving.Add(1)
		}
		go s.listen(g)
	}
	return s
}

func (s *storm) join(g *guest, i int) error {
	// Addresses of their own, since ports are fewer than clients may be.
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 91, byte(1+i%8))}}
	if g.manner == dawdles || g.manner == stops {
		dialer.Control = func(_, _ string, c syscall.RawConn) (err error) {
			e := c.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096) })
			return errors.Join(err, e)
		}
	}
	c, err := dialer.Dial("tcp", s.r.listen)
	if err != nil {
		return err
	}
	g.c, g.in = c.(*net.TCPConn), bufio.NewReaderSize(c, 1<<10)
	_ = c.SetDeadline(time.Now().Add(programPatience))
	shake := ws.Dialer{NetDial: func(context.Context, string, string) (net.Conn, error) { return c, nil }}
	if _, _, _, err := shake.Dial(context.Background(), "ws://localhost/ws"); err != nil || !g.subscribed {
		return err
	}
	if err := wsutil.WriteClientText(c, []byte(`{"actioncode":"subscribe","data":{"topics":["`+stormTopic+`"]}}`)); err != nil {
		return err
	}
	_, answer, err := readFrame(g.in)
	if err == nil && !bytes.HasPrefix(answer, []byte(`{"code":0,`)) {
		err = fmt.Errorf("subscribe: %s", answer)
	}
	return err
}

// stormMessage is message number i of publisher p.
func stormMessage(p, i int) string {
	text := fmt.Sprintf("%d %d ", p, i)
	return text + strings.Repeat(string(rune('a'+i%26)), stormBytes-len(text))
}

// listen is a client's life.
func (s *storm) listen(g *guest) {
	defer s.reading.Done()
	defer g.over.Store(true)
	if g.manner == leaves || g.manner == breaks {
		defer s.leaving.Done()
	}
	if g.manner == stops {
		<-s.thaw
	}
	for {
		op, payload, err := readFrame(g.in)
		switch {
		case err != nil:
			g.bad = fmt.Errorf("after %d messages: %w", g.got.Load(), err)
			return
		case op == ws.OpClose:
			g.code, _ = ws.ParseCloseFrameData(payload)
			if g.manner != leaves {
				_ = ws.WriteFrame(g.c, ws.MaskFrame(ws.NewCloseFrame(nil)))
			}
			g.c.Close()
			return
		case op == ws.OpText && string(payload) == "end":
			return
		case op != ws.OpText || !g.take(string(payload)):
			g.bad = fmt.Errorf("got %v %.20q when %v were due", op, payload, g.next)
			return
		}
		switch n := g.got.Add(1); {
		case g.manner == dawdles:
			select {
			case <-s.thaw:
			case <-time.After(time.Millisecond):
			}
		case g.manner == leaves && n == g.leaveAt+1:
			g.bad = ws.WriteFrame(g.c, ws.MaskFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(1000, ""))))
		case g.manner == breaks && n == g.leaveAt+1:
			_ = g.c.SetLinger(0)
			g.c.Close()
			return
		}
	}
}

// take says whether the message is one that may come now.
func (g *guest) take(message string) bool {
	var p, i int
	if _, err := fmt.Sscanf(message, "%d %d ", &p, &i); err != nil || p < 0 || p >= stormPublishers || i < g.next[p] || message != stormMessage(p, i) {
		return false
	}
	g.gaps += i - g.next[p]
	g.next[p] = i + 1
	return true
}

// due is how many messages were for the client, of each publisher's n.
func (g *guest) due(n int) int64 {
	if g.subscribed {
		return int64(n * stormPublishers)
	}
	return int64(n * (stormPublishers - 1))
}

// blow has each publisher publish rounds times each messages. In between, those
// that read catch up: on a busy host it is not they who are slow.
func (s *storm) blow(rounds, each int) {
	s.t.Helper()
	for round := range rounds {
		first := round * each
		var publishing sync.WaitGroup
		publishing.Go(func() { s.stream(0, first, each) })
		publishing.Go(func() { s.stream(1, first, each) })
		publishing.Go(func() { s.post(2, "all", first, each) })
		publishing.Go(func() { s.post(3, "topic="+stormTopic, first, each) })
		publishing.Wait()
		if s.t.Failed() {
			s.t.FailNow()
		}
		for i, g := range s.guests {
			if g.manner != reads {
				continue
			}
			until(s.t, fmt.Sprintf("client %d has got all of round %d", i, round), func() bool { return g.got.Load() >= g.due(first+each) || g.over.Load() })
			if g.over.Load() {
				s.t.Fatalf("client %d, which reads: %v, closed with %d", i, g.bad, g.code)
			}
		}
	}
	s.leaving.Wait()
}

// stream publishes to all by one request, many lines under way at once.
func (s *storm) stream(p, first, n int) {
	var lines bytes.Buffer
	for i := first; i < first+n; i++ {
		fmt.Fprintf(&lines, "{\"all\":true,\"text\":%q}\n", stormMessage(p, i))
	}
	answer, err := http.Post("http://"+s.r.admin+"/v1/publish/stream", "application/x-ndjson", &lines)
	if err != nil {
		s.t.Error(err)
		return
	}
	defer answer.Body.Close()
	answers := bufio.NewScanner(answer.Body)
	for range n {
		if !answers.Scan() {
			s.t.Errorf("a stream ended early: %v", answers.Err())
			return
		}
		s.add(answers.Bytes())
	}
}

// post publishes message by message.
func (s *storm) post(p int, target string, first, n int) {
	for i := first; i < first+n; i++ {
		s.add(s.publish(target, stormMessage(p, i)))
	}
}

func (s *storm) publish(target, message string) []byte {
	answer, err := http.Post("http://"+s.r.admin+"/v1/publish?"+target, "text/plain", strings.NewReader(message))
	if err != nil {
		s.t.Error(err)
		return nil
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		s.t.Errorf("publish: %s %s %v", answer.Status, text, err)
	}
	return text
}

// add adds the answer to one publish, which has to add up itself.
func (s *storm) add(answer []byte) {
	var r server.Result
	if err := json.Unmarshal(answer, &r); err != nil || r.Matched == 0 || r.Matched != r.Sent+r.Queued+r.Dropped || r.Expired != 0 {
		s.t.Errorf("the answer does not add up: %s %v", answer, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.publishes++
	s.sum.Matched += r.Matched
	s.sum.Sent += r.Sent
	s.sum.Queued += r.Queued
	s.sum.Dropped += r.Dropped
}

// reckon ends the storm and holds what each client got against what the server
// says it did.
func (s *storm) reckon(policy string) {
	s.t.Helper()
	close(s.thaw)
	gone := s.count(func(g *guest) bool { return g.manner == leaves || g.manner == breaks })
	until(s.t, "those who left are gone and nothing waits", func() bool {
		st := s.stats()
		return st.Clients.Open+int64(gone)+int64(st.Closed["slow"]) == int64(len(s.guests)) && st.PendingBytes == 0 && st.PublishesUnderWay == 0
	})
	during := s.sum
	s.add(s.publish("all", "end"))
	s.reading.Wait()
	if s.t.Failed() {
		return
	}
	st := s.stats()
	s.checkGuests(policy, st)
	s.checkSums(during, st)
	s.t.Logf("%d publishes to %d clients: %+v; %d messages written, queue %+v, dropped %v, closed slow %d", s.publishes, len(s.guests), s.sum, st.MessagesOut,
		st.Queue, st.Dropped, st.Closed["slow"])
}

func (s *storm) count(which func(*guest) bool) (n int) {
	for _, g := range s.guests {
		if which(g) {
			n++
		}
	}
	return n
}

func (s *storm) stats() (st server.Stats) {
	s.t.Helper()
	answer, err := http.Get("http://" + s.r.admin + "/v1/stats")
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(&st); err != nil || st.StaleLoops != 0 {
		s.t.Fatalf("%v, %d loops did not answer", err, st.StaleLoops)
	}
	return st
}

// each is how many messages each publisher has published, the end aside.
func (s *storm) each() int { return (s.publishes - 1) / stormPublishers }

// checkGuests checks what each client saw.
func (s *storm) checkGuests(policy string, st server.Stats) {
	s.t.Helper()
	short, slow := int64(0), 0
	for i, g := range s.guests {
		got, due := g.got.Load(), g.due(s.each())
		lacks := due - got
		ok := g.bad == nil
		switch g.manner {
		case reads:
			ok = ok && lacks == 0 && g.gaps == 0 && g.code == 0
		case leaves:
			ok = ok && g.gaps == 0 && g.code == 1000
		case breaks:
			ok = ok && g.gaps == 0 && got == g.leaveAt+1
		default: // closed as slow, with all up to there; or left out of some
			short += lacks
			if g.code != 0 {
				slow++
			}
			ok = ok && (policy == "close" && g.gaps == 0 && (g.code == 1008 || lacks == 0) || policy != "close" && g.code == 0)
		}
		if !ok {
			s.t.Errorf("client %d, manner %d: got %d of %d messages with %d gaps, closed with %d, %v", i, g.manner, got, due, g.gaps, g.code, g.bad)
		}
	}
	if slow != int(st.Closed["slow"]) || slow != int(st.Dropped["close"]) || (slow > 0) != (policy == "close") {
		s.t.Errorf("%d clients were closed as slow; the server counts %d, with %d messages", slow, st.Closed["slow"], st.Dropped["close"])
	}
	if left := st.Dropped["drop-new"] + st.Dropped["drop-old"]; policy != "close" && (left == 0 || short != int64(left)) {
		s.t.Errorf("those who read slowly or not at all lack %d messages, dropped were %v", short, st.Dropped)
	}
}

// checkSums checks the server's own books, and that what it wrote has arrived.
func (s *storm) checkSums(during server.Result, st server.Stats) {
	s.t.Helper()
	var arrived, dueStay, arrivedLeft, dueLeft, broken, brokenDue, breaking int64
	for _, g := range s.guests {
		got, due := g.got.Load(), g.due(s.each())
		switch g.manner {
		case breaks: // what was on its way to it is unknown
			broken, brokenDue, breaking = broken+got, brokenDue+due, breaking+1
			fallthrough
		case leaves:
			arrivedLeft, dueLeft = arrivedLeft+got, dueLeft+due
		default:
			dueStay += due
		}
		if g.manner != breaks {
			arrived += got
		}
	}
	within := func(what string, n, least, most int64) {
		s.t.Helper()
		if n < least || n > most {
			s.t.Errorf("%s: %d, must be %d to %d", what, n, least, most)
		}
	}
	all, q := s.sum, st.Queue
	written := int64(st.MessagesOut) - int64(s.count(func(g *guest) bool { return g.subscribed })) // those were answers
	same := func(what string, n, want int64) { s.t.Helper(); within(what, n, want, want) }
	same("publishes", int64(st.Publishes), int64(s.publishes))
	same("messages written", written, int64(all.Sent)+int64(q.Sent))
	same("messages queued", int64(q.Queued), int64(all.Queued))
	same("what became of them", int64(q.Sent+q.Evicted+q.Coalesced+q.Expired+q.Lost), int64(q.Queued))
	same("messages evicted", int64(q.Evicted), int64(st.Dropped["drop-old"]))
	same("clients gone", int64(st.Closed["peer"]+st.Closed["reset"]+st.Closed["vanished"]), int64(s.count(func(g *guest) bool { return g.manner == leaves || g.manner == breaks })))
	// A client whose end a write finds out counts as dropped, once.
	within("dropped on arrival, and not by the policy", int64(all.Dropped)-int64(st.Dropped["drop-new"]+st.Dropped["close"]), 0, breaking)
	ends := int64(all.Matched - during.Matched)
	same("the last message dropped", int64(all.Dropped-during.Dropped), 0)
	within("written to those who broke off", written-ends-arrived, broken, brokenDue)
	if st.Closed["slow"] == 0 { // else some of those who stayed were not matched to the end
		within("matched of those who left", int64(during.Matched)-dueStay, arrivedLeft, dueLeft)
	}
}
