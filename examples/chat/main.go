// Chat is a whole program on top of wsd: two actions, rooms that are topics, and
// a page to talk in. There are no accounts: people are who they say they are.
package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"flag"
	"log"
	"net"
	"net/http"
	"os/signal"
	"regexp"
	"slices"
	"syscall"
	"time"

	"wsd/dispatch"
	"wsd/server"
)

//go:embed index.html
var page []byte

// line is the argument of both actions, and what the room gets.
type line struct {
	Event string `json:"event"` // joined or said
	Room  string `json:"room"`
	Name  string `json:"name"`
	Text  string `json:"text,omitempty"`
}

var name = regexp.MustCompile(`^[\p{L}\p{N}][\p{L}\p{N} _.-]{0,31}$`)

// chat has the actions; each answers how many people it reached. They run on
// workers, so they may wait, as Publish does.
type chat struct{ srv *server.Server }

func (c *chat) join(ctx *dispatch.Context, in line) (int, error) {
	if !name.MatchString(in.Room) || !name.MatchString(in.Name) {
		return 0, &dispatch.Error{Code: dispatch.InvalidParams, Msg: "names are 1 to 32 letters, digits, spaces, _ . and -"}
	}
	_ = ctx.Client.Unsubscribe(ctx.Client.Topics()...) // one room at a time
	if err := ctx.Client.Subscribe("room." + in.Room); err != nil {
		return 0, err
	}
	return c.tell(ctx, line{"joined", in.Room, in.Name, ""})
}

func (c *chat) say(ctx *dispatch.Context, in line) (int, error) {
	if !name.MatchString(in.Name) || in.Text == "" || !slices.Contains(ctx.Client.Topics(), "room."+in.Room) {
		return 0, &dispatch.Error{Code: dispatch.PermissionDenied, Msg: "join the room first, and then say something"}
	}
	return c.tell(ctx, line{"said", in.Room, in.Name, in.Text})
}

func (c *chat) tell(ctx context.Context, event line) (int, error) {
	data, _ := json.Marshal(event) // nothing in a line can fail
	result, err := c.srv.Publish(ctx, server.Topic("room."+event.Room), server.Message{Data: data})
	return result.Matched, err
}

// serve answers on l until ctx ends: the page, and at /ws what it talks to.
func serve(ctx context.Context, l net.Listener) (err error) {
	c, actions, routes := new(chat), dispatch.NewMux(), http.NewServeMux()
	dispatch.Builtins(actions)
	dispatch.Handle(actions, "chat_join", c.join)
	dispatch.Handle(actions, "chat_say", c.say)
	c.srv, err = server.New(server.Config{Mux: actions, Listen: []string{"none"}, MessageRate: 20, DrainTime: time.Second})
	if err != nil {
		return err
	}
	routes.Handle("GET /ws", c.srv) // takes the connections over into its loops
	routes.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(page) })
	web := &http.Server{Handler: routes, ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() {
		_ = c.srv.Stop(context.Background(), false) // every page hears 1001
		_ = web.Close()
	})
	if err = c.srv.Start(); err == nil {
		err = web.Serve(l)
	}
	return err
}

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "`address` to serve on")
	flag.Parse()
	l, err := net.Listen("tcp", *listen)
	if err == nil {
		log.Printf("open http://%s in two windows", l.Addr())
		ctx, _ := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
		err = serve(ctx, l)
	}
	if err != http.ErrServerClosed {
		log.Fatal(err)
	}
}
