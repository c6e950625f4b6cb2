//go:build !nocluster

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"

	"wsd/bench"
	"wsd/bench/agents"
)

// benchAgents are the flags of `wsd bench` for other hosts.
type benchAgents struct {
	Agents           []string `env:"-" placeholder:"HOST" help:"Hosts to run on instead of this one, as in host1,host2:8068: on each, wsd bench agent waits for that. --workers is for each of them."`
	AgentsSecretFile string   `env:"-" placeholder:"FILE" help:"What the agents ask for: their --secret-file."`
}

// agentPort is where an agent listens if nothing is said.
const agentPort = "8068"

// connect connects to the agents; there are none without --agents.
func (c *benchAgents) connect(ctx context.Context, stderr io.Writer) (all []bench.Agent, err error) {
	if len(c.Agents) == 0 {
		if c.AgentsSecretFile != "" {
			return nil, errors.New("--agents-secret-file has no effect without --agents")
		}
		return nil, nil
	}
	secret, err := readSecret(agentLog(stderr), "--agents-secret-file", c.AgentsSecretFile)
	if err != nil {
		return nil, err
	}
	cfg := agents.Config{Version: programVersion(), Secret: secret}
	cfg.From, _ = os.Hostname()
	for _, host := range c.Agents {
		address := withPort(host)
		conn, err := agents.Dial(ctx, address, cfg)
		if errors.Is(err, agents.ErrSecret) {
			err = fmt.Errorf("%w: give its --secret-file as --agents-secret-file", err)
		}
		if err != nil {
			for _, a := range all {
				a.Conn.Close()
			}
			return nil, fmt.Errorf("--agents %s: %w", host, err)
		}
		name, _, _ := net.SplitHostPort(address)
		all = append(all, bench.Agent{Name: host, Here: isLoopback(name), Conn: conn})
	}
	return all, nil
}

// withPort adds the port to a host that has none.
func withPort(host string) string {
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), agentPort)
}

func agentLog(stderr io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(stderr, nil)) }

type benchAgentCommand struct {
	Agent benchAgentCmd `cmd:"" help:"Wait for runs of wsd bench --agents on other hosts, and take part in them."`
}

type benchAgentCmd struct {
	Listen     string `env:"-" default:"127.0.0.1:8068" placeholder:"ADDRESS" help:"Where wsd bench --agents connects. Other than loopback needs --secret-file: who can connect can have this host put load on any other."`
	SecretFile string `env:"-" placeholder:"FILE" help:"What who connects has to know: at least 16 bytes."`
}

// check refuses what must not be.
func (c *benchAgentCmd) check() error {
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("--listen %q: write host:port, as in 10.0.0.1:%s", c.Listen, agentPort)
	}
	if c.SecretFile == "" && !isLoopback(host) {
		return fmt.Errorf("--listen %s: others than this machine reach it: give --secret-file, and the same to wsd bench as --agents-secret-file", c.Listen)
	}
	return nil
}

// serveRun takes part in one run.
func serveRun(ctx context.Context, log *slog.Logger, from string, conn io.ReadWriteCloser) {
	log.Info("a run begins", "from", from)
	if err := bench.ServeRun(ctx, conn, benchWorker); err != nil {
		log.Warn("a run has ended before its time", "from", from, "reason", err)
		return
	}
	log.Info("a run has ended", "from", from)
}
