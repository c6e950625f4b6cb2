package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

const patience = 20 * time.Second

// begin serves the chat until the test ends, or stop is called.
func begin(t *testing.T) (address string, stop func() error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- serve(ctx, l)
		close(ended)
	}()
	stop = func() error {
		cancel()
		return <-ended
	}
	t.Cleanup(func() { _ = stop() })
	return l.Addr().String(), stop
}

// person is one client.
type person struct {
	t *testing.T
	net.Conn
}

func arrive(t *testing.T, address string) person {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, br, _, err := ws.Dial(ctx, "ws://"+address+"/ws")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if br != nil {
		t.Fatal("the server spoke first")
	}
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return person{t, c}
}

func (p person) send(action string, data line) {
	p.t.Helper()
	request, err := json.Marshal(map[string]any{"actioncode": action, "data": data})
	if err != nil {
		p.t.Fatal(err)
	}
	if err := wsutil.WriteClientText(p, request); err != nil {
		p.t.Fatal(err)
	}
}

// hears expects messages, in this order and as they stand here.
func (p person) hears(messages ...string) {
	p.t.Helper()
	for _, want := range messages {
		got, err := wsutil.ReadServerText(p)
		if err != nil {
			p.t.Fatalf("%v, want %s", err, want)
		}
		if string(got) != want {
			p.t.Fatalf("got %s, want %s", got, want)
		}
	}
}

func TestRooms(t *testing.T) {
	address, _ := begin(t)
	ada, bob, eve := arrive(t, address), arrive(t, address), arrive(t, address)

	ada.send("chat_join", line{Room: "den", Name: "Ada"})
	ada.hears(`{"event":"joined","room":"den","name":"Ada"}`, `{"code":0,"msg":"success","data":1,"actioncode":"chat_join"}`)
	eve.send("chat_join", line{Room: "élan vital", Name: "Eve"})
	eve.hears(`{"event":"joined","room":"élan vital","name":"Eve"}`, `{"code":0,"msg":"success","data":1,"actioncode":"chat_join"}`)
	bob.send("chat_join", line{Room: "den", Name: "Bob"})
	bob.hears(`{"event":"joined","room":"den","name":"Bob"}`, `{"code":0,"msg":"success","data":2,"actioncode":"chat_join"}`)
	ada.hears(`{"event":"joined","room":"den","name":"Bob"}`)

	bob.send("chat_say", line{Room: "den", Name: "Bob", Text: "hi"})
	bob.hears(`{"event":"said","room":"den","name":"Bob","text":"hi"}`, `{"code":0,"msg":"success","data":2,"actioncode":"chat_say"}`)
	ada.hears(`{"event":"said","room":"den","name":"Bob","text":"hi"}`)

	// One room at a time: who joins another one has left the first.
	bob.send("chat_join", line{Room: "élan vital", Name: "Bob"})
	bob.hears(`{"event":"joined","room":"élan vital","name":"Bob"}`, `{"code":0,"msg":"success","data":2,"actioncode":"chat_join"}`)
	eve.hears(`{"event":"joined","room":"élan vital","name":"Bob"}`)
	ada.send("chat_say", line{Room: "den", Name: "Ada", Text: "alone"})
	ada.hears(`{"event":"said","room":"den","name":"Ada","text":"alone"}`, `{"code":0,"msg":"success","data":1,"actioncode":"chat_say"}`)
	bob.send("chat_say", line{Room: "den", Name: "Bob", Text: "still there?"})
	bob.hears(`{"code":9,"msg":"join the room first, and then say something","data":null,"actioncode":"chat_say"}`)
}

func TestNames(t *testing.T) {
	address, _ := begin(t)
	p := arrive(t, address)
	const refused = `{"code":1,"msg":"names are 1 to 32 letters, digits, spaces, _ . and -","data":null,"actioncode":"chat_join"}`
	for _, in := range []line{
		{}, {Room: "den"}, {Name: "Ada"},
		{Room: "den", Name: " Ada"}, {Room: "den", Name: "<b>"}, {Room: "den", Name: "a\nb"}, {Room: "room.*", Name: "Ada"},
		{Room: "den", Name: strings.Repeat("a", 33)}, {Room: strings.Repeat("漢", 33), Name: "Ada"},
	} {
		p.send("chat_join", in)
		p.hears(refused)
	}
	long := strings.Repeat("漢", 32)
	p.send("chat_join", line{Room: long, Name: long})
	p.hears(`{"event":"joined","room":"`+long+`","name":"`+long+`"}`, `{"code":0,"msg":"success","data":1,"actioncode":"chat_join"}`)
	p.send("chat_say", line{Room: long, Name: long})
	p.hears(`{"code":9,"msg":"join the room first, and then say something","data":null,"actioncode":"chat_say"}`)
}

func TestPage(t *testing.T) {
	address, _ := begin(t)
	for path, status := range map[string]int{"/": 200, "/nothing": 404, "/ws": 426} {
		answer, err := http.Get("http://" + address + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != status {
			t.Errorf("%s: %d, want %d: %v", path, answer.StatusCode, status, err)
		}
		if path == "/" && (string(body) != string(page) || answer.Header.Get("Content-Type") != "text/html; charset=utf-8") {
			t.Errorf("%s: not the page: %v", path, answer.Header)
		}
	}
}

func TestStop(t *testing.T) {
	address, stop := begin(t)
	p := arrive(t, address)
	p.send("chat_join", line{Room: "den", Name: "Ada"})
	p.hears(`{"event":"joined","room":"den","name":"Ada"}`, `{"code":0,"msg":"success","data":1,"actioncode":"chat_join"}`)
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	_, err := wsutil.ReadServerText(p) // answers the close
	if closed, ok := errors.AsType[wsutil.ClosedError](err); !ok || closed.Code != ws.StatusGoingAway {
		t.Errorf("got %v, want a close with 1001", err)
	}
	if err := <-stopped; err != http.ErrServerClosed {
		t.Errorf("it ended with %v", err)
	}
}
