package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"

	"wsd/server"
)

// effective is what `wsd serve --print-config` prints, as a map.
func effective(t *testing.T, env []string, args ...string) map[string]any {
	t.Helper()
	got := runProgram(t, env, append([]string{"serve", "--print-config"}, args...)...)
	if got.code != 0 || got.stderr != "" {
		t.Fatalf("exit %d: %s", got.code, got.stderr)
	}
	values := map[string]any{}
	if err := yaml.Unmarshal([]byte(got.stdout), &values); err != nil {
		t.Fatal(err)
	}
	return values
}

func TestPrecedence(t *testing.T) {
	file := writeFile(t, "wsd.yaml", `
# a comment
listen: [":1", "unix:/run/a,b"]
max-clients: 1000
idle-timeout: 1m30s
max-message: 128KiB
client-fanout: true
forwarded-from: 192.0.2.1
slow-consumer: drop-old
admin: ""
`)
	env := []string{"WSD_CONFIG=" + file, "WSD_MAX_CLIENTS=2000", "WSD_MAX_MESSAGE=256KiB", "WSD_TOPICS=a,b", "WSD_PROXY_PROTOCOL=true", "WSD_PROXY_FROM=10.0.0.0/8, unix"}
	got := effective(t, env, "--max-message=512KiB", "--no-client-fanout", "--path=/x")
	for key, want := range map[string]any{
		"listen":         []any{":1", "unix:/run/a,b"}, // file
		"idle-timeout":   "1m30s",                      // file
		"slow-consumer":  "drop-old",                   // file
		"admin":          "",                           // file, over a default
		"max-clients":    2000,                         // environment over file
		"topics":         []any{"a", "b"},              // environment
		"max-message":    "512KiB",                     // flag over environment over file
		"client-fanout":  false,                        // flag over file
		"proxy-from":     []any{"10.0.0.0/8", "unix"},  // environment
		"forwarded-from": []any{"192.0.2.1"},           // file
		"path":           "/x",                         // flag
		"drain-time":     "10s",                        // default
	} {
		if !reflect.DeepEqual(got[key], want) {
			t.Errorf("%s is %v, want %v", key, got[key], want)
		}
	}
	if got := effective(t, nil, "--config", file, "--listen=:5", "--listen=:6")["listen"]; !reflect.DeepEqual(got, []any{":5", ":6"}) {
		t.Errorf("flags add to the file's list instead of replacing it: %v", got)
	}
}

func TestEmptyFiles(t *testing.T) {
	want := effective(t, nil)
	for _, text := range []string{"", "# nothing\n", "---\n", "{}"} {
		if got := effective(t, nil, "--config", writeFile(t, "wsd.yaml", text)); !reflect.DeepEqual(got, want) {
			t.Errorf("%q changes something: %v", text, got)
		}
	}
}

// A printed configuration, fed back, is the same configuration, whatever was set.
func TestPrintConfigRoundTrip(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 100 {
		first, text := parse(t, randomArgs(random)...)
		second, again := parse(t, "--config", writeFile(t, "wsd.yaml", text))
		second.Config = first.Config
		if text != again {
			t.Fatalf("round %d: printed\n%s\nand then\n%s", round, text, again)
		}
		a, b := mapped(first), mapped(second)
		if !reflect.DeepEqual(a, b) {
			t.Fatalf("round %d: the server would get\n%+v\nand then\n%+v", round, a, b)
		}
	}
}

// mapped is the server's configuration, without what differs by identity.
func mapped(c *serveCmd) string {
	cfg := c.serverConfig()
	return fmt.Sprintf("%+v", cfg)
}

