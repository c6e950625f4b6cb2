// Package agents carries the runs of a load generator over NATS: a coordinator
// offers one to an agent, which takes it or says why not, and then both have a
// stream of bytes to the other. What is in it is their own business.
package agents

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

// subject is where an agent takes offers. The streams of a run have subjects of
// their own below it.
const subject = "wsd.bench"

// offer is what a coordinator asks.
type offer struct {
	Version string `json:"version"`
	From    string `json:"from"` // the coordinator's host, for people
	Run     string `json:"run"`  // names the subjects
}

// answer is an agent's.
type answer struct {
	Version string `json:"version"`
	Refused string `json:"refused,omitempty"` // "" if it takes the run
}

func toAgent(run string) string       { return subject + "." + run + ".agent" }
func toCoordinator(run string) string { return subject + "." + run + ".coordinator" }

// decode reads an offer or an answer.
func decode[T any](m *nats.Msg) (v T, err error) {
	if err = json.Unmarshal(m.Data, &v); err != nil {
		err = fmt.Errorf("not a message of an agent: %w", err)
	}
	return v, err
}

func encode(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // of our own types
	}
	return text
}

// chunk is how much of a stream goes in one message, in bytes. A message without
// any is the end of the stream.
const chunk = 256 << 10

// flushWithin bounds how long the end of a stream may take to leave.
const flushWithin = 2 * time.Second
