package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/golang-jwt/jwt/v5"
)

// running is `wsd serve` at work.
type running struct {
	t      *testing.T
	cmd    *exec.Cmd
	log    *output
	exited chan struct{}
	listen string // where the first listener is
	admin  string
}

// serve starts the program on free ports and waits until it says where.
func serve(t *testing.T, args ...string) *running {
	t.Helper()
	base := []string{"serve", "--log-format=json", "--admin=127.0.0.1:0", "--drain-time=100ms"}
	if !strings.Contains(strings.Join(args, " "), "--listen") {
		base = append(base, "--listen=127.0.0.1:0")
	}
	return serveAs(t, program(t, nil, append(base, args...)...))
}

// serveAs starts a program that serves and logs JSON, and waits as well.
func serveAs(t *testing.T, cmd *exec.Cmd) *running {
	t.Helper()
	r := &running{t: t, cmd: cmd, log: new(output), exited: make(chan struct{})}
	r.cmd.Stderr, r.cmd.Stdout = r.log, r.log
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = r.cmd.Wait() // its exit code tells
		close(r.exited)
	}()
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill()
		<-r.exited
	})
	until(t, "the program serves", func() bool { return r.find("serving") != nil || r.over() })
	line := r.find("serving")
	if line == nil {
		t.Fatalf("it ended: %s", r.log)
	}
	r.listen, r.admin = line["listen"].([]any)[0].(string), line["admin"].(string)
	return r
}

func (r *running) over() bool {
	select {
	case <-r.exited:
		return true
	default:
		return false
	}
}

// find returns the first log line with this message.
func (r *running) find(msg string) map[string]any {
	lines := bufio.NewScanner(strings.NewReader(r.log.String()))
	for lines.Scan() {
		line := map[string]any{}
		if json.Unmarshal(lines.Bytes(), &line) == nil && line["msg"] == msg {
			return line
		}
	}
	return nil
}

func (r *running) signal(s syscall.Signal) {
	r.t.Helper()
	if err := r.cmd.Process.Signal(s); err != nil {
		r.t.Fatal(err)
	}
}

// exit waits for the end and returns the exit code.
func (r *running) exit() int {
	r.t.Helper()
	until(r.t, "the program ends", r.over)
	return r.cmd.ProcessState.ExitCode()
}

// dial connects a client.
func (r *running) dial(path string) net.Conn {
	r.t.Helper()
	network, address := "tcp", r.listen
	if file, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", file
	}
	c, err := net.Dial(network, address)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		r.t.Fatal(err)
	}
	dialer := ws.Dialer{NetDial: func(context.Context, string, string) (net.Conn, error) { return c, nil }}
	if _, _, _, err := dialer.Dial(context.Background(), "ws://localhost"+path); err != nil {
		r.t.Fatal(err)
	}
	return c
}

func ask(t *testing.T, c net.Conn, request string) string {
	t.Helper()
	if err := wsutil.WriteClientText(c, []byte(request)); err != nil {
		t.Fatal(err)
	}
	return hear(t, c)
}

