package main

import (
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// Blanks around the items of a list are not part of them, wherever it is given.
func TestLists(t *testing.T) {
	want := []any{"https://a.example", "https://*.b.example"}
	const spaced = " https://a.example,\thttps://*.b.example ,"
	for name, got := range map[string]any{
		"environment":  effective(t, []string{"WSD_ORIGINS=" + spaced})["origins"],
		"command line": effective(t, nil, "--origins="+spaced)["origins"],
		"apart":        effective(t, nil, "--origins", " https://a.example", "--origins=https://*.b.example ")["origins"],
		"file":         effective(t, nil, "--config", writeFile(t, "wsd.yaml", "origins: ['https://a.example ', ' https://*.b.example']"))["origins"],
		"file, a line": effective(t, nil, "--config", writeFile(t, "wsd.yaml", "origins: 'https://a.example, https://*.b.example'"))["origins"],
	} {
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := effective(t, []string{"WSD_ORIGINS=https://a.example"}, "--origins=")["origins"]; !reflect.DeepEqual(got, []any{}) {
		t.Errorf("an empty list does not replace the environment's: %q", got)
	}
	// What may have commas is no list.
	var c benchRunCmd
	mustParseBench(t, &c, "--header=X: a, b ", "--header=Y: c")
	if want := []string{"X: a, b ", "Y: c"}; !reflect.DeepEqual(c.Header, want) {
		t.Errorf("headers %q, want %q", c.Header, want)
	}
}

func mustParseBench(t *testing.T, into *benchRunCmd, args ...string) {
	t.Helper()
	var c cli
	parser, err := newParser(&c, t.Output(), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(append([]string{"bench"}, args...)); err != nil {
		t.Fatal(err)
	}
	*into = c.Bench.Run
}

// An empty variable is one that is not set, whatever its flag takes, and those
// of the service manager, too.
func TestEmptyVariables(t *testing.T) {
	env := []string{"LISTEN_PID=", "LISTEN_FDS=", "NOTIFY_SOCKET=", "WATCHDOG_USEC=", "WATCHDOG_PID=", "WSD_HANDOVER="}
	for _, command := range outline(model(t)) {
		for _, flag := range command.Flags {
			for _, name := range flag.Envs {
				env = append(env, name+"=")
			}
		}
	}
	if len(env) < 40 {
		t.Fatalf("only %d variables: %q", len(env), env)
	}
	if got, want := effective(t, env), effective(t, nil); !reflect.DeepEqual(got, want) {
		t.Errorf("empty variables make\n%v, not\n%v", got, want)
	}
	file := writeFile(t, "wsd.yaml", "path: /file\nadmin: none\n")
	if got := effective(t, append(env, "WSD_CONFIG="+file)); got["path"] != "/file" || got["admin"] != "" {
		t.Errorf("empty variables go before the file: %v", got)
	}
	r := serve(t, "--max-clients=10")
	if got := runProgram(t, env, "health", "--admin="+r.admin); got.code != exitOK {
		t.Errorf("health: %+v", got)
	}
	t.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
	t.Setenv("LISTEN_FDS", "")
	if passed, err := inherited(); err != nil || passed != nil {
		t.Errorf("no LISTEN_FDS: %v, %v", passed, err)
	}
}

// A byte order mark is skipped in text, and refused in a secret.
func TestByteOrderMark(t *testing.T) {
	const mark = "\ufeff"
	for _, text := range []string{"path: /abc\n", "# comment\npath: /abc\n", "---\npath: /abc\n", `{"path": "/abc"}`} {
		if got := effective(t, nil, "--config", writeFile(t, "wsd.yaml", mark+text))["path"]; got != "/abc" {
			t.Errorf("%q: the path is %v", text, got)
		}
	}
	got := runProgram(t, nil, "serve", "--listen=127.0.0.1:0", "--admin=127.0.0.1:0", "--admin-token-file="+writeFile(t, "token", mark+"secret\n"))
	if got.code != exitFailed || !strings.Contains(got.stderr, "--admin-token-file") || !strings.Contains(got.stderr, "byte order mark") {
		t.Errorf("a token: %+v", got)
	}
}
