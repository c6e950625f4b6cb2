package fleet

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
)

const (
	request = `{"actioncode":"heart_beat"}`
	reply   = `{"code":0,"msg":"success","data":true,"actioncode":"heart_beat"}`
)

var bin string // folder of the built peers

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	var err error
	if bin, err = os.MkdirTemp("", "peers"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(bin)
	if err := Build(context.Background(), "..", bin, append([]string{"wsd"}, Peers...)...); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// live is one running peer.
type live struct {
	*Process
	listen, admin string
}

func start(t *testing.T, name string, args ...string) live {
	t.Helper()
	var s live
	s.listen, s.admin = addresses(t)
	argv := append([]string{filepath.Join(bin, name), "--listen", s.listen, "--admin", s.admin}, args...)
	p, err := Start(t.Context(), Launch{Argv: argv, CPU: -1, Ready: []string{s.listen, s.admin}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	s.Process = p
	return s
}

// addresses finds two for a server that is about to start, on a loopback
// address of its own: on 127.0.0.1 a client of another test may be given the
// port as its own between here and the server's listen.
func addresses(t *testing.T) (listen, admin string) {
	t.Helper()
	pid := os.Getpid()
	host := fmt.Sprintf("127.%d.%d.%d:0", 64+pid>>8&63, pid&255, 1+servers.Add(1)%250)
	first, err := net.Listen("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	second, err := net.Listen("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	return first.Addr().String(), second.Addr().String()
}

var servers atomic.Int32 // counts the addresses given out

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func (s live) dial(t *testing.T, path string) *websocket.Conn {
	t.Helper()
	c, _, err := websocket.Dial(within(t), "ws://"+s.listen+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.CloseNow() })
	c.SetReadLimit(1 << 20)
	return c
}

func expect(t *testing.T, c *websocket.Conn, kind websocket.MessageType, want string) {
	t.Helper()
	got, b, err := c.Read(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if got != kind || string(b) != want {
		t.Fatalf("got %v of %d bytes %.80q, want %v of %d bytes %.80q", got, len(b), b, kind, len(want), want)
	}
}

func send(t *testing.T, c *websocket.Conn, kind websocket.MessageType, body string) {
	t.Helper()
	if err := c.Write(within(t), kind, []byte(body)); err != nil {
		t.Fatal(err)
	}
}

// each runs a test against every peer, and wsd as a program of one's own has it.
func each(t *testing.T, f func(t *testing.T, name string)) {
	for _, name := range append([]string{"wsd"}, Peers...) {
		t.Run(name, func(t *testing.T) { f(t, name) })
	}
}

// TestAction: the action that is compared is the same in all of them.
func TestAction(t *testing.T) {
	each(t, func(t *testing.T, name string) {
		if name == "floor" {
			t.Skip("it answers a constant")
		}
		c := start(t, name).dial(t, "/ws")
		send(t, c, websocket.MessageText, `{"actioncode":"say","data":{"room":"lobby","text":"a b c","at":7}}`)
		expect(t, c, websocket.MessageText, `{"code":0,"msg":"success","data":{"room":"lobby","words":3,"text":"a b c","at":7},"actioncode":"say"}`)
		send(t, c, websocket.MessageText, `{"actioncode":"say","data":[]}`)
		expect(t, c, websocket.MessageText, `{"code":1,"msg":"invalid params","data":null,"actioncode":"say"}`)
	})
}

func TestHeartbeat(t *testing.T) {
	each(t, func(t *testing.T, name string) {
		c := start(t, name).dial(t, "/ws")
		for range 3 {
			send(t, c, websocket.MessageText, request)
		}
		for range 3 {
			expect(t, c, websocket.MessageText, reply)
		}
	})
}

func TestEcho(t *testing.T) {
	each(t, func(t *testing.T, name string) {
		c := start(t, name).dial(t, "/echo")
		sizes := []int{1, 7, 8, 125, 126, 1024, 65535}
		if name != "nbio" { // v1.6.9 does not hand an empty message on
			sizes = append(sizes, 0)
		}
		for _, size := range sizes {
			body := strings.Repeat("0123456789", size/10+1)[:size]
			for _, kind := range []websocket.MessageType{websocket.MessageText, websocket.MessageBinary} {
				send(t, c, kind, body)
				expect(t, c, kind, body)
			}
		}
	})
}

func TestPublish(t *testing.T) {
	each(t, func(t *testing.T, name string) {
		s := start(t, name)
		clients := []*websocket.Conn{s.dial(t, "/ws"), s.dial(t, "/ws"), s.dial(t, "/echo")}
		for _, c := range clients[:2] { // the answer proves that the server knows the client
			send(t, c, websocket.MessageText, request)
			expect(t, c, websocket.MessageText, reply)
		}
		send(t, clients[2], websocket.MessageText, "x")
		expect(t, clients[2], websocket.MessageText, "x")
		for _, size := range []int{5, 126, 5000} {
			body := strings.Repeat("p", size)
			got := s.post(t, body)
			if want := `{"matched":3,"sent":3,"queued":0,"dropped":0}`; got != want {
				t.Fatalf("publish of %d bytes: %s, want %s", size, got, want)
			}
			for _, c := range clients {
				expect(t, c, websocket.MessageText, body)
			}
		}
		s.awaitStats(t, 3)
		for _, c := range clients {
			_ = c.CloseNow()
		}
		s.awaitStats(t, 0)
		if got := s.stats(t); got["opened"] != 3 || got["closed"] != 3 || got["messages"] != 3 {
			t.Errorf("stats %v, want 3 opened, closed and messages", got)
		}
	})
}

func (s live) post(t *testing.T, body string) string {
	t.Helper()
	resp, err := http.Post("http://"+s.admin+"/v1/publish?all", "text/plain", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", resp.Status, b, err)
	}
	return string(bytes.TrimSpace(b))
}

func (s live) stats(t *testing.T) map[string]int {
	t.Helper()
	resp, err := http.Get("http://" + s.admin + "/v1/stats")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var got map[string]int
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	return got
}

func (s live) awaitStats(t *testing.T, clients int) {
	t.Helper()
	ctx := within(t)
	again := time.NewTicker(poll)
	defer again.Stop()
	for {
		got := s.stats(t)
		if got["clients"] == clients {
			return
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatalf("stats %v, want %d clients", got, clients)
		}
	}
}

// A message that arrives a byte at a time is a message, and its sender does
// not keep the others waiting.
func TestCutMessage(t *testing.T) {
	each(t, func(t *testing.T, name string) {
		s := start(t, name)
		slow, r := s.raw(t)
		other := s.dial(t, "/ws")
		frame := masked(request)
		for i := range frame {
			if _, err := slow.Write(frame[i : i+1]); err != nil {
				t.Fatal(err)
			}
			if i == 1 || i == 5 || i == len(frame)-2 {
				send(t, other, websocket.MessageText, request)
				expect(t, other, websocket.MessageText, reply)
			}
		}
		got := make([]byte, 2+len(reply))
		if _, err := io.ReadFull(r, got); err != nil {
			t.Fatal(err)
		}
		if want := "\x81" + string(rune(len(reply))) + reply; string(got) != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	})
}

// raw is a client by hand, past its handshake.
func (s live) raw(t *testing.T) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", s.listen)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(c, "GET /ws HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", s.listen)
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	// The accept key of RFC 6455, section 1.3.
	if got := resp.Header.Get("Sec-WebSocket-Accept"); resp.StatusCode != 101 || got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Fatalf("%s, accept key %q", resp.Status, got)
	}
	return c, r
}

func masked(text string) []byte {
	key := [4]byte{1, 2, 3, 4}
	frame := append([]byte{0x81, 0x80 | byte(len(text))}, key[:]...)
	for i := range len(text) {
		frame = append(frame, text[i]^key[i%4])
	}
	return frame
}

// Pings are answered by every library; the floor has none of that.
func TestPing(t *testing.T) {
	each(t, func(t *testing.T, name string) {
		if name == "floor" {
			return
		}
		c := start(t, name).dial(t, "/ws")
		ctx := c.CloseRead(within(t))
		if err := c.Ping(ctx); err != nil {
			t.Fatal(err)
		}
		if err := c.Close(websocket.StatusNormalClosure, ""); err != nil {
			t.Fatalf("the close was not answered: %v", err)
		}
	})
}

// Other actions, and the search that replaces the JSON parser.
func TestParse(t *testing.T) {
	for how, want := range map[string]string{
		"json": `{"code":5,"msg":"method not found","data":null,"actioncode":"nope"}`,
		"scan": `{"code":5,"msg":"method not found","data":null}`,
	} {
		t.Run(how, func(t *testing.T) {
			c := start(t, "gws", "--parse", how).dial(t, "/ws")
			send(t, c, websocket.MessageText, `{"actioncode":"nope"}`)
			expect(t, c, websocket.MessageText, want)
			send(t, c, websocket.MessageText, request)
			expect(t, c, websocket.MessageText, reply)
		})
	}
}

func TestStartFails(t *testing.T) {
	listen, _ := addresses(t)
	_, err := Start(t.Context(), Launch{Argv: []string{filepath.Join(bin, "gws"), "--parse", "xml"}, CPU: -1, Ready: []string{listen}})
	if err == nil || !strings.Contains(err.Error(), `--parse "xml"`) {
		t.Errorf("error %v does not carry what the server said", err)
	}
}
