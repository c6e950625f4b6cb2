package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/google/uuid"

	"wsd/dispatch"
	"wsd/netpoll"
)

// pass hands s over to a new server in this process, made with cfg.
func (s *site) pass(cfg Config) (*site, Handed) {
	s.t.Helper()
	young, done, err := s.tryPass(cfg, Successor{})
	if err != nil {
		s.t.Fatal(err)
	}
	return young, done
}

// tryPass is pass for one that may fail.
func (s *site) tryPass(cfg Config, h Successor) (young *site, done Handed, err error) {
	s.t.Helper()
	ours, theirs, err := NewLink()
	if err != nil {
		s.t.Fatal(err)
	}
	defer ours.Close()
	var took error
	over := make(chan struct{})
	go func() {
		defer close(over)
		link, err := OpenLink(theirs)
		if err != nil {
			took = err
			return
		}
		if cfg.Inheritance, took = Inherit(link, "test"); took != nil {
			link.Close()
			return
		}
		young = newSite(s.t, cfg)
		for _, l := range young.loops { // as if preparing it had taken long
			l.start = l.start.Add(-time.Hour)
		}
		took = young.TakeOver()
		_ = cfg.Inheritance.Close()
	}()
	h.Link, h.Kill = ours, func() { <-over }
	done, err = s.HandOver(h)
	<-over
	if err == nil && took != nil {
		s.t.Fatalf("handed over, but not taken: %v", took)
	}
	if err != nil && took == nil {
		s.t.Fatalf("taken over, but: %v", err)
	}
	switch {
	case young == nil:
	case took != nil:
		s.t.Cleanup(young.checkEmpty)
	default:
		young.first = s
		if s.first != nil {
			young.first = s.first
		}
		young.first.heirs = append(young.first.heirs, young)
	}
	return young, done, err
}

// Everything that a client can be in the middle of goes on where it stopped,
// over two handovers and another number of loops each time.
func TestHandover(t *testing.T) {
	cfg := Config{EchoPath: "/echo", MaxPerAddress: 100, MessageRate: 1000}
	s := start(t, cfg)
	plain, sub, echo := s.dial(), s.dial(), s.dialPath("/echo")
	id := plain.id()
	whoami := func(p *peer) string { p.send(`{"actioncode":"whoami"}`); return p.recv() }
	sub.ask(`{"actioncode":"subscribe","data":{"topics":["b","a"]}}`,
		`{"code":0,"msg":"success","data":["a","b"],"actioncode":"subscribe"}`)
	before := whoami(sub)

	cut := s.dial()
	whole := text(`{"actioncode":"echo","data":"` + strings.Repeat("x", 3000) + `"}`)
	fragment := s.dial()
	fragment.write(part(ws.OpText, false, `{"actioncode":"echo",`) + frame(ws.OpPing, "p") + part(ws.OpContinuation, true, `"data":"ü"}`)[:9])
	if f, err := fragment.next(); err != nil || f.Header.OpCode != ws.OpPong {
		t.Fatal(f, err)
	}
	joining := s.connect()
	handshake := request("/ws")
	closing := s.dial()
	goodbye := closing.id()

	stages := []Config{{Loops: 3}, {Loops: 1}, {Loops: 2}}
	sent, asked := 0, 0
	for i, stage := range stages {
		// One more third of each, with the old server.
		n := (i + 1) * len(whole) / 4
		cut.write(whole[sent:n])
		sent = n
		n = (i + 1) * len(handshake) / 4
		joining.write(handshake[asked:n])
		asked = n
		s.until("what was sent is read", func(st Stats) bool { return st.Clients.Joining == 1 })
		if i == len(stages)-1 {
			if !s.CloseClient(context.Background(), uuid.MustParse(goodbye), 4000, "enough") {
				t.Fatal("no such client")
			}
		}
		stage.EchoPath, stage.MaxPerAddress, stage.MessageRate = cfg.EchoPath, cfg.MaxPerAddress, cfg.MessageRate
		s = s.passSame(stage, 7)
		plain.alive()
		if got := plain.id(); got != id {
			t.Errorf("id %s, was %s", got, id)
		}
		if got := whoami(sub); got != before {
			t.Errorf("whoami: %s\nwas:    %s", got, before)
		}
		echo.ask("as it is", "as it is")
		r, err := s.Publish(context.Background(), Topic("a", "b"), Message{Data: []byte("news")})
		if err != nil || r.Matched != 1 || r.Sent != 1 {
			t.Errorf("published: %+v, %v", r, err)
		}
		sub.expect("news")
		newcomer := s.dial()
		newcomer.alive()
		newcomer.leave()
	}
	cut.write(whole[sent:])
	cut.expect(`{"code":0,"msg":"success","data":"` + strings.Repeat("x", 3000) + `","actioncode":"echo"}`)
	fragment.write(part(ws.OpContinuation, true, `"data":"ü"}`)[9:])
	fragment.expect(`{"code":0,"msg":"success","data":"ü","actioncode":"echo"}`)
	joining.write(handshake[asked:])
	if r := joining.response(); r.StatusCode != 101 {
		t.Errorf("the handshake that was cut: %s", r.Status)
	}
	joining.alive()
	closing.closedWith(4000)
	s.until("the shares add up", func(Stats) bool { return s.shared() == 6 })
}

