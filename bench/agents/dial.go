package agents

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go"
)

// User is the name that goes with the secret.
const User = "wsd"

// Config is what a coordinator says of itself.
type Config struct {
	// Version has to be the agents' too.
	Version string
	// From is the coordinator's host, for people.
	From string
	// Secret is what agents ask for; "" means none.
	Secret string
}

const (
	dialTimeout = 5 * time.Second
	// An agent that is not there is noticed after so many pings, unless its host
	// says so at once.
	pingInterval = 2 * time.Second
	pingsOut     = 3
)

// ErrSecret means that an agent asks for another secret.
var ErrSecret = errors.New("the agent has another secret")

// Dial offers a run to the agent at an address, host:port, and returns the stream to
// it. The stream breaks when the connection does.
func Dial(ctx context.Context, address string, cfg Config) (io.ReadWriteCloser, error) {
	options := []nats.Option{nats.Name("wsd bench"), nats.NoReconnect(), nats.Timeout(dialTimeout),
		nats.PingInterval(pingInterval), nats.MaxPingsOutstanding(pingsOut),
		// A broken connection is told by the stream.
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})}
	if cfg.Secret != "" {
		options = append(options, nats.UserInfo(User, cfg.Secret))
	}
	nc, err := nats.Connect("nats://"+address, options...)
	switch {
	case errors.Is(err, nats.ErrAuthorization):
		return nil, ErrSecret
	case errors.Is(err, nats.ErrNoServers):
		return nil, errors.New("no agent listens there: start it with wsd bench agent")
	case err != nil:
		return nil, err
	}
	s, err := take(ctx, nc, cfg)
	if err != nil {
		nc.Close()
		return nil, err
	}
	return s, nil
}

// take has the agent take the run.
func take(ctx context.Context, nc *nats.Conn, cfg Config) (*stream, error) {
	run := rand.Text()
	s, err := newStream(nc, toCoordinator(run), toAgent(run), true)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	m, err := nc.RequestWithContext(ctx, subject, encode(offer{Version: cfg.Version, From: cfg.From, Run: run}))
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return nil, errors.New("a NATS server is there, and no agent")
	case err != nil:
		return nil, fmt.Errorf("no answer: %w", err)
	}
	a, err := decode[answer](m)
	if err == nil && a.Refused != "" {
		err = errors.New(a.Refused)
	}
	return s, err
}
