//go:build !nocluster

package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"wsd/auth"
	"wsd/cluster"
	"wsd/server"
)

type clusterFlags struct {
	Cluster       string   `placeholder:"NAME" help:"Name of the cluster that this process is a node of: publishers reach the clients of all nodes from any of them. None given: it is alone."`
	Node          string   `placeholder:"NAME" help:"Name of this node; none given: that of the host, with four random digits."`
	ClusterListen string   `placeholder:"ADDRESS" help:"Where the NATS servers inside other nodes connect, as in 10.0.0.1:6222. Other than loopback needs --cluster-secret-file."`
	ClusterPeers  []string `placeholder:"ADDRESS" help:"Where others listen with --cluster-listen; one of them is enough, and the first node needs none. A name with several addresses stands for all of them."`

	ClusterClients    string `placeholder:"ADDRESS" help:"Where neighbours without a NATS server of their own connect with --cluster-nats."`
	ClusterSecretFile string `placeholder:"FILE" help:"What nodes prove to each other that they know: at least 16 bytes, the same in all of them."`
	ClusterTLSCert    string `name:"cluster-tls-cert" placeholder:"FILE" help:"Certificate (PEM) of this node, for mutual TLS between nodes."`
	ClusterTLSKey     string `name:"cluster-tls-key" placeholder:"FILE" help:"Its key (PEM)."`
	ClusterTLSCA      string `name:"cluster-tls-ca" placeholder:"FILE" help:"Certificates (PEM) that sign those of the other nodes."`

	ClusterNATS      string `name:"cluster-nats" placeholder:"URL" help:"An external NATS server instead of the one inside, as in nats://10.0.0.9:4222; several with commas."`
	ClusterCreds     string `placeholder:"FILE" help:"Credentials for it: a JWT with its seed."`
	ClusterNkeyFile  string `placeholder:"FILE" help:"Credentials for it: the seed of an NKey."`
	ClusterTokenFile string `placeholder:"FILE" help:"Credentials for it: a token."`

	ClusterExpect        count `default:"0" help:"Nodes that there are: while fewer are known, no answer is complete. 0: nobody knows."`
	ClusterBuckets       count `default:"65536" help:"Buckets that this node deals topics to, so that others know which publishes have to come here: a power of two, up to 1048576. A larger number spares a node with ten thousand topics or more most publishes that nobody there wants."`
	ClusterSubscribeWait span  `default:"250ms" help:"How long the answer to a subscribe, or to a handshake whose token has topics or a limit, waits for the other nodes."`
	ClusterForget        span  `default:"5m" help:"How long a node that is gone without a word is missing in answers."`
}

// clusterFlagNames are those that are not the fields' of cluster.Config and embed.Config.
var clusterFlagNames = map[string]string{"Listen": "cluster-listen", "Peers": "cluster-peers", "Clients": "cluster-clients",
	"Expect": "cluster-expect", "Buckets": "cluster-buckets", "SubscribeWait": "cluster-subscribe-wait", "Forget": "cluster-forget"}

