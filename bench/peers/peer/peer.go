// Package peer holds what all compared servers have in common: the flags, the
// heartbeat action and the publisher's HTTP side. What remains in each peer's
// main is how its library holds clients and moves bytes, which is the thing
// being compared.
package peer

import (
	"flag"
	"fmt"
	"os"
)

// MaxMessage is the largest message, in bytes, that any peer takes.
const MaxMessage = 1 << 20

// Server is one library's way of serving clients.
type Server interface {
	// Serve takes WebSocket clients on the address; it returns only when it
	// cannot go on. Path /echo returns each message, any other answers actions.
	Serve(listen string) error
	// Publish sends body to all clients as one text frame. The body is the
	// callee's to keep. Called from any goroutine.
	Publish(body []byte) Tally
}

// Tally is the answer to a publish: what became of it, in clients.
type Tally struct {
	Matched int `json:"matched"`
	Sent    int `json:"sent"`
	Queued  int `json:"queued"`
	Dropped int `json:"dropped"`
}

// Main is the main function of every peer.
func Main(s Server) {
	listen := flag.String("listen", "127.0.0.1:8066", "`host:port` of /ws and /echo")
	admin := flag.String("admin", "127.0.0.1:8067", "`host:port` of /v1/publish and /v1/stats")
	parse := flag.String("parse", "json", "how an action is found: `json` (encoding/json, as an application would) or scan (a search for one constant)")
	flag.Parse()
	if err := run(s, *listen, *admin, *parse); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(s Server, listen, admin, parse string) error {
	if flag.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q: there are only flags", flag.Arg(0))
	}
	if err := setParse(parse); err != nil {
		return err
	}
	fail := make(chan error, 2)
	go func() { fail <- fmt.Errorf("admin on %s: %w", admin, serveAdmin(admin, s)) }()
	go func() { fail <- fmt.Errorf("clients on %s: %w", listen, s.Serve(listen)) }()
	return <-fail
}
