//go:build !nocluster

package main

import (
	"context"
	"errors"
	"fmt"

	"wsd/admin"
	"wsd/cluster"
)

// clusterNode says by flags what the cluster says by fields.
type clusterNode struct {
	*cluster.Node
	flags *clusterFlags
}

// TakePublishers has the node take what publishers send over NATS.
func (n *clusterNode) TakePublishers(p *admin.Publisher) {
	n.SetPublish(func(ctx context.Context, header map[string][]string, data []byte, wait bool) func(context.Context) (int, []byte) {
		return p.Begin(ctx, header, data, wait).Wait
	})
}

// Start is cluster.Node's.
func (n *clusterNode) Start(ctx context.Context) error { return n.explain(n.Node.Start(ctx)) }

// explain names the flag to change.
func (n *clusterNode) explain(err error) error {
	var taken *cluster.NameTakenError
	var connect *cluster.ConnectError
	var refused *cluster.RefusedError
	var small *cluster.PayloadError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &taken):
		return fmt.Errorf("--node %s: %w: give each its own name", taken.Node, err)
	case errors.As(err, &small):
		return fmt.Errorf("--cluster-nats %w", err)
	case errors.As(err, &connect) && n.flags.ClusterNATS != "":
		return fmt.Errorf("--cluster-nats %w", err)
	case errors.As(err, &refused) && n.flags.ClusterTLSCert != "":
		return fmt.Errorf("--cluster-secret-file, --cluster-tls-cert or --cluster-tls-ca: %w", err)
	case errors.As(err, &refused) && n.flags.ClusterSecretFile != "":
		return fmt.Errorf("--cluster-secret-file %s: %w: all nodes have to have the same", n.flags.ClusterSecretFile, err)
	case errors.As(err, &refused):
		return fmt.Errorf("--cluster-secret-file is missing: %w", err)
	}
	return explainEmbed(err)
}
