package server

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
)

// TestBegin: what was begun arrives in that order, before anybody asks what became
// of it; who gives up may ask again, also when the server has stopped.
func TestBegin(t *testing.T) {
	s := start(t, Config{Loops: 2, CloseTimeout: 100 * time.Millisecond})
	peers := s.dialMany(4)
	for s.loopOf(uuid.MustParse(peers[len(peers)-1].id())) != 1 { // where nobody is, nothing is posted
		peers = append(peers, s.dial())
	}
	release, held := make(chan struct{}), make(chan struct{})
	s.loops[1].post(func(*loop) { close(held); <-release })
	<-held
	const n = 100
	var outcomes [n]Outcome
	for i := range outcomes {
		var err error
		if outcomes[i], err = s.Begin(t.Context(), All(), Message{Data: fmt.Append(nil, i)}); err != nil {
			t.Fatal(err)
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := outcomes[n-1].Wait(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("under way: %v", err)
	}
	if _, done, err := outcomes[n-1].Poll(); done || err != nil {
		t.Errorf("under way, polled: %v %v", done, err)
	}
	close(release)
	for _, p := range peers {
		for i := range n {
			p.expect(fmt.Sprint(i))
		}
	}
	for i := range outcomes {
		if r, err := outcomes[n-1-i].Wait(t.Context()); err != nil || r.Matched != len(peers) || r.Sent != len(peers) {
			t.Errorf("%+v %v", r, err)
		}
	}
	s.stop()
	for range 100 { // whatever else has ended
		if r, err := outcomes[0].Wait(gone); err != nil || r.Sent != len(peers) {
			t.Fatalf("afterwards: %+v %v", r, err)
		}
	}
	if r, done, err := outcomes[0].Poll(); !done || err != nil || r.Sent != len(peers) {
		t.Errorf("afterwards, polled: %+v %v %v", r, done, err)
	}
	if _, err := s.Begin(t.Context(), All(), Message{}); !errors.Is(err, ErrStopped) {
		t.Errorf("%v", err)
	}
}
