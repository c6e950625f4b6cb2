package server

import (
	"bytes"
	"log/slog"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestConflicts: each pair is told of, by both names and values, from the value
// on at which one makes the other less than it says; the defaults fit together.
func TestConflicts(t *testing.T) {
	for _, c := range []struct {
		pair string // the two settings, or "" if they fit
		cfg  Config
	}{
		{pair: "", cfg: Config{}},
		{pair: "", cfg: Config{PendingAge: time.Minute}},
		{pair: "user-timeout=30s pending-age=30s", cfg: Config{UserTimeout: 30 * time.Second}},
		{pair: "", cfg: Config{UserTimeout: 31 * time.Second}},
		{pair: "", cfg: Config{UserTimeout: -1}},
		{pair: "idle-timeout=1m0s pending-age=1m20s", cfg: Config{PendingAge: 80 * time.Second}},
		{pair: "", cfg: Config{PendingAge: time.Hour, IdleTimeout: -1}},
		{pair: "idle-timeout=100ms control-rate=9", cfg: Config{IdleTimeout: 100 * time.Millisecond, ControlRate: 9, PongTimeout: time.Minute}},
		{pair: "", cfg: Config{IdleTimeout: 100 * time.Millisecond, ControlRate: 10, PongTimeout: time.Minute}},
		{pair: "byte-rate=1000 max-message=67537", cfg: Config{ByteRate: 1000, MaxMessage: readSize + 2001}},
		{pair: "", cfg: Config{ByteRate: 1000, MaxMessage: readSize + 2000}},
		{pair: "pending-total=1048576 pending-limit=4194304", cfg: Config{PendingTotal: 1 << 20}},
		{pair: "max-topics=63 max-topics-per-client=64", cfg: Config{MaxTopics: 63}},
		{pair: "", cfg: Config{MaxTopics: 63, MaxTopicsPerClient: -1}},
		{pair: "max-clients=10 max-per-address=11", cfg: Config{MaxClients: 10, MaxPerAddress: 11}},
		{pair: "", cfg: Config{MaxClients: 10, MaxPerAddress: 10}},
	} {
		full, err := c.cfg.Complete()
		if err != nil {
			t.Fatal(err)
		}
		var told bytes.Buffer
		for _, conflict := range full.Conflicts() {
			conflict.Log(slog.New(slog.NewTextHandler(&told, nil)))
		}
		got := told.String()
		if c.pair == "" && got != "" || c.pair != "" && (!strings.Contains(got, c.pair) || strings.Count(got, "\n") != 1 || !strings.Contains(got, "raise ")) {
			t.Errorf("%q: told %q", c.pair, got)
		}
	}
}

// TestConflictsAreLogged when the server is made.
func TestConflictsAreLogged(t *testing.T) {
	var told bytes.Buffer
	s, err := New(Config{Listen: []string{"127.0.0.1:0"}, Loops: 1, UserTimeout: time.Second, Logger: slog.New(slog.NewTextHandler(&told, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(t.Context(), false); err != nil {
		t.Error(err)
	}
	if !strings.Contains(told.String(), "user-timeout=1s pending-age=30s") {
		t.Errorf("told %q", told.String())
	}
}

// TestUserTimeoutFitsPendingAge: a live client that takes nothing for a while is
// given the time that its messages may wait, and gets them then. The kernel
// would reset it before, as it does with a user timeout that is shorter.
func TestUserTimeoutFitsPendingAge(t *testing.T) {
	age := 10 * time.Minute
	fits := start(t, tight(Config{Loops: 1, PendingAge: age, SlowConsumer: DropOld, IdleTimeout: -1}))
	capped := start(t, tight(Config{Loops: 1, PendingAge: age, SlowConsumer: DropOld, IdleTimeout: -1, UserTimeout: 300 * time.Millisecond}))
	patient := fits.stuck("/ws")
	capped.stuck("/ws")
	fits.each(func(l *loop) {
		fd := int(l.clients.at(0).fd)
		if ms, err := syscall.GetsockoptInt(fd, syscall.IPPROTO_TCP, tcpUserTimeout); err != nil || ms < int(age.Milliseconds()) {
			t.Errorf("the kernel gives a client up after %d ms (%v), before %v", ms, err, age)
		}
	})
	next, _ := fits.jam(0, func(r Result) bool { return r.Queued == 1 })
	capped.jam(0, func(r Result) bool { return r.Queued == 1 })
	capped.closed(ReasonReset, 1) // the kernel's work
	if st := fits.Stats(); st.Clients.Connected != 1 {
		t.Fatalf("the patient server closed its client, too: %v", st.Closed)
	}
	got, _ := patient.drained(next - 1)
	rising(t, got)
}
