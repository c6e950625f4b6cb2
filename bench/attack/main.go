// Command attack sends a server as much as a few clients can: for bench/fair.sh,
// which measures what the others notice.
//
//	attack -url ws://127.0.0.1:8066/ws -kind whoami -clients 32
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/gobwas/ws"

	"wsd/conn"
)

// kind is what one client does, over and over.
type kind struct {
	first string // a message ahead of everything
	block string // frames that are sent as fast as the server reads them,
	burst bool   // or only when the answers to the last block have come
	dial  bool   // a new connection for each
}

func kinds() map[string]kind {
	beat := text(`{"actioncode":"heart_beat"}`)
	names := topics()
	fanned := text(`{"actioncode":"heart_beat","is_broadcast":true,"token":"` + bogus + `"}`)
	return map[string]kind{
		"beats":     {block: strings.Repeat(beat, 2000)},
		"whoami":    {first: subscribe(names), block: strings.Repeat(text(`{"actioncode":"whoami"}`), 2000)},
		"subscribe": {block: strings.Repeat(text(subscribe(names))+text(`{"actioncode":"un`+subscribe(names)[len(`{"actioncode":"`):]), 100)},
		"topics":    {block: text(`{"actioncode":"subscribe","data":{"topics":[` + strings.Repeat(`"",`, 20000) + `""]}}`)},
		"echo":      {block: text(`{"actioncode":"echo","data":"` + strings.Repeat("e", 65000) + `"}`)},
		"json":      {block: text(`{"actioncode":"heart_beat","data":[` + strings.Repeat(`1,`, 32000) + `1],"actioncode":"heart_beat"}`)},
		"fields":    {block: text(`{"actioncode":"heart_beat",` + strings.Repeat(`"data":1,`, 7000) + `"data":1}`)},
		"ids":       {block: text(`{"actioncode":"heart_beat","client_ids":[` + strings.Repeat(`"",`, 20000) + `""]}`)},
		"fragments": {block: strings.Repeat(fragments(), 8)},
		"pings":     {block: strings.Repeat(string(masked(ws.OpPing, true, "ping")), 5000)},
		"burst":     {block: strings.Repeat(beat, 30), burst: true},
		"one":       {block: beat, burst: true},
		"broadcast": {block: strings.Repeat(text(`{"actioncode":"heart_beat","is_broadcast":true}`), 1000)},
		"tokens":    {block: strings.Repeat(fanned, 200)},
		"newcomers": {block: beat, burst: true, dial: true},
	}
}

// bogus has the form of an ES256 token, with a signature whose numbers are in
// range, so that all of it has to be looked at.
var bogus = "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhZGEiLCJmYW5vdXQiOnRydWV9." + strings.Repeat("AQEB", 21) + "AQ"

func topics() string {
	var b strings.Builder
	for i := range 64 {
		fmt.Fprintf(&b, `"a-topic-of-some-length-number-%02d-in-a-list-of-many",`, i)
	}
	return strings.TrimSuffix(b.String(), ",")
}

func subscribe(names string) string {
	return `{"actioncode":"subscribe","data":{"topics":[` + names + `]}}`
}

func masked(op ws.OpCode, fin bool, payload string) []byte {
	return conn.AppendMasked(nil, op, fin, []byte(payload), [4]byte{1, 2, 3, 4})
}

func text(payload string) string { return string(masked(ws.OpText, true, payload)) }

// fragments is a message in as many pieces as are allowed, of a byte each.
func fragments() string {
	var b strings.Builder
	for i := range conn.DefaultMaxFragments {
		op := ws.OpContinuation
		if i == 0 {
			op = ws.OpText
		}
		b.Write(masked(op, i == conn.DefaultMaxFragments-1, "1"))
	}
	return b.String()
}

func main() {
	target := flag.String("url", "ws://127.0.0.1:8066/ws", "where")
	name := flag.String("kind", "beats", "what")
	clients := flag.Int("clients", 32, "how many at once")
	length := flag.Duration("for", time.Minute, "how long")
	flag.Parse()
	u, err := url.Parse(*target)
	k, known := kinds()[*name]
	if err != nil || !known {
		fmt.Fprintln(os.Stderr, "attack: no such kind, or url:", *name, *target)
		os.Exit(2)
	}
	for range *clients {
		go k.attack(u)
	}
	time.Sleep(*length)
}

// attack comes back when the server has had enough.
func (k kind) attack(u *url.URL) {
	for {
		if err := k.once(u); err != nil && !k.dial {
			fmt.Fprintln(os.Stderr, "attack:", err)
			time.Sleep(100 * time.Millisecond)
		}
	}
}

func (k kind) once(u *url.URL) error {
	c, err := net.Dial("tcp", u.Host)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Write(conn.AppendRequest(nil, u.Host, u.Path, [16]byte{})); err != nil {
		return err
	}
	in := bufio.NewReaderSize(c, 64<<10)
	for line := ""; line != "\r\n"; {
		if line, err = in.ReadString('\n'); err != nil {
			return err
		}
	}
	if k.first != "" {
		if _, err := io.WriteString(c, text(k.first)); err != nil {
			return err
		}
	}
	if k.burst {
		return k.bursts(c, in)
	}
	go func() {
		_, _ = io.Copy(io.Discard, in)
		c.Close()
	}()
	for err == nil {
		_, err = io.WriteString(c, k.block)
	}
	return err
}

// bursts waits for all answers, which are alike.
func (k kind) bursts(c net.Conn, in *bufio.Reader) error {
	const answer = `{"code":0,"msg":"success","data":true,"actioncode":"heart_beat"}`
	answers := len(k.block) / len(text(`{"actioncode":"heart_beat"}`))
	for {
		if _, err := io.WriteString(c, k.block); err != nil {
			return err
		}
		if _, err := io.CopyN(io.Discard, in, int64(answers*(2+len(answer)))); err != nil || k.dial {
			return err
		}
	}
}
