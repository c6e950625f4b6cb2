package server

import (
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// Setting is a field of a configuration, and its value.
type Setting struct {
	Field string
	Value any
}

// A Conflict is two settings that do not fit together: because of the one the
// other has less effect than it says. Both are kept as they are.
type Conflict struct {
	A, B Setting
	Why  string
	Do   string // "" is: raise A or lower B
}

// Log warns of a conflict.
func (c Conflict) Log(log *slog.Logger) {
	a, b := settingName(c.A.Field), settingName(c.B.Field)
	do := c.Do
	if do == "" {
		do = "raise " + a + " or lower " + b
	}
	log.Warn(c.Why+"; "+do, a, fmt.Sprint(c.A.Value), b, fmt.Sprint(c.B.Value))
}

// settingName is pending-limit for PendingLimit: attributes of a log are
// written so, and so are flags.
func settingName(field string) string {
	var b strings.Builder
	for i, r := range field {
		if 'A' <= r && r <= 'Z' {
			if i > 0 {
				b.WriteByte('-')
			}
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}

// fitMargin is what the kernel has to give a client beyond PendingAge: the
// first message waits here only when the kernel's own buffers are full.
const fitMargin = 10 * time.Second

// fit gives the limit that was left open a value that another leaves room for: a
// client that takes nothing for PendingAge must not be reset by the kernel
// before.
func (c *Config) fit() {
	def(&c.UserTimeout, min(max(30*time.Second, c.PendingAge+fitMargin), longestUser))
}

// Conflicts goes through the pairs of limits that can contradict each other, in
// a configuration as Complete returns it. New logs them. docs/limits.md has
// those that cannot, too, and says what happens where two meet.
func (c *Config) Conflicts() (all []Conflict) {
	idle := Setting{"IdleTimeout", c.IdleTimeout}
	age := Setting{"PendingAge", c.PendingAge}
	for _, pair := range []struct {
		is bool
		Conflict
	}{
		{c.UserTimeout > 0 && c.UserTimeout <= c.PendingAge, Conflict{A: Setting{"UserTimeout", c.UserTimeout}, B: age,
			Why: "the kernel resets a client that takes nothing before what waits for it is too old"}},
		{c.IdleTimeout > 0 && c.IdleTimeout+c.PongTimeout <= c.PendingAge, Conflict{A: idle, B: age,
			Why: "a client that takes nothing answers no ping, and may be closed as idle before what waits for it is too old"}},
		{c.IdleTimeout > 0 && c.ControlRate > 0 && c.IdleTimeout < time.Second/time.Duration(c.ControlRate),
			Conflict{A: idle, B: Setting{"ControlRate", c.ControlRate}, Why: "a client that answers each ping is over the rate, and closed",
				Do: "raise either"}},
		{c.ByteRate > 0 && c.MaxMessage > burst*c.ByteRate+readSize, Conflict{A: Setting{"ByteRate", c.ByteRate}, B: Setting{"MaxMessage", c.MaxMessage},
			Why: "a client that sends the largest message at once is over the rate, and closed"}},
		{c.ByteRate > 0 && c.MessageTimeout > 0 && float64(c.MaxMessage) > float64(c.ByteRate)*(c.MessageTimeout.Seconds()+burst)+readSize,
			Conflict{A: Setting{"ByteRate", c.ByteRate}, B: Setting{"MessageTimeout", c.MessageTimeout},
				Why: "the largest message cannot be finished in time within the rate", Do: "raise either or lower max-message"}},
		{c.PendingTotal < 4*int64(c.MaxMessage), Conflict{A: Setting{"PendingTotal", c.PendingTotal}, B: Setting{"MaxMessage", c.MaxMessage},
			Why: "two clients that send the largest message at once are more than there is memory for, and one is closed"}},
		{c.PendingTotal < int64(c.PendingLimit), Conflict{A: Setting{"PendingTotal", c.PendingTotal}, B: Setting{"PendingLimit", c.PendingLimit},
			Why: "what may wait for all clients is less than what may wait for one"}},
		{c.MaxTopics > 0 && c.MaxTopicsPerClient > c.MaxTopics, Conflict{A: Setting{"MaxTopics", c.MaxTopics},
			B: Setting{"MaxTopicsPerClient", c.MaxTopicsPerClient}, Why: "no client can have so many topics"}},
		{c.MaxClients > 0 && c.MaxPerAddress > c.MaxClients, Conflict{A: Setting{"MaxClients", c.MaxClients},
			B: Setting{"MaxPerAddress", c.MaxPerAddress}, Why: "no address can have so many clients"}},
	} {
		if pair.is {
			all = append(all, pair.Conflict)
		}
	}
	return all
}
