package bench

import (
	"testing"
	"time"
)

// TestIntervalTwice has one phase of heartbeats follow the other: those that
// were due after the first one's end are not sent on top of the second one's.
func TestIntervalTwice(t *testing.T) {
	t.Parallel()
	s := start(t, &testServer{})
	const clients = 50
	beats := Phase{
		Kind: Open, Interval: Duration(400 * time.Millisecond), Duration: Duration(400 * time.Millisecond),
		Payload: numbered, Expect: "b",
	}
	first, second := beats, beats
	first.Name, second.Name = "first", "second"
	_, phases := load(t, s, Plan{Clients: clients}, first, second)
	for _, name := range []string{"first", "second"} {
		// Each client has one time in each interval.
		if sent := phases[name].Sent + phases[name].Unsent; sent != clients {
			t.Errorf("%s: %d requests of %d clients were due in one interval", name, sent, clients)
		}
	}
}
