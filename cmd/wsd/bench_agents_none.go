//go:build nocluster

package main

import (
	"context"
	"io"

	"wsd/bench"
)

// This program is built without NATS, over which agents are reached.
type (
	benchAgents       struct{}
	benchAgentCommand struct{}
)

func (*benchAgents) connect(context.Context, io.Writer) ([]bench.Agent, error) { return nil, nil }