// passSame is pass for so many clients, after which the totals are the same.
func (s *site) passSame(cfg Config, clients int) *site {
	s.t.Helper()
	old := s.Stats()
	young, done := s.pass(cfg)
	if done.Clients != clients || done.Version != "test" || done.Bytes == 0 || done.Pause <= 0 {
		s.t.Errorf("handed over: %+v", done)
	}
	if young.Addrs()[0] != s.Addrs()[0] {
		s.t.Errorf("listens on %v, was on %v", young.Addrs(), s.Addrs())
	}
	st := young.Stats()
	if st.Accepted != old.Accepted || st.Opened != old.Opened || st.MessagesIn < old.MessagesIn || st.Uptime < old.Uptime ||
		st.Clients.Connected != old.Clients.Connected || st.Subscribed != 2 || st.Actions["subscribe"][0] != 1 {
		s.t.Errorf("before %s\nafter  %s", describe(old), describe(st))
	}
	return young
}

func (s *Server) shared() (n int) {
	s.population.shares.mu.Lock()
	defer s.population.shares.mu.Unlock()
	for _, k := range s.population.shares.counts {
		n += k
	}
	return n
}

// What a client has not taken yet comes whole, once and in order, with its
// coalescing and deadlines; shared messages stay shared.
func TestHandoverQueue(t *testing.T) {
	cfg := Config{PendingLimit: 64 << 20, PendingAge: time.Hour}
	s := start(t, cfg)
	slow := []*peer{s.dial(), s.dial()}
	for _, p := range slow {
		p.alive()
	}
	payload := func(i int) []byte { return append(fmt.Appendf(nil, "%04d", i), bytes.Repeat([]byte("y"), 100<<10)...) }
	publish := func(m Message) Result {
		r, err := s.Publish(context.Background(), All(), m)
		if err != nil || r.Matched != 2 {
			t.Fatalf("%+v, %v", r, err)
		}
		return r
	}
	n := 0
	for ; ; n++ { // until both are stuck
		if publish(Message{Data: payload(n)}).Queued == 2 && n > 20 {
			break
		}
	}
	n++
	publish(Message{Data: []byte("too late"), Deadline: time.Now().Add(time.Hour)})
	publish(Message{Data: []byte("old value"), Coalesce: "k"})
	pending := s.Stats().PendingBytes
	s, _ = s.pass(cfg)
	st := s.Stats()
	if st.PendingBytes != pending {
		t.Errorf("%d bytes pending, were %d", st.PendingBytes, pending)
	}
	frames := map[*delivery]int{}
	s.each(func(l *loop) {
		for _, slot := range l.slow.stuck {
			for k := l.clients.at(slot).head; k != 0; k = l.queue.at(k).next {
				frames[l.queue.at(k).from]++
			}
		}
	})
	for d, k := range frames {
		if d == nil || k > 2 {
			t.Errorf("%d messages are not shared", k)
		}
	}
	if len(frames) == 0 {
		t.Error("nothing waits")
	}
	publish(Message{Data: []byte("new value"), Coalesce: "k"})
	s.overdue("too late")
	s, _ = s.pass(cfg)
	for _, p := range slow {
		for i := range n {
			if got := p.recv(); got != string(payload(i)) {
				t.Fatalf("message %d is %.20q of %d bytes", i, got, len(got))
			}
		}
		p.expect("new value")
		p.alive()
	}
	s.until("the counts of the queue add up", func(st Stats) bool {
		q := st.Queue
		return q.Queued == q.Sent+q.Evicted+q.Coalesced+q.Expired+q.Lost && q.Coalesced == 2 && q.Expired == 2 && st.PendingBytes == 0
	})
}

