// Gin mounts the server in a gin router, where the action protocol came
// from. gin routes and checks the request; then the connection's descriptor
// moves into the loops of the server, and neither gin nor net/http has a
// goroutine or a buffer left for it.
//
//	go run . -listen 127.0.0.1:8066
//	curl -d 'hello, all' http://127.0.0.1:8066/news
package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"log"
	"net"
	"net/http"
	"os/signal"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"wsd/dispatch"
	"wsd/server"
)

// Greeter has actions in the original's way: each exported method is one, named
// in snake_case. This one is say_hello.
type Greeter struct{}

// SayHello answers {"actioncode":"say_hello","data":{"name":"Ada"}}.
func (Greeter) SayHello(_ *dispatch.Context, in struct{ Name string }) (string, error) {
	if in.Name == "" {
		return "", &dispatch.Error{Code: dispatch.InvalidParams, Msg: "whom should I greet?"}
	}
	return "Hello, " + in.Name, nil
}

// newServer makes a server without a listener: gin has it.
func newServer() (*server.Server, error) {
	actions := dispatch.NewMux()
	dispatch.Builtins(actions)
	actions.Register(Greeter{})
	return server.New(server.Config{Mux: actions, Listen: []string{"none"}, DrainTime: time.Second})
}

// maxNews bounds what is sent to all, in bytes.
const maxNews = 64 << 10

// newRouter mounts it at /ws, and beside it what belongs to HTTP. Whoever can
// post news reaches every client: put a check of yours in front.
func newRouter(srv *server.Server, middleware ...gin.HandlerFunc) *gin.Engine {
	r := gin.New()
	r.Use(middleware...)
	r.GET("/ws", gin.WrapH(srv))
	r.GET("/stats", func(c *gin.Context) { c.JSON(http.StatusOK, srv.Stats()) })
	r.POST("/news", func(c *gin.Context) {
		body, err := io.ReadAll(http.MaxBytesReader(c.Writer, c.Request.Body, maxNews))
		if err != nil || !utf8.Valid(body) { // a text message has to be
			c.AbortWithStatus(http.StatusBadRequest)
			return
		}
		result, err := srv.Publish(c, server.All(), server.Message{Data: body})
		if err != nil {
			c.AbortWithStatus(http.StatusServiceUnavailable)
			return
		}
		c.JSON(http.StatusOK, result)
	})
	return r
}

// serve answers on l until ctx ends. The clients are told first: net/http does
// not know of them any more.
func serve(ctx context.Context, l net.Listener, srv *server.Server, router http.Handler) error {
	if err := srv.Start(); err != nil {
		return err
	}
	web := &http.Server{Handler: router, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() {
		_ = srv.Stop(context.Background(), false) // each gets a close frame with 1001
		_ = web.Close()
	})
	return web.Serve(l)
}

func main() {
	listen := flag.String("listen", "127.0.0.1:8066", "`address` to serve on")
	flag.Parse()
	gin.SetMode(gin.ReleaseMode)
	srv, err := newServer()
	if err != nil {
		log.Fatal(err)
	}
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	log.Printf("clients connect to ws://%s/ws", l.Addr())
	if err := serve(ctx, l, srv, newRouter(srv, gin.Logger(), gin.Recovery())); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
}
