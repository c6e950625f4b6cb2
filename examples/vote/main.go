// Vote is a poll that everybody watches live. It is a module of its own, as a
// program outside of this repository is: docs/library.md goes through it.
//
//	go run . -listen 127.0.0.1:8066 -choices tea,coffee
//
// A client sends {"actioncode":"vote_cast","data":{"choice":"tea"}} to vote, and
// {"actioncode":"subscribe","data":{"topics":["tally"]}} to see the tally change.
package main

import (
	"context"
	"flag"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"wsd/dispatch"
	"wsd/server"
)

// newServer makes a server that listens on address and has the actions of v
// beside the built-in ones.
func newServer(address string, v *votes) (*server.Server, error) {
	actions := dispatch.NewMux()
	dispatch.Builtins(actions)
	dispatch.Handle(actions, "vote_tally", v.tally, dispatch.Inline()) // looks at memory only
	dispatch.Handle(actions, "vote_cast", v.cast)                      // waits for the disk: on a worker
	return server.New(server.Config{
		Mux:         actions,
		Listen:      []string{address},
		MessageRate: 20, // of one client, per second
		Topics:      []string{topic},
		DrainTime:   time.Second,
	})
}

// stopTimeout is the longest that a stop may take: DrainTime, and some seconds
// for clients to answer the close.
const stopTimeout = 10 * time.Second

// serve runs srv, and publishes the tally, until ctx ends.
func serve(ctx context.Context, srv *server.Server, v *votes) error {
	err := srv.Start()
	if err == nil {
		log.Printf("clients connect to ws://%s/ws", srv.Addrs()[0])
		v.publish(ctx, srv)
	}
	timeout, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if stopped := srv.Stop(timeout, false); err == nil { // every client gets a close frame with 1001
		err = stopped
	}
	return err
}

func run() error {
	listen := flag.String("listen", "127.0.0.1:8066", "`address` for clients")
	choices := flag.String("choices", "tea,coffee", "what can be voted for, with commas between")
	path := flag.String("file", "votes.log", "`file` that every vote is added to")
	flag.Parse()
	file, err := os.OpenFile(*path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	v, err := newVotes(file, strings.Split(*choices, ","))
	if err != nil {
		return err
	}
	srv, err := newServer(*listen, v)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	return serve(ctx, srv, v)
}

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}