// parse runs the parser in this process and prints what came out.
func parse(t *testing.T, args ...string) (*serveCmd, string) {
	t.Helper()
	var c cli
	parser, err := newParser(&c, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	command, err := parser.Parse(append([]string{"serve"}, args...))
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := printConfig(&text, settings(command.Selected())); err != nil {
		t.Fatal(err)
	}
	return &c.Serve, text.String()
}

func randomArgs(r *rand.Rand) []string {
	words := []string{"a", "yes", "null", "1e3", "0x10", "- a", "a: b", "#a", "'", `"`, `\`, "{", "ü", "~", "a b", "*"}
	var args []string
	add := func(name string, value any) {
		if r.IntN(2) == 0 {
			args = append(args, fmt.Sprintf("--%s=%v", name, value))
		}
	}
	add("path", []string{"/", "/a", "/ü", "/~", "/%41'"}[r.IntN(5)])
	add("admin", []string{"", "none", "localhost:1"}[r.IntN(3)])
	add("admin-token-file", words[r.IntN(len(words))])
	add("user-timeout", span(r.Int64N(int64(time.Hour))*2))
	for _, i := range r.Perm(len(words) - 1)[:r.IntN(4)] { // not all of them is "*" alone
		add("topics", words[i])
	}
	add("max-message", 1+r.Int64N(1<<(1+r.IntN(30))))
	add("pending-total", size((1+r.Int64N(4))<<(20+10*r.IntN(3))))
	add("workers", 1+r.IntN(1000))
	add("drain-time", span(r.Int64N(int64(time.Hour))))
	add("idle-timeout", span(time.Duration(r.IntN(200))*time.Minute))
	add("client-fanout", r.IntN(2) == 0)
	add("slow-consumer", []string{"close", "drop-new", "drop-old"}[r.IntN(3)])
	return args
}

// Every field of server.Config is a flag of the same name, and its default is
// the one that the server would take.
func TestEveryFieldIsAFlag(t *testing.T) {
	flags := map[string]*kong.Flag{}
	for _, flag := range serveModel(t).Flags {
		flags[flag.Name] = flag
	}
	humps := regexp.MustCompile(`([a-z])([A-Z])`)
	code := map[string]bool{"Mux": true, "Logger": true, "Accept": true, "Inherited": true, "Inheritance": true, "Authenticate": true}
	for field := range reflect.TypeFor[server.Config]().Fields() {
		name := strings.ToLower(humps.ReplaceAllString(field.Name, "$1-$2"))
		if flags[name] == nil && !code[field.Name] {
			t.Errorf("server.Config.%s has no flag --%s", field.Name, name)
		}
	}
	// Changing any of these flags changes what the server is told.
	base := mapped(mustParse(t))
	for name, flag := range flags {
		other := map[string]string{"slow-consumer": "drop-new", "client-fanout": "true", "reuse-port": "true",
			"path": "/7", "echo-path": "/7", "listen": ":7", "origins": "https://a7", "hosts": "a7", "max-header": "7KiB",
			"pending-limit": "7KiB", "pending-total": "7MiB", "auth": "optional", "token-from": "query",
			"auth-refuse": "close", "max-per-user-policy": "close-oldest", "actions": "echo"}[name]
		if other == "" {
			other = "7"
		}
		switch flag.Target.Interface().(type) {
		case span, *span:
			other = "7s"
		}
		switch name {
		case "proxy-protocol", "proxy-from":
			continue // neither goes without the other; below
		case "forwarded-from":
			other = "192.0.2.7"
		case "help", "config", "print-config", "restart", "strict", "log-level", "log-format", "admin", "admin-token-file", "max-publish", "token-key-file",
			"idempotency-window", "idempotency-keys", "token-jwks", "token-jwks-refresh", "token-issuer", "token-audience":
			continue // not the server's
		}
		if flag.Group != nil && flag.Group.Key == "Cluster" {
			continue
		}
		args := []string{"--" + name + "=" + other}
		if name == "auth" || name == "max-per-user" {
			args = append(args, "--auth=optional", "--token-key-file=key")
		}
		if got := mapped(mustParse(t, args...)); got == base || name == "max-per-user" && !strings.Contains(got, "MaxPerUser:7") {
			t.Errorf("--%s=%s changes nothing", name, other)
		}
	}
	if got := mustParse(t, "--proxy-protocol", "--proxy-from=192.0.2.7").serverConfig(); !got.ProxyProtocol || !reflect.DeepEqual(got.ProxyFrom, []string{"192.0.2.7"}) {
		t.Errorf("the PROXY protocol: %v from %q", got.ProxyProtocol, got.ProxyFrom)
	}
}

// serveModel is what kong knows of the serve command.
func serveModel(t *testing.T) *kong.Node {
	t.Helper()
	parser, err := newParser(new(cli), io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range parser.Model.Children {
		if command.Name == "serve" {
			return command
		}
	}
	t.Fatal("there is no serve command")
	return nil
}

func mustParse(t *testing.T, args ...string) *serveCmd {
	c, _ := parse(t, args...)
	return c
}

func TestMain_noEnvironmentLeaks(t *testing.T) {
	for _, pair := range os.Environ() {
		if strings.HasPrefix(pair, "WSD_") {
			t.Fatalf("%s would change the tests that parse in this process: unset it", pair)
		}
	}
}