// Requests under way: they are waited for, whoever answers them; what comes
// meanwhile begins in the new process.
func TestHandoverPooled(t *testing.T) {
	type work = func(string) (string, error)
	for kind, add := range map[string]func(*dispatch.Mux, work){
		"worker": func(m *dispatch.Mux, do work) {
			dispatch.Handle(m, "work", func(_ *dispatch.Context, name string) (string, error) { return do(name) })
		},
		"later": func(m *dispatch.Mux, do work) {
			dispatch.Later(m, "work", func(_ *dispatch.Context, name string, r dispatch.Reply[string]) error {
				go func() { _ = r.Answer(do(name)) }()
				return nil
			})
		},
	} {
		t.Run(kind, func(t *testing.T) { handoverPooled(t, add) })
	}
}

func handoverPooled(t *testing.T, add func(*dispatch.Mux, func(string) (string, error))) {
	began, release := make(chan string, 10), make(chan struct{})
	finish := sync.OnceFunc(func() { close(release) })
	mux := func() *dispatch.Mux {
		m := dispatch.NewMux()
		dispatch.Builtins(m)
		add(m, func(name string) (string, error) {
			began <- name
			<-release
			return name, nil
		})
		return m
	}
	s := start(t, Config{Mux: mux()})
	t.Cleanup(finish)
	a, b, c := s.dial(), s.dial(), s.dial()
	work := func(name string) string { return `{"actioncode":"work","data":"` + name + `"}` }
	done := func(name string) string {
		return `{"code":0,"msg":"success","data":"` + name + `","actioncode":"work"}`
	}
	a.send(work("a1"))
	if <-began != "a1" {
		t.Fatal("another began")
	}
	a.write(text(work("a2")) + text(beat))
	var young *site
	over := make(chan struct{})
	go func() {
		defer close(over)
		young, _ = s.pass(Config{Mux: mux(), Loops: 3})
	}()
	// Once it settles, b's request is put off, and c is served on.
	settling := func() (n int) {
		s.each(func(l *loop) {
			if l.handover.drainingActions {
				n++
			}
		})
		return n
	}
	eventually(t, says("it settles"), func() bool { return settling() == 2 })
	b.write(text(work("b1")) + text(beat))
	c.alive()
	c.alive()
	finish()
	<-over
	a.expect(done("a1"))
	a.expect(done("a2"))
	a.expect(beating)
	b.expect(done("b1"))
	b.expect(beating)
	if n := len(began); n != 2 {
		t.Errorf("%d more handlers ran, want 2", n)
	}
	if st := young.Stats(); st.Actions["work"][0] != 3 {
		t.Errorf("work was answered: %v", st.Actions["work"])
	}
}

