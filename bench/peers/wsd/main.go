// Command wsd serves the compared endpoints on package wsd/server, as a program of
// one's own does: `wsd serve` has no action that the others could be given. The
// action runs on a worker; with --inline on the client's loop.
package main

import (
	"context"
	"flag"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"wsd/bench/peers/peer"
	"wsd/dispatch"
	"wsd/server"
)

var inline = flag.Bool("inline", false, "run the action on the client's loop")

type wsd struct{ server atomic.Pointer[server.Server] }

func main() { peer.Main(&wsd{}) }

func say(_ *dispatch.Context, in peer.Say) (peer.Said, error) { return in.Said(), nil }

// A backend takes so long, on a worker or elsewhere: for bench/blocked.sh.
const backend = 10 * time.Millisecond

func pause(*dispatch.Context, struct{}) (bool, error) {
	time.Sleep(backend)
	return true, nil
}

func pauseLater(_ *dispatch.Context, _ struct{}, r dispatch.Reply[bool]) error {
	time.AfterFunc(backend, func() { _ = r.Answer(true, nil) })
	return nil
}

func (w *wsd) Serve(listen string) error {
	mux := dispatch.NewMux()
	dispatch.Builtins(mux)
	var opts []dispatch.Option
	if *inline {
		opts = append(opts, dispatch.Inline())
	}
	dispatch.Handle(mux, "say", say, opts...)
	dispatch.Handle(mux, "pause", pause)
	dispatch.Later(mux, "pause_later", pauseLater)
	s, err := server.New(server.Config{
		Mux:      mux,
		Listen:   []string{listen},
		EchoPath: "/echo",
		Logger:   slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return err
	}
	if err := s.Start(); err != nil {
		return err
	}
	w.server.Store(s)
	select {}
}

func (w *wsd) Publish(body []byte) peer.Tally {
	s := w.server.Load()
	if s == nil {
		return peer.Tally{}
	}
	r, _ := s.Publish(context.Background(), server.All(), server.Message{Data: body})
	return peer.Tally{Matched: r.Matched, Sent: r.Sent, Queued: r.Queued, Dropped: r.Dropped}
}

func (w *wsd) Totals() (opened, closed, messages int64) {
	s := w.server.Load()
	if s == nil {
		return 0, 0, 0
	}
	st := s.Stats()
	return int64(st.Opened), int64(st.Opened) - int64(st.Clients.Open), int64(st.MessagesIn)
}
