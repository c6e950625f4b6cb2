//go:build !nocluster && noembed

package main

import (
	"crypto/tls"
	"errors"
	"log/slog"

	"wsd/cluster"
)

// embed says that there is no NATS server inside.
func (c *clusterFlags) embed(*slog.Logger, string, *tls.Config, int) (func([]string) (cluster.Embedded, error), error) {
	return nil, errors.New("--cluster-listen: this program is built without a NATS server inside: use --cluster-nats")
}

func explainEmbed(err error) error { return err }
