package e2e

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// check is one thing that every client does with a server of its own.
type check struct {
	name  string
	flags []string       // of wsd serve
	stop  syscall.Signal // what the server gets once the client says "ready"; 0: nothing
}

var checks = []check{
	{name: "heartbeat"},
	{name: "actions"},
	{name: "echo"},
	{name: "fragments"},
	{name: "ping"},
	{name: "server_pings", flags: []string{"--idle-timeout=100ms"}},
	{name: "client_closes"},
	{name: "protocol_error"},
	{name: "invalid_utf8"},
	{name: "too_big"},
	{name: "ping_flood"},
	{name: "subprotocol_first"},
	{name: "subprotocol_listed", flags: []string{"--subprotocols=chat.v1", "--subprotocols=chat.v2"}},
	{name: "deflate"},
	{name: "publish"},
	{name: "crowd"},
	{name: "burst"},
	{name: "not_found"},
	{name: "refused", flags: []string{"--max-clients=1", "--retry-after=7s"}},
	{name: "origins", flags: []string{"--origins=https://good.example"}},
	{name: "unix_socket"},
	{name: "shutdown", stop: syscall.SIGTERM},
	{name: "restart", flags: []string{"--restart"}, stop: syscall.SIGTERM},
}

// limit is the server's --max-message, which the scripts know too.
const limit = "65536"

func TestPython(t *testing.T) {
	const python = "/usr/bin/python3" // Debian's own, which has Debian's packages
	needs(t, "Python's websockets (Debian package python3-websockets)", python, "-c", "import websockets.legacy.client")
	runChecks(t, checks, python, "clients/client.py")
	runChat(t, python, "clients/client.py")
}

func TestNode(t *testing.T) {
	needs(t, "npm's ws (npm ci in e2e/)", "node", "-e", "require('ws')")
	runChecks(t, checks, "node", "clients/client.mjs")
	runChat(t, "node", "clients/client.mjs")
}

func runChecks(t *testing.T, checks []check, interpreter, script string) {
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			server, env := serve(t, c.flags...)
			client := start(t, env, interpreter, script, c.name)
			if c.stop != 0 {
				client.find("(?m)^ready$")
				server.signal(c.stop)
			}
			client.succeeds()
			if c.stop == 0 {
				server.signal(syscall.SIGTERM)
			}
			server.succeeds()
			unworried(t, server)
		})
	}
}

// runChat has the client talk to itself through the chat example.
func runChat(t *testing.T, interpreter, script string) {
	t.Run("chat", func(t *testing.T) {
		_, address := serveChat(t, "127.0.0.1:0")
		start(t, []string{"WSD_URL=ws://" + address + "/ws"}, interpreter, script, "chat").succeeds()
	})
}

// unworried: nothing that a client did made the server warn. What it thinks of
// the host, it says before it serves.
func unworried(t *testing.T, server *program) {
	t.Helper()
	_, log, _ := strings.Cut(server.String(), `"msg":"serving"`)
	for _, bad := range []string{"panic", `"level":"ERROR"`, `"level":"WARN"`} {
		if strings.Contains(log, bad) {
			t.Errorf("the server logged:\n%s", log)
		}
	}
}

// serve runs wsd serve on free ports and returns it with the environment that
// tells a script where it is. Closes have to come to their end by themselves:
// the time-out for that is far beyond the test's patience.
func serve(t *testing.T, flags ...string) (*program, []string) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "wsd.sock")
	server := start(t, nil, wsd, append([]string{"serve", "--listen=127.0.0.1:0", "--listen=unix:" + socket, "--echo-path=/echo",
		"--admin=127.0.0.1:0", "--max-message=" + limit, "--drain-time=300ms", "--log-format=json",
		"--close-timeout=10m"}, flags...)...)
	found := server.find(`"msg":"serving","listen":\["(127\.[^"]+)".*"admin":"([^"]+)"`)
	return server, []string{"WSD_URL=ws://" + found[0] + "/ws", "WSD_ECHO=ws://" + found[0] + "/echo",
		"WSD_ADMIN=http://" + found[1], "WSD_SOCKET=" + socket, "WSD_LIMIT=" + limit}
}

// serveChat runs the chat example and returns it with its address.
func serveChat(t *testing.T, listen string) (*program, string) {
	t.Helper()
	server := start(t, nil, chat, "-listen", listen)
	return server, server.find(`open http://(\S+)`)[0]
}
