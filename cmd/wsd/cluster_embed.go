//go:build !nocluster && !noembed

package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"

	"wsd/cluster"
	"wsd/cluster/embed"
)

// leastPayload is what the NATS server inside carries at least, in bytes.
const leastPayload = 8 << 20

// embed is how the NATS server inside is started.
func (c *clusterFlags) embed(log *slog.Logger, secret string, mutual *tls.Config, maxPublish int) (func([]string) (cluster.Embedded, error), error) {
	cfg := embed.Config{Cluster: c.Cluster, Name: c.Node, Listen: c.ClusterListen, Peers: c.ClusterPeers, Clients: c.ClusterClients,
		Secret: secret, TLS: mutual, MaxPayload: max(leastPayload, maxPublish+maxPublish/8+(1<<20)), Logger: log}
	return func(known []string) (cluster.Embedded, error) {
		cfg.Known = known
		return started(embed.Start(cfg))
	}, nil
}

func started(s *embed.Server, err error) (cluster.Embedded, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

// explainEmbed names the flag to change.
func explainEmbed(err error) error {
	var wrong *embed.Error
	if errors.As(err, &wrong) {
		return fmt.Errorf("--%s %s: %w", clusterFlagNames[wrong.Field], wrong.Value, wrong.Err)
	}
	return err
}
