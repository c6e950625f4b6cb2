package main

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

const timeout = 20 * time.Second

// begin serves the votes in path until the test ends, or stop is called, which
// returns what serve did.
func begin(t *testing.T, path string) (address string, stop func() error) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	v, err := newVotes(file, []string{"tea", "coffee"})
	if err != nil {
		t.Fatal(err)
	}
	srv, err := newServer("127.0.0.1:0", v)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- serve(ctx, srv, v)
		file.Close()
		close(ended)
	}()
	stop = func() error {
		cancel()
		return <-ended
	}
	t.Cleanup(func() { _ = stop() })
	return srv.Addrs()[0], stop
}

type client struct {
	t *testing.T
	net.Conn
}

func connect(t *testing.T, address string) client {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	c, _, _, err := ws.Dial(ctx, "ws://"+address+"/ws")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(timeout)); err != nil {
		t.Fatal(err)
	}
	return client{t, c}
}

func (c client) read() string {
	c.t.Helper()
	got, err := wsutil.ReadServerText(c)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(got)
}

// ask expects this answer to this request.
func (c client) ask(request, want string) {
	c.t.Helper()
	if err := wsutil.WriteClientText(c, []byte(request)); err != nil {
		c.t.Fatal(err)
	}
	if got := c.read(); got != want {
		c.t.Fatalf("%s was answered\n%s\nnot\n%s", request, got, want)
	}
}

func TestVote(t *testing.T) {
	path := filepath.Join(t.TempDir(), "votes.log")
	address, _ := begin(t, path)
	watcher, voter := connect(t, address), connect(t, address)
	watcher.ask(`{"actioncode":"subscribe","data":{"topics":["tally"]}}`,
		`{"code":0,"msg":"success","data":["tally"],"actioncode":"subscribe"}`)

	voter.ask(`{"actioncode":"vote_cast","data":{"choice":"tea"}}`,
		`{"code":0,"msg":"success","data":{"coffee":0,"tea":1},"actioncode":"vote_cast"}`)
	if got := watcher.read(); got != `{"coffee":0,"tea":1}` {
		t.Errorf("published was %s", got)
	}
	voter.ask(`{"actioncode":"vote_cast","data":{"choice":"coffee"}}`,
		`{"code":0,"msg":"success","data":{"coffee":1,"tea":1},"actioncode":"vote_cast"}`)
	voter.ask(`{"actioncode":"vote_tally"}`,
		`{"code":0,"msg":"success","data":{"coffee":1,"tea":1},"actioncode":"vote_tally"}`)
	if got := watcher.read(); got != `{"coffee":1,"tea":1}` {
		t.Errorf("published was %s", got)
	}

	// What is no choice is refused, and not counted.
	voter.ask(`{"actioncode":"vote_cast","data":{"choice":"milk"}}`,
		`{"code":1,"msg":"there is no such choice","data":null,"actioncode":"vote_cast"}`)
	// So is a topic that is not the tally.
	voter.ask(`{"actioncode":"subscribe","data":{"topics":["other"]}}`,
		`{"code":9,"msg":"permission denied","data":null,"actioncode":"subscribe"}`)
	if got, err := os.ReadFile(path); err != nil || string(got) != "tea\ncoffee\n" {
		t.Errorf("the file has %q, %v", got, err)
	}
}

// Many votes are all counted, and the last tally that is published has them all.
func TestManyVotes(t *testing.T) {
	const voters, each = 10, 10
	address, _ := begin(t, filepath.Join(t.TempDir(), "votes.log"))
	watcher := connect(t, address)
	watcher.ask(`{"actioncode":"subscribe","data":{"topics":["tally"]}}`,
		`{"code":0,"msg":"success","data":["tally"],"actioncode":"subscribe"}`)
	for range voters {
		voter := connect(t, address)
		go func() {
			for range each {
				if err := wsutil.WriteClientText(voter, []byte(`{"actioncode":"vote_cast","data":{"choice":"tea"}}`)); err != nil {
					t.Error(err)
					return
				}
				if _, err := wsutil.ReadServerText(voter); err != nil {
					t.Error(err)
					return
				}
			}
		}()
	}
	for {
		var tally map[string]int
		if err := json.Unmarshal([]byte(watcher.read()), &tally); err != nil {
			t.Fatal(err)
		}
		if tally["tea"] == voters*each {
			return
		}
	}
}

// A stop tells every client, and the votes are there at the next start.
func TestStop(t *testing.T) {
	path := filepath.Join(t.TempDir(), "votes.log")
	address, stop := begin(t, path)
	c := connect(t, address)
	c.ask(`{"actioncode":"vote_cast","data":{"choice":"tea"}}`,
		`{"code":0,"msg":"success","data":{"coffee":0,"tea":1},"actioncode":"vote_cast"}`)
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	_, err := wsutil.ReadServerText(c) // answers the close
	if closed, ok := errors.AsType[wsutil.ClosedError](err); !ok || closed.Code != ws.StatusGoingAway {
		t.Errorf("got %v, want a close with 1001", err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("the stop ended with %v", err)
	}

	address, _ = begin(t, path)
	connect(t, address).ask(`{"actioncode":"vote_tally"}`,
		`{"code":0,"msg":"success","data":{"coffee":0,"tea":1},"actioncode":"vote_tally"}`)
}

func TestFile(t *testing.T) {
	for content, want := range map[string]map[string]int{
		"":                   {"tea": 0, "coffee": 0},
		"tea\ncoffee\ntea\n": {"tea": 2, "coffee": 1},
		"tea\nmilk\n":        nil,
	} {
		path := filepath.Join(t.TempDir(), "votes.log")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		v, err := newVotes(file, []string{"tea", "coffee"})
		file.Close()
		if want == nil {
			if err == nil || !strings.Contains(err.Error(), `"milk"`) {
				t.Errorf("%q: %v", content, err)
			}
			continue
		}
		if err != nil || !maps.Equal(v.snapshot(), want) {
			t.Errorf("%q: %v", content, err)
		}
	}
}