// checkCluster refuses flags that have no effect, or cannot be meant.
func (f *serveFlags) checkCluster() error {
	c := &f.Cluster
	type flag struct {
		name  string
		given bool
	}
	others := []flag{
		{"node", c.Node != ""}, {"cluster-listen", c.ClusterListen != ""}, {"cluster-peers", len(c.ClusterPeers) > 0},
		{"cluster-clients", c.ClusterClients != ""}, {"cluster-secret-file", c.ClusterSecretFile != ""},
		{"cluster-tls-cert", c.ClusterTLSCert != ""}, {"cluster-tls-key", c.ClusterTLSKey != ""}, {"cluster-tls-ca", c.ClusterTLSCA != ""},
		{"cluster-nats", c.ClusterNATS != ""}, {"cluster-creds", c.ClusterCreds != ""}, {"cluster-nkey-file", c.ClusterNkeyFile != ""},
		{"cluster-token-file", c.ClusterTokenFile != ""}, {"cluster-expect", c.ClusterExpect != 0},
	}
	for _, n := range []struct {
		flag         string
		value, usual int64
	}{
		{"cluster-buckets", int64(c.ClusterBuckets), 65536},
		{"cluster-subscribe-wait", int64(c.ClusterSubscribeWait), int64(250 * time.Millisecond)},
		{"cluster-forget", int64(c.ClusterForget), int64(5 * time.Minute)},
	} {
		if n.value == 0 { // which is the default in cluster.Config, and nobody means that
			return fmt.Errorf("--%s 0: it has to be more; leave it out for the default", n.flag)
		}
		others = append(others, flag{n.flag, n.value != n.usual})
	}
	if c.Cluster == "" {
		for _, o := range others {
			if o.given {
				return fmt.Errorf("--%s has no effect without --cluster", o.name)
			}
		}
		return nil
	}
	if (c.ClusterListen == "") == (c.ClusterNATS == "") {
		return fmt.Errorf("--cluster %s: say where: --cluster-listen for a NATS server inside, or --cluster-nats for one elsewhere", c.Cluster)
	}
	if err := c.checkKind(); err != nil {
		return err
	}
	return named(f.clusterConfig(nil).Check(), clusterFlagNames)
}

// checkKind refuses flags of the one kind of NATS with the other.
func (c *clusterFlags) checkKind() error {
	switch {
	case c.ClusterNATS != "" && (len(c.ClusterPeers) > 0 || c.ClusterClients != ""):
		return errors.New("--cluster-peers and --cluster-clients are for the NATS server inside: leave them out with --cluster-nats")
	case c.ClusterNATS == "" && (c.ClusterCreds != "" || c.ClusterNkeyFile != "" || c.ClusterTokenFile != ""):
		return errors.New("--cluster-creds, --cluster-nkey-file and --cluster-token-file are for --cluster-nats")
	case count(0)+given(c.ClusterCreds)+given(c.ClusterNkeyFile)+given(c.ClusterTokenFile)+given(c.ClusterSecretFile) > 1 && c.ClusterNATS != "":
		return errors.New("--cluster-creds, --cluster-nkey-file, --cluster-token-file and --cluster-secret-file: give one of them with --cluster-nats")
	case (c.ClusterTLSCert == "") != (c.ClusterTLSKey == ""):
		return errors.New("--cluster-tls-cert and --cluster-tls-key go together")
	case c.ClusterListen != "" && (c.ClusterTLSCert == "") != (c.ClusterTLSCA == ""):
		return errors.New("--cluster-tls-cert and --cluster-tls-ca go together: nodes trust each other, or nobody")
	}
	for flag, address := range map[string]string{"cluster-listen": c.ClusterListen, "cluster-clients": c.ClusterClients} {
		if address == "" {
			continue
		}
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return fmt.Errorf("--%s %q: write host:port, as in 10.0.0.1:6222", flag, address)
		}
		if c.ClusterSecretFile == "" && !isLoopback(host) {
			return fmt.Errorf("--%s %s: others than this machine reach it: give all nodes the same --cluster-secret-file", flag, address)
		}
	}
	return nil
}

// isLoopback says whether only this machine reaches a host.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func given(text string) count {
	if text == "" {
		return 0
	}
	return 1
}

// clusterConfig turns the flags into the cluster's terms, but for the way to NATS.
func (f *serveFlags) clusterConfig(log *slog.Logger) cluster.Config {
	c := &f.Cluster
	return cluster.Config{Cluster: c.Cluster, Node: c.Node, Version: programVersion(), Expect: int(c.ClusterExpect),
		Buckets: int(c.ClusterBuckets), SubscribeWait: time.Duration(c.ClusterSubscribeWait), Forget: time.Duration(c.ClusterForget),
		KeyWindow: time.Duration(f.Admin.IdempotencyWindow), Keys: limit(f.Admin.IdempotencyKeys),
		MaxPublish: int(f.Admin.MaxPublish), Logger: log}
}