// Whoever publishes while the clients go gets an answer: before, it reaches all,
// after, nobody, and is told so.
func TestHandoverPublishers(t *testing.T) {
	s := start(t, Config{ClientFanout: true})
	peers := s.dialMany(5)
	read := make(chan tally, len(peers))
	for _, p := range peers {
		go func() { read <- p.tally() }()
	}
	stop := make(chan struct{})
	var told, sent int
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		for {
			r, err := s.Publish(context.Background(), All(), Message{Data: fmt.Appendf(nil, "%d", sent)})
			if errors.Is(err, ErrStopped) {
				told++
				return
			}
			if err != nil || r.Sent+r.Queued != 5 {
				t.Errorf("%+v %v", r, err)
				return
			}
			sent++
		}
	}()
	fan := make(chan int)
	go func() { // and a client that makes all loops post to each other
		n := 0
		for ; ; n++ {
			select {
			case <-stop:
				fan <- n
				return
			default:
				peers[0].try(text(`{"actioncode":"echo","data":"f","is_broadcast":true}`))
			}
			time.Sleep(100 * time.Microsecond) // not to be closed as a slow client
		}
	}()
	young, _ := s.pass(Config{ClientFanout: true, Loops: 3})
	wg.Wait()
	close(stop)
	fans := <-fan
	if told != 1 {
		t.Error("the publisher was not told")
	}
	if _, err := young.Publish(context.Background(), All(), Message{Data: []byte("end")}); err != nil {
		t.Fatal(err)
	}
	young.until("all is read", func(st Stats) bool { return st.Actions["echo"][0] == uint64(fans) })
	young.until("all is sent", func(st Stats) bool { return st.PublishesUnderWay == 0 }) // a publish may overtake what clients send each other
	if _, err := young.Publish(context.Background(), All(), Message{Data: []byte("over")}); err != nil {
		t.Fatal(err)
	}
	for range peers {
		if r := <-read; r != (tally{sent, fans, ""}) {
			t.Errorf("a client got %+v, want %d published, %d fanned out", r, sent, fans)
		}
	}
}

// tally is what a client got, in order, up to the message "over".
type tally struct {
	published, fanned int
	wrong             string
}

func (p *peer) tally() (r tally) {
	for {
		f, err := p.next()
		got := string(f.Payload)
		switch {
		case err != nil:
			r.wrong = err.Error()
			return r
		case got == "over":
			return r
		case got == "end":
		case strings.HasPrefix(got, "{"):
			r.fanned++
		case got == fmt.Sprint(r.published):
			r.published++
		default:
			r.wrong = got
			return r
		}
	}
}

// Clients that address all others, without a pause, do not keep a handover from
// happening: what they ask meanwhile is done by the new process, once.
func TestHandoverFanout(t *testing.T) {
	cfg := Config{ClientFanout: true, PendingLimit: 64 << 20, PendingAge: time.Hour}
	s := start(t, cfg)
	s.dialMany(100) // for whom every message is work, and who take none
	peers := s.dialMany(4)
	read := make(chan fanned, len(peers))
	for i, p := range peers {
		go func() { read <- p.fanned(i) }()
	}
	sent := make([]int, len(peers))
	var senders sync.WaitGroup
	over := make(chan struct{})
	stop := sync.OnceFunc(func() { close(over); senders.Wait() })
	t.Cleanup(stop)
	for i, p := range peers {
		senders.Go(func() {
			next := time.NewTicker(2 * time.Millisecond) // all the time, and no more than a slow machine takes
			defer next.Stop()
			for ; ; sent[i]++ {
				select {
				case <-over:
					return
				case <-next.C:
					p.try(text(fmt.Sprintf(`{"actioncode":"echo","data":[%d,%d],"is_broadcast":true}`, i, sent[i])))
				}
			}
		})
	}
	s.until("they are at it", func(st Stats) bool { return st.Actions["echo"][0] > 100 })
	young, _ := s.pass(cfg)
	young, _ = young.pass(cfg)
	stop()
	total := uint64(0)
	for _, n := range sent {
		total += uint64(n)
	}
	young.until("all is answered, and has come round", func(st Stats) bool { // who publishes is served beside them
		return st.Actions["echo"][0]+st.Actions["echo"][10] == total && st.PublishesUnderWay == 0
	})
	if _, err := young.Publish(context.Background(), All(), Message{Data: []byte("over")}); err != nil {
		t.Fatal(err)
	}
	var all []fanned
	for range peers {
		all = append(all, <-read)
	}
	for _, from := range all {
		for _, to := range all {
			if n := to.from[from.me]; to.wrong != "" || n != sent[from.me]-from.busy {
				t.Errorf("%d sent %d messages, %d of them were refused, and %d got %d %s", from.me, sent[from.me], from.busy, to.me, n, to.wrong)
			}
		}
	}
}

