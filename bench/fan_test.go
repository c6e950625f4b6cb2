package bench

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func publishPhase(count int) Phase { return Phase{Kind: Publish, Count: count, PublishBytes: 200} }

// Every client gets every message, and the counts say so.
func TestFanout(t *testing.T) {
	t.Parallel()
	for _, workers := range []int{1, 2} {
		s := start(t, &testServer{})
		_, p := load(t, s, Plan{Clients: 30, Workers: workers, Publish: []string{s.publisher()}},
			publishPhase(5), Phase{Name: "again", Kind: Publish, Count: 2, PublishBytes: headSize})
		for name, n := range map[string]uint64{"publish": 5, "again": 2} {
			ph := p[name]
			wantClean(t, ph)
			if ph.Publishes != n || ph.Deliveries != n*30 || ph.ToFirst.Count() != int64(n) || ph.ToLast.Count() != int64(n) || ph.Call.Count() != int64(n) {
				t.Errorf("%d workers, %s: %+v", workers, name, ph.Counts)
			}
			if ph.ToFirst.Max() > ph.ToLast.Max() || ph.ToLast.Max() != ph.Latency.Max() {
				t.Errorf("first %d, last %d, latency %d", ph.ToFirst.Max(), ph.ToLast.Max(), ph.Latency.Max())
			}
		}
	}
}

// Deliveries that are missing or come twice are counted one by one.
func TestFanoutFaults(t *testing.T) {
	t.Parallel()
	s := start(t, &testServer{skip: func(conn, publish int) int {
		switch {
		case publish == 2 && conn <= 3:
			return 0
		case publish == 3 && conn == 7:
			return 2
		}
		return 1
	}})
	_, p := load(t, s, Plan{Clients: 10, Grace: lossGrace, Publish: []string{s.publisher()}}, publishPhase(4))
	if c := p["publish"].Counts; c.Lost != 3 || c.Duplicates != 1 || c.Deliveries != 37 || c.Reordered != 0 {
		t.Errorf("%+v", c)
	}
}

// Publishes go out on schedule beside other load, and both are told apart.
func TestFanoutBesideRequests(t *testing.T) {
	t.Parallel()
	s := start(t, &testServer{})
	open := openLoop(500)
	open.PublishRate, open.PublishBytes = 20, 100
	_, p := load(t, s, Plan{Clients: 10, Publish: []string{s.publisher()}}, open)
	ph := p["open"]
	wantClean(t, ph)
	if ph.Publishes != 6 || ph.Deliveries != 60 || ph.Messages != 150 || ph.Fanout.Count() != 60 {
		t.Errorf("%+v", ph.Counts)
	}
}

// A publisher of another kind: a command that gets the message as its input.
func TestPublishCommand(t *testing.T) {
	t.Parallel()
	s := start(t, &testServer{})
	dir := t.TempDir()
	p := Plan{Clients: 2, PublishCommand: "cat > " + filepath.Join(dir, "message")}
	p.Grace = Duration(50 * time.Millisecond)
	_, phases := load(t, s, p, publishPhase(1))
	if phases["publish"].Lost != 2 {
		t.Errorf("nobody delivered it: %+v", phases["publish"].Counts)
	}
	text, err := os.ReadFile(filepath.Join(dir, "message"))
	if err != nil || len(text) != 200 || !strings.HasPrefix(string(text), headWord) {
		t.Errorf("%q, %v", text, err)
	}
}

// A publisher that fails ends the run, and the error has its words.
func TestPublishFails(t *testing.T) {
	t.Parallel()
	s := start(t, &testServer{})
	p := &Plan{Targets: []string{s.url()}, Clients: 2, PublishCommand: "echo no such channel; exit 3", Grace: Duration(50 * time.Millisecond),
		Phases: []Phase{{Kind: Ramp}, publishPhase(3)}}
	r, err := Run(t.Context(), p, Options{})
	if err == nil || !strings.Contains(err.Error(), "no such channel") || r == nil {
		t.Errorf("%v", err)
	}
}

// The head of a published message is found wherever it stands.
func TestHead(t *testing.T) {
	for _, c := range []struct{ before, after string }{{"", ""}, {`{"data":"`, `"}`}, {headWord, "x"}} {
		f := newFanReader(0xabc)
		for n := range uint32(3) {
			msg := c.before + string(appendPublish(nil, 0xabc, n+7, int64(n)+1e18, 100)) + c.after
			for range 2 {
				got, at, ok := f.read([]byte(msg))
				if !ok || got != n+7 || at != int64(n)+1e18 {
					t.Fatalf("%q: %d %d %v", msg, got, at, ok)
				}
			}
			if _, _, ok := f.read([]byte(msg[:len(c.before)+headSize-1])); ok {
				t.Error("a cut head was read")
			}
			if _, _, ok := newFanReader(0xabd).read([]byte(msg)); ok {
				t.Error("another run's message was read")
			}
		}
	}
}

func FuzzHead(f *testing.F) {
	f.Add(appendPublish(nil, 1, 2, 3, 100))
	f.Add([]byte(headWord + "00000001 00000000x2 "))
	f.Fuzz(func(t *testing.T, msg []byte) {
		n, at, ok := newFanReader(1).read(msg)
		if ok && !strings.Contains(string(msg), string(appendHead(nil, 1, n, at))[:headSize-1]) {
			t.Errorf("%q has no message %d of %d", msg, n, at)
		}
	})
}
