package server

import (
	"encoding/binary"
	"math"
	"strings"
	"time"

	"wsd/dispatch"
	"wsd/topic"
)

// Identity is what a token proves of a client, or of a single request. An authenticator
// (dispatch.Mux.Authenticate, Config.Authenticate) that returns one lets the server
// know whom it may trust with what. Its lists are not changed any more.
type Identity struct {
	// Subject names the user, "" nobody in particular. At the connect it has at most
	// MaxUser bytes.
	Subject string
	// TokenID names the token, so that it can be revoked; "" is none.
	TokenID string
	// Issued and Expires are of the token, to the second. The zero time means that it
	// does not say when it was issued, or never expires.
	Issued, Expires time.Time
	// Topics are those that the client is subscribed to at once.
	Topics []string
	// Subscribe, Publish and Actions are patterns, as in Config.Topics, of what the
	// client may do beside what everybody may. Publish is for the application's
	// handlers: the server itself has no action that publishes.
	Subscribe, Publish, Actions []string
	// Fanout: it may use is_broadcast and client_ids.
	Fanout bool
	// Limit takes the place of Config.MaxPerUser for this user; 0: it does not.
	Limit int
}

// MaxUser bounds the name of a user, in bytes.
const MaxUser = 255

// MayPublish says whether the client may publish to a topic, where the application
// asks for it.
func (i *Identity) MayPublish(name string) bool {
	return len(i.Publish) > 0 && topic.Allowed(i.Publish, name)
}

// Whoami is for dispatch.Known.
func (i *Identity) Whoami(self *dispatch.Self) {
	self.User = i.Subject
	if !i.Expires.IsZero() {
		at := i.Expires.UTC().Truncate(time.Second)
		self.ExpiresAt = &at
	}
	if g := grantsOf(i); !g.empty() {
		self.Grants = g
	}
}

// identityOf takes what an authenticator returned.
func identityOf(v any) *Identity {
	switch v := v.(type) {
	case *Identity:
		return v
	case Identity:
		return &v
	}
	return nil
}

// grants are what an identity is allowed for as long as it is connected. Clients
// that may do the same share one.
type grants struct {
	Subscribe []string `json:"subscribe,omitempty"`
	Publish   []string `json:"publish,omitempty"`
	Actions   []string `json:"actions,omitempty"`
	Fanout    bool     `json:"fanout,omitempty"`
}

func grantsOf(i *Identity) *grants {
	return &grants{Subscribe: i.Subscribe, Publish: i.Publish, Actions: i.Actions, Fanout: i.Fanout}
}

func (g *grants) empty() bool {
	return len(g.Subscribe) == 0 && len(g.Publish) == 0 && len(g.Actions) == 0 && !g.Fanout
}

// allows says whether one of the patterns is met: here none is no grant.
func allows(patterns []string, name string) bool {
	return len(patterns) > 0 && topic.Allowed(patterns, name)
}

// append writes the grants down: whether fan-out is one, and then each list by its
// length. It is their form in a handover, and what equal ones have in common.
func (g *grants) append(b []byte) []byte {
	b = append(b, byte(one(g.Fanout)))
	for _, list := range [...][]string{g.Subscribe, g.Publish, g.Actions} {
		b = binary.AppendUvarint(b, uint64(len(list)))
		for _, item := range list {
			b = append(binary.AppendUvarint(b, uint64(len(item))), item...)
		}
	}
	return b
}

// readGrants reads what append wrote; ok is false if that cannot be.
func readGrants(b []byte) (g *grants, ok bool) {
	if len(b) == 0 || b[0] > 1 {
		return nil, false
	}
	text := string(b[1:])
	number := func() uint64 {
		n, size := binary.Uvarint([]byte(text[:min(len(text), binary.MaxVarintLen64)]))
		if size <= 0 || n > uint64(len(text)-size) {
			ok = false
			return 0
		}
		text = text[size:]
		return n
	}
	g, ok = &grants{Fanout: b[0] == 1}, true
	for _, list := range [...]*[]string{&g.Subscribe, &g.Publish, &g.Actions} {
		for n := number(); n > 0 && ok; n-- {
			size := number()
			*list = append(*list, strings.Clone(text[:size]))
			text = text[size:]
		}
	}
	return g, ok && text == ""
}

// seconds are Unix seconds as a record of an identity has them: 0 for no time, and
// for what is beyond 2106.
func seconds(t time.Time) uint32 {
	if n := t.Unix(); !t.IsZero() && n < math.MaxUint32 {
		return uint32(max(n, 1))
	}
	return 0
}

func timeOf(seconds uint32) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0)
}
