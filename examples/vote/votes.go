package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"sync"
	"time"

	"wsd/dispatch"
	"wsd/server"
)

// topic is what clients subscribe to that want to see the tally change.
const topic = "tally"

// interval is the shortest time between two publishes of the tally.
const interval = 100 * time.Millisecond

// votes counts what is in a file, which has one choice a line.
type votes struct {
	file    *os.File
	changed chan struct{} // holds a value while a vote is not published yet

	mu     sync.Mutex // never held while anybody waits
	counts map[string]int
}

// ballot is the argument of vote_cast.
type ballot struct {
	Choice string `json:"choice"`
}

// newVotes counts the votes in file, and adds further ones at its end.
func newVotes(file *os.File, choices []string) (*votes, error) {
	v := &votes{file: file, changed: make(chan struct{}, 1), counts: make(map[string]int)}
	for _, choice := range choices {
		v.counts[choice] = 0
	}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if _, known := v.counts[lines.Text()]; !known {
			return nil, fmt.Errorf("%s: a vote for %q, which is no choice", file.Name(), lines.Text())
		}
		v.counts[lines.Text()]++
	}
	return v, lines.Err()
}

// tally answers vote_tally. It is an inline action: it runs on the loop that
// owns the client, and must not block.
func (v *votes) tally(*dispatch.Context, struct{}) (map[string]int, error) {
	return v.snapshot(), nil
}

// cast answers vote_cast with the tally. It runs on a worker, because it waits
// for the disk.
func (v *votes) cast(_ *dispatch.Context, in ballot) (map[string]int, error) {
	if !v.known(in.Choice) {
		return nil, &dispatch.Error{Code: dispatch.InvalidParams, Msg: "there is no such choice"}
	}
	if _, err := v.file.WriteString(in.Choice + "\n"); err != nil { // O_APPEND: one write is one line
		return nil, err // the client gets code 4, the log has the error
	}
	if err := v.file.Sync(); err != nil {
		return nil, err
	}
	v.add(in.Choice)
	return v.snapshot(), nil
}

func (v *votes) known(choice string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	_, known := v.counts[choice]
	return known
}

func (v *votes) add(choice string) {
	v.mu.Lock()
	v.counts[choice]++
	v.mu.Unlock()
	select {
	case v.changed <- struct{}{}:
	default: // it is to be published already
	}
}

func (v *votes) snapshot() map[string]int {
	v.mu.Lock()
	defer v.mu.Unlock()
	counts := make(map[string]int, len(v.counts))
	for choice, n := range v.counts {
		counts[choice] = n
	}
	return counts
}

// publish sends the tally to all who subscribed to it, whenever it has changed
// and at most once an interval, until ctx ends.
func (v *votes) publish(ctx context.Context, srv *server.Server) {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return
		case <-v.changed:
		}
		data, _ := json.Marshal(v.snapshot()) // a map of numbers cannot fail
		// A client that reads slowly needs the latest tally only: Coalesce.
		result, err := srv.Publish(ctx, server.Topic(topic), server.Message{Data: data, Coalesce: topic})
		switch {
		case errors.Is(err, context.Canceled):
			return
		case err != nil:
			log.Printf("the tally was not published: %v", err)
		case result.Dropped > 0:
			log.Printf("%d of %d clients did not get the tally", result.Dropped, result.Matched)
		}
		select {
		case <-ctx.Done():
		case <-time.After(interval):
		}
	}
}