// fanned is what a client got, up to the message "over".
type fanned struct {
	me    int
	from  map[int]int // how many, by sender
	busy  int         // what it sent and was refused
	wrong string
}

func (p *peer) fanned(me int) (r fanned) {
	r.me, r.from = me, map[int]int{}
	last := map[int]int{}
	for {
		f, err := p.next()
		if err != nil {
			r.wrong = err.Error()
			return r
		}
		if string(f.Payload) == "over" {
			return r
		}
		var m struct {
			Code int
			Data []int
		}
		if err := json.Unmarshal(f.Payload, &m); err != nil || m.Code == 0 && len(m.Data) != 2 {
			r.wrong = string(f.Payload)
			return r
		}
		if m.Code == 10 {
			r.busy++
			continue
		}
		from, n := m.Data[0], m.Data[1]
		if before, heard := last[from]; heard && n <= before {
			r.wrong = fmt.Sprintf("message %d of %d came after %d", n, from, before)
			return r
		}
		last[from] = n
		r.from[from]++
	}
}

// What a client asks to be sent to others while the handover waits for the
// publishes under way is none of those: it is put off, and done by the new
// process.
func TestHandoverPausesFanout(t *testing.T) {
	cfg := Config{ClientFanout: true}
	s := start(t, cfg)
	from, to := s.dial(), s.dial()
	young, _, err := s.tryPass(cfg, Successor{fault: func(step string) {
		if step != "held" {
			return
		}
		from.send(`{"actioncode":"echo","data":1,"is_broadcast":true}`)
		eventually(t, func() string { return "it is put off" }, func() bool {
			waiting := 0
			s.each(func(l *loop) { waiting += len(l.handover.waiters) })
			return waiting == 1
		})
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []*peer{from, to} {
		p.expect(`{"code":0,"msg":"success","data":1,"actioncode":"echo"}`)
		p.alive()
	}
	young.until("it is counted once", func(st Stats) bool { return st.Actions["echo"][0] == 1 })
}

// An inline handler that blocks its loop, whichever that is, ends the handover
// and not the server.
func TestHandoverBlocked(t *testing.T) {
	before := turnTimeout
	turnTimeout = 100 * time.Millisecond
	defer func() { turnTimeout = before }()
	began, finish := make(chan struct{}), make(chan struct{})
	mux := dispatch.NewMux()
	dispatch.Builtins(mux)
	dispatch.Handle(mux, "block", func(*dispatch.Context, any) (any, error) {
		began <- struct{}{}
		<-finish
		return nil, nil
	}, dispatch.Inline())
	s := start(t, Config{Mux: mux})
	for number := range s.loops {
		p := s.dial()
		for s.loopOf(uuid.MustParse(p.id())) != number {
			p = s.dial()
		}
		p.send(`{"actioncode":"block"}`)
		<-began
		if _, _, err := s.tryPass(Config{}, Successor{}); !errors.Is(err, ErrBusy) {
			t.Errorf("loop %d blocked: %v, want ErrBusy", number, err)
		}
		finish <- struct{}{}
		p.expect(`{"code":0,"msg":"success","data":null,"actioncode":"block"}`)
		p.alive()
		s.each(func(l *loop) {
			if l.handover.drainingActions || l.handover.fanoutPaused || l.handover.barrier != nil {
				t.Errorf("loop %d still stands still", l.number)
			}
		})
	}
	turnTimeout = before
	s.pass(Config{})
}

// Who was refused, or has an address's share, and is not gone yet, counts in the
// new process as it did in the old one.
func TestHandoverLingering(t *testing.T) {
	cfg := Config{MaxClients: 2, MaxPerAddress: 5, CloseTimeout: time.Minute}
	s := start(t, cfg)
	stays, leaves := s.dial(), s.dial()
	var refused []*peer
	for range 3 {
		p := s.connect()
		p.write(request("/ws"))
		if r := p.response(); r.StatusCode != 503 {
			t.Fatal(r.Status)
		}
		refused = append(refused, p)
	}
	leaves.leave()
	s.until("one left", func(st Stats) bool { return st.Clients.Connected == 4 })
	lost := s.connect()
	lost.write(request("/nowhere"))
	if r := lost.response(); r.StatusCode != 404 {
		t.Fatal(r.Status)
	}
	for range 2 {
		before := [...]int64{s.population.connected.Load(), s.population.refused.Load(), int64(s.shared())}
		if before != [...]int64{5, 3, 2} {
			t.Fatalf("connected, refused, sharing: %v", before)
		}
		s, _ = s.pass(cfg)
		if after := [...]int64{s.population.connected.Load(), s.population.refused.Load(), int64(s.shared())}; after != before {
			t.Errorf("connected, refused, sharing: %v, were %v", after, before)
		}
		stays.alive()
	}
	lost.Close()
	s.until("its place is free", func(st Stats) bool { return st.Clients.Connected == 4 })
	s.dial().leave() // whoever lingers
	for _, p := range refused {
		p.Close()
	}
	s.until("who was refused is gone", func(st Stats) bool { return st.Clients.Connected == 1 && s.population.refused.Load() == 0 })
	stays.leave()
}

// A handover that fails changes nothing.
func TestHandoverFails(t *testing.T) {
	s := start(t, Config{})
	p := s.dial()
	stuck := errors.New("not now")
	for _, test := range []struct {
		name string
		try  func() error
		want string
	}{
		{"the application says no", func() error {
			_, _, err := s.tryPass(Config{}, Successor{Hold: func(context.Context) error { return stuck }})
			return err
		}, "not now"},
	} {
		if err := test.try(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", test.name, err)
		}
		p.alive()
		s.dial().leave()
	}
	s.pass(Config{})
	p.alive()
}

// Listeners go by what they were configured as: the same goes on, one that is
// not asked for any more ends, one that had been passed on goes on in any case.
func TestHandoverListeners(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	passed, err := netpoll.Listen("127.0.0.1:0", netpoll.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, Config{Listen: []string{"127.0.0.1:0", "unix:" + path}, Inherited: []int{passed.Fd()}})
	inherited, tcp, unix := s.Addrs()[0], s.Addrs()[1], s.Addrs()[2]
	for _, listen := range [][]string{{"unix:" + path}, {"127.0.0.1:0", "unix:" + path}, {"unix:" + path}} {
		s, _ = s.pass(Config{Listen: listen})
		for _, addr := range []string{inherited, unix} {
			p := connectTo(t, addr)
			p.shake("/ws")
			p.alive()
			p.leave()
		}
		if c, err := net.Dial("tcp", tcp); err == nil {
			c.Close()
			t.Error("a listener that nobody asked for goes on")
		}
		if s.Addrs()[0] != inherited {
			t.Errorf("listens on %v, had inherited %s", s.Addrs(), inherited)
		}
	}
	s.stop()
	if _, err := os.Stat(path); err == nil {
		t.Error("the socket's file is left behind")
	}
}
