package server

import (
	"fmt"
	"math"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// TestDefaults: the zero value works, and says what it has chosen.
func TestDefaults(t *testing.T) {
	var c Config
	if err := c.complete(); err != nil {
		t.Fatal(err)
	}
	if c.Listen[0] != ":8066" || c.Path != "/ws" || c.EchoPath != "" || c.Mux.Lookup([]byte("heart_beat")) == nil || c.Logger == nil ||
		c.MaxHandshakes != 4096 || c.MaxHeader != 8<<10 || c.MaxMessage != 64<<10 || c.PendingLimit != 4<<20 || c.PendingTotal != 1<<30 ||
		c.IdleTimeout != time.Minute || c.DrainTime != 10*time.Second || c.ControlRate != 50 || c.SlowConsumer != CloseSlow || c.ClientFanout {
		t.Errorf("%+v", c)
	}
	before := c
	if err := c.complete(); err != nil || c.MaxHeader != before.MaxHeader || c.tick() != before.tick() {
		t.Errorf("completing twice changes something: %v", err)
	}
}

// TestConfigErrors name the field that is wrong.
func TestConfigErrors(t *testing.T) {
	for field, c := range map[string]Config{
		"Path": {Path: "ws"}, "EchoPath": {EchoPath: "/a b"}, "SlowConsumer": {SlowConsumer: 3}, "Loops": {Loops: -1},
		"MaxClients": {MaxClients: -1}, "MaxHandshakes": {MaxHandshakes: -1}, "HandshakeRate": {HandshakeRate: -1},
		"MaxPerAddress": {MaxPerAddress: -1}, "MaxHeader": {MaxHeader: 255}, "MaxMessage": {MaxMessage: -1},
		"MessageRate": {MessageRate: -1}, "ByteRate": {ByteRate: -1},
		"PendingLimit": {PendingLimit: 1}, "PendingTotal": {PendingTotal: 1}, "Workers": {Workers: -1},
		"HandshakeTimeout": {HandshakeTimeout: -1}, "PongTimeout": {PongTimeout: -1}, "CloseTimeout": {CloseTimeout: -1},
		"PendingAge": {PendingAge: -1}, "ActionTimeout": {ActionTimeout: -1}, "FirstMessageTimeout": {FirstMessageTimeout: -1},
	} {
		if err := c.complete(); err == nil || !strings.HasPrefix(err.Error(), field+" ") {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// TestTooMuch: a value that could not be kept (a queue is counted in 32 bits, as
// are ticks, and milliseconds in the kernel) is refused, with its field and what
// would do.
func TestTooMuch(t *testing.T) {
	const giant = 1 << 32
	for want, c := range map[string]Config{
		"PendingLimit 4294967296: want at most 1073741824":  {PendingLimit: giant},
		"MaxMessage 4294967296: want at most 1073741824":    {MaxMessage: giant},
		"NotsentLowat 4294967296: want at most 1073741824":  {NotsentLowat: giant},
		"MaxFragments 70000: want at most 65535":            {MaxFragments: 70_000},
		"MaxHeader 4294967296: want at most 1048576":        {MaxHeader: giant},
		"Workers 4294967296: want at most 1048576":          {Workers: giant},
		"Loops 100000: want at most 1024":                   {Loops: 100_000},
		"PendingTotal 9223372036854775807: want at most":    {PendingTotal: math.MaxInt64},
		"IdleTimeout 1001h0m0s: want at most 1000h0m0s":     {IdleTimeout: 1001 * time.Hour},
		"PongTimeout 2562047h47m16.854775807s: want":        {PongTimeout: math.MaxInt64},
		"HandshakeTimeout 1001h0m0s: want":                  {HandshakeTimeout: 1001 * time.Hour},
		"FirstMessageTimeout 1001h0m0s: want":               {FirstMessageTimeout: 1001 * time.Hour},
		"CloseTimeout 1001h0m0s: want":                      {CloseTimeout: 1001 * time.Hour},
		"PendingAge 1001h0m0s: want":                        {PendingAge: 1001 * time.Hour},
		"ActionTimeout 1001h0m0s: want":                     {ActionTimeout: 1001 * time.Hour},
		"DrainTime 1001h0m0s: want":                         {DrainTime: 1001 * time.Hour},
		"UserTimeout 597h0m0s: want at most 596h31m23.647s": {UserTimeout: 597 * time.Hour},
		"UserTimeout 1ns: want at least 1ms":                {UserTimeout: 1},
		"RetryAfter -1ns: want at least 0s":                 {RetryAfter: -1},
	} {
		if err := c.complete(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// TestLongest: with the longest time-outs that are taken, the kernel takes the
// options, and nothing is due for as long as a server may run with the finest
// tick that they allow.
func TestLongest(t *testing.T) {
	s := start(t, Config{Loops: 1, IdleTimeout: longest, PongTimeout: longest, HandshakeTimeout: longest, CloseTimeout: longest,
		PendingAge: longest, ActionTimeout: 10 * time.Millisecond, UserTimeout: longestUser, NotsentLowat: mostBytes})
	p := s.dial()
	p.alive()
	s.each(func(l *loop) {
		year := l.ticks(365 * 24 * time.Hour)
		if sum := uint64(year) + 2*uint64(l.timeout(longest)); sum > math.MaxUint32 {
			t.Errorf("after a year the ticks of a look overflow: %d", sum)
		}
		if at := l.timeout(longest); l.tick != 10*time.Millisecond || at < l.ticks(longest) || at > l.ticks(longest)+1 {
			t.Errorf("ticks of %v: %d for %v", l.tick, at, longest)
		}
	})
}

// TestNegative: less than nothing is none where the documentation says so.
func TestNegative(t *testing.T) {
	s := start(t, Config{Loops: 1, IdleTimeout: -1, UserTimeout: -1, NotsentLowat: -1, ControlRate: -1, MaxTopicsPerClient: -1, MaxTopics: -1, DrainTime: -1})
	p := s.dial()
	for i := range 70 { // more than the default of either
		p.write(frame(ws.OpPing, ""))
		if f, err := p.next(); err != nil || f.Header.OpCode != ws.OpPong {
			t.Fatalf("%+v %v", f, err)
		}
		p.send(fmt.Sprintf(`{"actioncode":"subscribe","data":{"topics":["t%d"]}}`, i))
		if a := p.recv(); !strings.HasPrefix(a, `{"code":0`) {
			t.Fatal(a)
		}
	}
	s.each(func(l *loop) {
		for opt, system := range map[int]int{tcpUserTimeout: 0, tcpNotsentLowat: 0} {
			if got, err := syscall.GetsockoptInt(int(l.clients.at(0).fd), syscall.IPPROTO_TCP, opt); err != nil || got != system {
				t.Errorf("option %d is %d (%v), want the system's", opt, got, err)
			}
		}
	})
}

// TestTick: fine enough for the shortest time-out, and never a busy clock.
func TestTick(t *testing.T) {
	for want, c := range map[time.Duration]Config{
		312500 * time.Microsecond: {},
		10 * time.Millisecond:     {PongTimeout: time.Millisecond},
		20 * time.Millisecond:     {IdleTimeout: 320 * time.Millisecond},
		500 * time.Millisecond:    {HandshakeTimeout: time.Hour, PongTimeout: time.Hour, CloseTimeout: time.Hour, PendingAge: time.Hour, ActionTimeout: time.Hour, DrainTime: -1, IdleTimeout: -1},
	} {
		if err := c.complete(); err != nil {
			t.Fatal(err)
		}
		if got := c.tick(); got != want {
			t.Errorf("a tick of %v, want %v", got, want)
		}
	}
}

// TestPolicyText: the names of the command line, there and back.
func TestPolicyText(t *testing.T) {
	for _, p := range []Policy{CloseSlow, DropNew, DropOld} {
		text, err := p.MarshalText()
		var back Policy
		if err != nil || back.UnmarshalText(text) != nil || back != p {
			t.Errorf("%v: %s, %v, %v", p, text, err, back)
		}
	}
	var p Policy
	if p.UnmarshalText([]byte("drop")) == nil {
		t.Error("drop is a policy")
	}
}

// TestLimits: no configuration promises more than the descriptors allow.
func TestLimits(t *testing.T) {
	all, err := limitsFor(0, 2)
	if err != nil {
		t.Fatal(err)
	}
	if all.MaxClients+all.Reserve != all.Descriptors || all.Reserve < 64 {
		t.Errorf("%+v", all)
	}
	if l, err := limitsFor(5, 2); err != nil || l.MaxClients != 5 || l.Asked != 5 {
		t.Errorf("%+v %v", l, err)
	}
	if l, err := limitsFor(1<<30, 2); err != nil || l.MaxClients != all.MaxClients {
		t.Errorf("%+v %v", l, err)
	}
}
