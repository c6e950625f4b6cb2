package main

import (
	"bufio"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// With very few descriptors and more newcomers than that, whoever is too many
// is told so as long as there is room for that, and the admin side answers.
func TestFewDescriptors(t *testing.T) {
	cmd := program(t, []string{"GOMAXPROCS=2"}, "serve", "--log-format=json", "--admin=127.0.0.1:0", "--drain-time=100ms", "--listen=127.0.0.1:0")
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	cmd.Args = append([]string{"sh", "-c", `ulimit -n 80 && exec "$0" "$@"`, cmd.Path}, cmd.Args[1:]...)
	cmd.Path = sh
	r := serveAs(t, cmd)
	let, refused := 0, 0
	for range 70 {
		c, err := net.Dial("tcp", r.listen)
		if err != nil {
			continue // turned away that early
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(patience))
		_, _ = c.Write([]byte("GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"))
		answer, err := http.ReadResponse(bufio.NewReader(c), nil)
		switch {
		case err != nil: // turned away
		case answer.StatusCode == http.StatusSwitchingProtocols:
			let++
		case answer.StatusCode == http.StatusServiceUnavailable:
			refused++
		}
	}
	if let != 16 || refused < 16 {
		t.Errorf("%d let in, %d refused", let, refused)
	}
	for c := range 9 { // all that the admin side takes at once
		if code, text := r.http("GET", "/healthz", ""); code != http.StatusOK {
			t.Errorf("question %d: %d %s", c, code, text)
		}
	}
	if strings.Contains(r.log.String(), "too many open files") {
		t.Errorf("it ran out of descriptors: %s", r.log)
	}
}
