package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

const (
	patience = 20 * time.Second
	beat     = `{"actioncode":"heart_beat"}`
	alive    = `{"code":0,"msg":"success","data":true,"actioncode":"heart_beat"}`
)

func init() { gin.SetMode(gin.ReleaseMode) }

// begin serves until the test ends, or stop is called.
func begin(t *testing.T, middleware ...gin.HandlerFunc) (address string, stop func() error) {
	t.Helper()
	srv, err := newServer()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- serve(ctx, l, srv, newRouter(srv, middleware...))
		close(ended)
	}()
	stop = func() error {
		cancel()
		return <-ended
	}
	t.Cleanup(func() { _ = stop() })
	return l.Addr().String(), stop
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, _, _, err := ws.Dial(ctx, "ws://"+address+"/ws")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c
}

func ask(t *testing.T, c io.ReadWriter, request string) string {
	t.Helper()
	if err := wsutil.WriteClientText(c, []byte(request)); err != nil {
		t.Fatal(err)
	}
	answer, err := wsutil.ReadServerText(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

// until waits for a condition that has to come true by itself.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not so: %s", what)
		}
	}
}

func TestActions(t *testing.T) {
	address, _ := begin(t)
	c := dial(t, address)
	for request, want := range map[string]string{
		beat: alive,
		`{"actioncode":"say_hello","data":{"name":"Ada"},"seq":7}`: `{"code":0,"msg":"success","data":"Hello, Ada","actioncode":"say_hello","seq":7}`,
		`{"actioncode":"say_hello"}`:                               `{"code":1,"msg":"whom should I greet?","data":null,"actioncode":"say_hello"}`,
		`{"actioncode":"say_nothing"}`:                             `{"code":5,"msg":"method not found","data":null,"actioncode":"say_nothing"}`,
	} {
		if got := ask(t, c, request); got != want {
			t.Errorf("%s: got %s, want %s", request, got, want)
		}
	}
	frame := ws.MaskFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(4321, "bye")))
	if err := ws.WriteFrame(c, frame); err != nil {
		t.Fatal(err)
	}
	header, err := ws.ReadHeader(c)
	if err != nil || header.OpCode != ws.OpClose || header.Length < 2 || header.Length > ws.MaxControlFramePayloadSize {
		t.Fatalf("the close was answered by %+v, %v", header, err)
	}
	payload := make([]byte, header.Length)
	if _, err := io.ReadFull(c, payload); err != nil {
		t.Fatal(err)
	}
	if code, _ := ws.ParseCloseFrameData(payload); code != 4321 {
		t.Errorf("the close was answered by %d", code)
	}
	if n, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after the close: %d bytes and %v, want the end", n, err)
	}
}

// gin's side goes on as if nothing had happened.
func TestHTTPBesideIt(t *testing.T) {
	address, _ := begin(t)
	one, two := dial(t, address), dial(t, address)
	var stats struct{ Clients struct{ Open int } }
	call(t, "GET", "http://"+address+"/stats", "", 200, &stats)
	if stats.Clients.Open != 2 {
		t.Errorf("%d clients, want 2", stats.Clients.Open)
	}
	var sent struct{ Matched, Sent int }
	call(t, "POST", "http://"+address+"/news", "hello, all", 200, &sent)
	if sent.Matched != 2 || sent.Sent != 2 {
		t.Errorf("the news went to %+v, want 2", sent)
	}
	for _, c := range []net.Conn{one, two} {
		if got, err := wsutil.ReadServerText(c); string(got) != "hello, all" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
	}
	call(t, "POST", "http://"+address+"/news", "\xff", 400, nil)
	call(t, "POST", "http://"+address+"/news", strings.Repeat("x", maxNews+1), 400, nil)
	call(t, "GET", "http://"+address+"/ws", "", 426, nil) // no upgrade
	call(t, "POST", "http://"+address+"/ws", "", 404, nil)
}

func call(t *testing.T, method, url, body string, status int, into any) {
	t.Helper()
	request, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != status {
		t.Fatalf("%s %s: %s, want %d", method, url, answer.Status, status)
	}
	if into != nil {
		if err := json.NewDecoder(answer.Body).Decode(into); err != nil {
			t.Fatal(err)
		}
	}
}

// Middleware decides before anything is taken over.
func TestMiddleware(t *testing.T) {
	address, _ := begin(t, func(c *gin.Context) {
		if c.Query("key") != "sesame" {
			c.AbortWithStatus(http.StatusUnauthorized)
		}
	})
	_, _, _, err := ws.Dial(context.Background(), "ws://"+address+"/ws")
	if status, ok := err.(ws.StatusError); !ok || int(status) != 401 {
		t.Errorf("without the key: %v, want status 401", err)
	}
	c, _, _, err := ws.Dial(context.Background(), "ws://"+address+"/ws?key=sesame")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := ask(t, c, beat); got != alive {
		t.Errorf("got %s", got)
	}
}

// A connection that carried other requests before, and a first message that
// comes in one piece with the handshake: nothing of it gets lost on the way.
func TestOneStream(t *testing.T) {
	address, _ := begin(t)
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	var stream bytes.Buffer
	fmt.Fprintf(&stream, "GET /stats HTTP/1.1\r\nHost: %s\r\n\r\n", address)
	fmt.Fprintf(&stream, "GET /ws HTTP/1.1\r\nHost: %s\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", address)
	const messages = 300
	for range messages {
		if err := wsutil.WriteClientText(&stream, []byte(beat)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Write(stream.Bytes()); err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	want := strings.Repeat("\x81"+string(rune(len(alive)))+alive, messages)
	buf := make([]byte, 4096)
	for !strings.HasSuffix(got.String(), want) {
		n, err := c.Read(buf)
		got.Write(buf[:n])
		if err != nil {
			t.Fatalf("%v after %q", err, got.String())
		}
	}
	if head := strings.TrimSuffix(got.String(), want); strings.Count(head, "HTTP/1.1 ") != 2 ||
		!strings.Contains(head, "HTTP/1.1 101 ") || !strings.Contains(head, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") {
		t.Errorf("before the messages came %q", head)
	}
}

// Each client costs the process one descriptor and no goroutine, and gives the
// descriptor back.
func TestTakenOver(t *testing.T) {
	address, _ := begin(t)
	first := dial(t, address) // whatever is made once, is made now
	ask(t, first, beat)
	http.DefaultClient.CloseIdleConnections()
	descriptors, goroutines := openDescriptors(t), runtime.NumGoroutine()

	const n = 100
	var clients []net.Conn
	for range n {
		c := dial(t, address)
		ask(t, c, beat)
		clients = append(clients, c)
	}
	// This process has both ends of each.
	until(t, "two descriptors for both ends of a connection", func() bool { return openDescriptors(t) == descriptors+2*n })
	until(t, "no goroutine for a client", func() bool { return runtime.NumGoroutine() < goroutines+n/10 })
	for _, c := range clients {
		c.Close()
	}
	until(t, "all descriptors given back", func() bool { return openDescriptors(t) == descriptors })
	if got := ask(t, first, beat); got != alive {
		t.Errorf("got %s", got)
	}
}

func openDescriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestStop(t *testing.T) {
	address, stop := begin(t)
	c := dial(t, address)
	ask(t, c, beat)
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	_, err := wsutil.ReadServerText(c) // answers the close
	if closed, ok := errors.AsType[wsutil.ClosedError](err); !ok || closed.Code != ws.StatusGoingAway {
		t.Errorf("got %v, want a close with 1001", err)
	}
	if err := <-stopped; err != http.ErrServerClosed {
		t.Errorf("it ended with %v", err)
	}
}
