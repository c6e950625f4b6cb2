package server

import (
	"strings"
	"testing"
	"time"
)

// TestDefaults: the zero value works, and says what it has chosen.
func TestDefaults(t *testing.T) {
	var c Config
	if err := c.complete(); err != nil {
		t.Fatal(err)
	}
	if c.Listen[0] != ":8066" || c.Path != "/ws" || c.EchoPath != "" || c.Mux.Lookup([]byte("heart_beat")) == nil || c.Logger == nil ||
		c.MaxHandshakes != 4096 || c.MaxHeader != 8<<10 || c.MaxMessage != 64<<10 || c.PendingLimit != 256<<10 || c.PendingTotal != 1<<30 ||
		c.IdleTimeout != time.Minute || c.DrainTime != 10*time.Second || c.ControlRate != 50 || c.SlowConsumer != CloseSlow || c.ClientFanout {
		t.Errorf("%+v", c)
	}
	before := c
	if err := c.complete(); err != nil || c.MaxHeader != before.MaxHeader || c.tick() != before.tick() {
		t.Errorf("completing twice changes something: %v", err)
	}
}

// TestConfigErrors name the flag that is wrong.
func TestConfigErrors(t *testing.T) {
	for flag, c := range map[string]Config{
		"path": {Path: "ws"}, "echo-path": {EchoPath: "/a b"}, "slow-consumer": {SlowConsumer: 3}, "loops": {Loops: -1},
		"max-clients": {MaxClients: -1}, "max-handshakes": {MaxHandshakes: -1}, "handshake-rate": {HandshakeRate: -1},
		"max-per-address": {MaxPerAddress: -1}, "max-header": {MaxHeader: 255}, "max-message": {MaxMessage: -1},
		"max-fragments": {MaxFragments: -1}, "message-rate": {MessageRate: -1}, "byte-rate": {ByteRate: -1},
		"pending-limit": {PendingLimit: 1}, "pending-total": {PendingTotal: 1}, "workers": {Workers: -1},
		"handshake-timeout": {HandshakeTimeout: -1}, "pong-timeout": {PongTimeout: -1}, "close-timeout": {CloseTimeout: -1},
		"pending-age": {PendingAge: -1}, "action-timeout": {ActionTimeout: -1}, "first-message-timeout": {FirstMessageTimeout: -1},
	} {
		if err := c.complete(); err == nil || !strings.Contains(err.Error(), "--"+flag) {
			t.Errorf("--%s: %v", flag, err)
		}
	}
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
	all, err := limitsFor(0)
	if err != nil {
		t.Fatal(err)
	}
	if all.MaxClients+all.Reserve != all.Descriptors || all.Reserve < 32 {
		t.Errorf("%+v", all)
	}
	if l, err := limitsFor(5); err != nil || l.MaxClients != 5 || l.Asked != 5 {
		t.Errorf("%+v %v", l, err)
	}
	if l, err := limitsFor(1 << 30); err != nil || l.MaxClients != all.MaxClients {
		t.Errorf("%+v %v", l, err)
	}
}