// newCluster makes the server a node; nil if it is to be alone.
func (f *serveFlags) newCluster(log *slog.Logger, s *server.Server) (clusterSide, error) {
	c := &f.Cluster
	if c.Cluster == "" {
		return nil, nil
	}
	cfg := f.clusterConfig(log)
	secret, err := c.secret(log)
	if err != nil {
		return nil, err
	}
	mutual, err := c.tls()
	if err != nil {
		return nil, err
	}
	if c.ClusterNATS != "" {
		cfg.URL = c.ClusterNATS
		cfg.Options, err = c.logIn(log, secret, mutual)
	} else {
		cfg.Embed, err = c.embed(log, secret, mutual, int(f.Admin.MaxPublish))
	}
	if err != nil {
		return nil, err
	}
	node, err := cluster.New(cfg, s)
	if err != nil {
		return nil, named(err, clusterFlagNames)
	}
	return &clusterNode{Node: node, flags: c}, nil
}

// leastSecret is how long a secret has to be, so that nobody finds it by trying.
const leastSecret = 16

func (c *clusterFlags) secret(log *slog.Logger) (string, error) {
	return readSecret(log, "--cluster-secret-file", c.ClusterSecretFile)
}

// readSecret reads the file of a flag; no file is no secret.
func readSecret(log *slog.Logger, flag, file string) (string, error) {
	if file == "" {
		return "", nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("%s: %w", flag, err)
	}
	text = bytes.TrimSpace(text)
	if len(text) < leastSecret {
		return "", fmt.Errorf("%s %s: a secret has %d bytes at least: openssl rand -hex 32 makes one", flag, file, leastSecret)
	}
	auth.WarnExposed(log, file, true)
	return string(text), nil
}

// tls is nil if no certificates are given. With those of this node, others have to
// have one, too.
func (c *clusterFlags) tls() (*tls.Config, error) {
	if c.ClusterTLSCert == "" && c.ClusterTLSCA == "" {
		return nil, nil
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.ClusterTLSCert != "" {
		pair, err := tls.LoadX509KeyPair(c.ClusterTLSCert, c.ClusterTLSKey)
		if err != nil {
			return nil, fmt.Errorf("--cluster-tls-cert %s, --cluster-tls-key %s: %w", c.ClusterTLSCert, c.ClusterTLSKey, err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	if c.ClusterTLSCA != "" {
		text, err := os.ReadFile(c.ClusterTLSCA)
		if err != nil {
			return nil, fmt.Errorf("--cluster-tls-ca: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("--cluster-tls-ca %s: there is no certificate (PEM) in it", c.ClusterTLSCA)
		}
		cfg.RootCAs, cfg.ClientCAs, cfg.ClientAuth = pool, pool, tls.RequireAndVerifyClientCert
	}
	return cfg, nil
}

// logIn is how an external NATS server is told who this is.
func (c *clusterFlags) logIn(log *slog.Logger, secret string, mutual *tls.Config) (list []nats.Option, err error) {
	if mutual != nil {
		list = append(list, nats.Secure(mutual))
	}
	switch {
	case secret != "":
		list = append(list, nats.UserInfo("wsd", secret))
	case c.ClusterCreds != "":
		if _, err = os.Stat(c.ClusterCreds); err != nil {
			return nil, fmt.Errorf("--cluster-creds: %w", err)
		}
		list = append(list, nats.UserCredentials(c.ClusterCreds))
	case c.ClusterNkeyFile != "":
		option, err := nats.NkeyOptionFromSeed(c.ClusterNkeyFile)
		if err != nil {
			return nil, fmt.Errorf("--cluster-nkey-file %s: %w", c.ClusterNkeyFile, err)
		}
		list = append(list, option)
	case c.ClusterTokenFile != "":
		text, err := os.ReadFile(c.ClusterTokenFile)
		if err != nil {
			return nil, fmt.Errorf("--cluster-token-file: %w", err)
		}
		list = append(list, nats.Token(strings.TrimSpace(string(text))))
	}
	for _, file := range []string{c.ClusterCreds, c.ClusterNkeyFile, c.ClusterTokenFile} {
		if file != "" {
			auth.WarnExposed(log, file, true)
		}
	}
	return list, nil
}