func hear(t *testing.T, c net.Conn) string {
	t.Helper()
	answer, err := wsutil.ReadServerText(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

// closeCode reads until the close frame, and answers it.
func closeCode(t *testing.T, c net.Conn) ws.StatusCode {
	t.Helper()
	header, err := ws.ReadHeader(c)
	if err != nil {
		t.Fatal(err)
	}
	payload := make([]byte, min(header.Length, ws.MaxControlFramePayloadSize))
	if _, err := io.ReadFull(c, payload); err != nil {
		t.Fatal(err)
	}
	if header.OpCode != ws.OpClose {
		t.Fatalf("got %v %q, want a close frame", header.OpCode, payload)
	}
	if err := ws.WriteFrame(c, ws.MaskFrame(ws.NewCloseFrame(payload))); err != nil {
		t.Fatal(err)
	}
	code, _ := ws.ParseCloseFrameData(payload)
	return code
}

func (r *running) http(method, path, body string) (int, string) {
	r.t.Helper()
	q, err := http.NewRequest(method, "http://"+r.admin+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(q)
	if err != nil {
		r.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

const heartBeat = `{"code":0,"msg":"success","data":true,"actioncode":"heart_beat"}`

func TestServe(t *testing.T) {
	r := serve(t, "--echo-path=/echo", "--client-fanout")
	c := r.dial("/ws")
	if got := ask(t, c, `{"actioncode":"heart_beat"}`); got != heartBeat {
		t.Errorf("heart_beat: %s", got)
	}
	if got := ask(t, r.dial("/echo"), "as it is"); got != "as it is" {
		t.Errorf("echo path: %q", got)
	}
	if code, text := r.http("POST", "/v1/publish?all", "news"); code != 200 || !strings.HasPrefix(text, `{"matched":2,"sent":2,"queued":0,"dropped":0`) {
		t.Errorf("publish: %d %s", code, text)
	}
	if got := hear(t, c); got != "news" {
		t.Errorf("published: %q", got)
	}
	if got := ask(t, c, `{"actioncode":"heart_beat","is_broadcast":true}`); got != heartBeat {
		t.Errorf("broadcast: %s", got)
	}
	if code, text := r.http("GET", "/readyz", ""); code != 200 {
		t.Errorf("readyz: %d %s", code, text)
	}
	if code, text := r.http("GET", "/v1/stats", ""); code != 200 || !json.Valid([]byte(text)) {
		t.Errorf("stats: %d %s", code, text)
	}
	if limits := r.find("limits"); limits == nil || limits["clients"].(float64) < 1 || limits["descriptors"].(float64) < 1 {
		t.Errorf("the limits are not told: %s", r.log)
	}
	if memory := r.find("memory"); memory == nil || memory["pending-total"] == "" || memory["gomemlimit"] == "" {
		t.Errorf("the memory is not told: %s", r.log)
	}
	if lines := strings.Count(r.log.String(), "\n"); lines != 3 {
		t.Errorf("%d lines were logged, want the three of the start: %s", lines, r.log)
	}
}

func TestServeUnixSocket(t *testing.T) {
	file := filepath.Join(t.TempDir(), "wsd.sock")
	r := serve(t, "--listen=unix:"+file, "--listen=127.0.0.1:0")
	c := r.dial("/ws")
	if got := ask(t, c, `{"actioncode":"heart_beat"}`); got != heartBeat {
		t.Error(got)
	}
	r.signal(syscall.SIGTERM)
	closeCode(t, c)
	if code := r.exit(); code != 0 {
		t.Errorf("exit %d: %s", code, r.log)
	}
	if left, _ := filepath.Glob(file); left != nil {
		t.Errorf("the socket's file is left behind: %v", left)
	}
}

func TestStop(t *testing.T) {
	for _, c := range []struct {
		signal syscall.Signal
		args   []string
		code   ws.StatusCode
	}{
		{syscall.SIGTERM, nil, 1001},
		{syscall.SIGINT, []string{"--restart"}, 1012},
		{syscall.SIGTERM, []string{"--drain-time=0"}, 1001},
	} {
		t.Run(fmt.Sprint(c.signal, c.args), func(t *testing.T) {
			r := serve(t, c.args...)
			clients := []net.Conn{r.dial("/ws"), r.dial("/ws"), r.dial("/ws")}
			ask(t, clients[0], `{"actioncode":"heart_beat"}`)
			r.signal(c.signal)
			for _, client := range clients {
				if got := closeCode(t, client); got != c.code {
					t.Errorf("closed with %d, want %d", got, c.code)
				}
			}
			if code := r.exit(); code != exitOK || r.find("stopped") == nil {
				t.Errorf("exit %d: %s", code, r.log)
			}
		})
	}
}

// One signal that comes twice, as timeout(1) sends it, is one.
func TestSignalSentTwice(t *testing.T) {
	r := serve(t)
	c := r.dial("/ws")
	ask(t, c, `{"actioncode":"heart_beat"}`)
	r.signal(syscall.SIGTERM)
	r.signal(syscall.SIGTERM)
	if got := closeCode(t, c); got != 1001 {
		t.Errorf("closed with %d, want 1001", got)
	}
	if code := r.exit(); code != exitOK {
		t.Errorf("exit %d: %s", code, r.log)
	}
}

// While clients are told, probes see that no new ones are wanted; a second
// signal cuts that short.
func TestSecondSignal(t *testing.T) {
	r := serve(t, "--drain-time=1h")
	for range 3 {
		r.dial("/ws")
	}
	r.signal(syscall.SIGTERM)
	first := time.Now()
	until(t, "it is not ready", func() bool {
		code, text := r.http("GET", "/readyz", "")
		return code == 503 && strings.Contains(text, "draining")
	})
	if code, _ := r.http("GET", "/healthz", ""); code != 200 {
		t.Errorf("a server that drains is alive: %d", code)
	}
	until(t, "a further signal is a second one", func() bool { return time.Since(first) > 2*sameSignal })
	r.signal(syscall.SIGTERM)
	if code := r.exit(); code != exitFailed || !strings.Contains(r.log.String(), "second signal") {
		t.Errorf("exit %d: %s", code, r.log)
	}
}

func TestTokens(t *testing.T) {
	key := "a secret of more than thirty-two bytes"
	r := serve(t, "--token-key-file="+writeFile(t, "key", key+"\n"))
	c := r.dial("/ws")
	sign := func(key string, claims jwt.MapClaims) string {
		token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(key))
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	now := time.Now()
	for _, test := range []struct {
		name, token string
		want        string
	}{
		{"fanout", sign(key, jwt.MapClaims{"fanout": true, "exp": now.Add(time.Hour).Unix()}), `"code":0,`},
		{"no fanout", sign(key, jwt.MapClaims{"sub": "ada"}), `"code":9,`},
		{"none", "", `"code":9,`},
		{"expired", sign(key, jwt.MapClaims{"fanout": true, "exp": now.Add(-time.Hour).Unix()}), `"code":7,`},
		{"forged", sign(strings.ToUpper(key), jwt.MapClaims{"fanout": true}), `"code":6,`},
	} {
		got := ask(t, c, fmt.Sprintf(`{"actioncode":"heart_beat","is_broadcast":true,"token":%q}`, test.token))
		if !strings.Contains(got, test.want) {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}

func TestFewerClientsThanAsked(t *testing.T) {
	r := serve(t, "--max-clients=900000000")
	warning := ""
	until(t, "it warns", func() bool {
		for _, line := range strings.Split(r.log.String(), "\n") {
			if strings.Contains(line, `"level":"WARN"`) && strings.Contains(line, "--max-clients") {
				warning = line
			}
		}
		return warning != ""
	})
	if !strings.Contains(warning, `"asked":900000000`) {
		t.Errorf("the warning: %s", warning)
	}
}

// Limits that would close healthy clients are told at the start.
func TestServeWarnsOfLimits(t *testing.T) {
	const warning = "two of the largest messages in a row are more than may wait for a client: " +
		"whoever has not read the first is taken for slow; raise pending-limit or lower max-publish"
	if r := serve(t); r.find(warning) != nil {
		t.Errorf("the defaults are warned of: %s", r.log)
	}
	line := serve(t, "--pending-limit=256KiB").find(warning)
	if line == nil || line["max-publish"] != "1MiB" || line["pending-limit"] != "256KiB" {
		t.Errorf("%v", line)
	}
}
