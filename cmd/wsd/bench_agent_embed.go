//go:build !nocluster && !noembed

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"

	"wsd/bench/agents"
	"wsd/cluster/embed"
)

// agentPatience is how long a coordinator may take nothing of what is sent to it: its
// link may be slow, and a result large.
const agentPatience = 30 * time.Second

// Run serves runs until it is told to stop.
func (c *benchAgentCmd) Run(stderr diagnostics) error {
	if err := c.check(); err != nil {
		return err
	}
	log := agentLog(stderr)
	secret, err := readSecret(log, "--secret-file", c.SecretFile)
	if err != nil {
		return err
	}
	server, err := embed.Start(embed.Config{Name: "bench", Clients: c.Listen, Secret: secret, MaxPayload: leastPayload,
		WriteDeadline: agentPatience, Logger: log})
	if wrong := new(embed.Error); errors.As(err, &wrong) {
		return fmt.Errorf("--listen %s: %w", c.Listen, wrong.Err)
	}
	if err != nil {
		return err
	}
	defer server.Stop()
	nc, err := nats.Connect("", nats.InProcessServer(server), nats.UserInfo(server.Login()),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { log.Warn("nats: " + err.Error()) }))
	if err != nil {
		return err
	}
	defer nc.Close()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	log.Info("waiting for runs", "listen", server.ClientsAddr(), "version", programVersion())
	return agents.Serve(ctx, nc, programVersion(), func(ctx context.Context, from string, conn io.ReadWriteCloser) {
		serveRun(ctx, log, from, conn)
	})
}
