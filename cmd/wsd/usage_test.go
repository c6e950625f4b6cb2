package main

import (
	"net"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
)

// What is wrong is named with its place, its value and what to do.
func TestBadUsage(t *testing.T) {
	config := func(text string) []string { return []string{"--config", writeFile(t, "wsd.yaml", text)} }
	for _, c := range []struct {
		name string
		env  []string
		args []string
		want []string
	}{
		{"unknown flag", nil, []string{"--max-client=5"}, []string{"--max-client", `"--max-clients"`}},
		{"bad duration", nil, []string{"--idle-timeout=60"}, []string{"--idle-timeout", `"60"`, "as in"}},
		{"negative duration", nil, []string{"--drain-time=-1s"}, []string{"--drain-time", `"-1s"`}},
		{"negative duration, apart", nil, []string{"--drain-time", "-1s"}, []string{"--drain-time", `"-1s" is no duration`}},
		{"negative count, apart", nil, []string{"--max-clients", "-1"}, []string{"--max-clients", `"-1" is no count`, "from 0 on"}},
		{"bad size", nil, []string{"--max-message=64 Kilo"}, []string{"--max-message", `"64 Kilo"`, "64KiB"}},
		{"bad count", nil, []string{"--max-clients=many"}, []string{"--max-clients", `"many"`, "whole number"}},
		{"zero that means nothing", nil, []string{"--workers=0"}, []string{"--workers 0", "more than 0"}},
		{"bad policy", nil, []string{"--slow-consumer=wait"}, []string{"--slow-consumer", `"wait"`, "drop-new"}},
		{"bad level", nil, []string{"--log-level=loud"}, []string{"--log-level", `"loud"`, "debug"}},
		{"bad environment", []string{"WSD_IDLE_TIMEOUT=soon"}, nil, []string{"WSD_IDLE_TIMEOUT", "soon"}},
		{"bad bool in the environment", []string{"WSD_RESTART=maybe"}, nil, []string{"WSD_RESTART", "maybe"}},
		{"no such file", nil, []string{"--config=/nowhere/wsd.yaml"}, []string{"--config", "/nowhere/wsd.yaml"}},
		{"no such file, by environment", []string{"WSD_CONFIG=/nowhere/wsd.yaml"}, nil, []string{"/nowhere/wsd.yaml"}},
		{"address that is not", nil, []string{"--listen=nonsense"}, []string{"--listen", `"nonsense"`, "host:port"}},
		{"path that is not", nil, []string{"--path=ws"}, []string{"--path", `"ws"`, "/ws"}},
		{"path that is none", nil, []string{"--path="}, []string{"--path", "/ws"}},
		{"echo on the path", nil, []string{"--echo-path=/%77s"}, []string{"--echo-path", `"/ws"`, "another"}},
		{"origin with a path", nil, []string{"--origins=https://a.example/app"}, []string{"--origins", `"https://a.example/app"`, "https://a.example"}},
		{"origin of a socket", []string{"WSD_ORIGINS=wss://a.example"}, nil, []string{"--origins", `"wss://a.example"`, "https://"}},
		{"all and one", nil, []string{"--origins=*,https://a.example"}, []string{"--origins", `"*"`, "no effect"}},
		{"origin twice", nil, config("origins: [https://a.example, https://A.example/]\n"), []string{"--origins", `"https://A.example/"`, "already"}},
		{"host with a scheme", nil, []string{"--hosts=https://a.example"}, []string{"--hosts", `"https://a.example"`, "write a.example"}},
		{"subprotocol", nil, []string{"--subprotocols=chat room"}, []string{"--subprotocols", `"chat room"`}},
		{"any subprotocol", nil, []string{"--subprotocols=*"}, []string{"--subprotocols", `"*"`, "none"}},
		{"subprotocol twice", nil, []string{"--subprotocols=a,b", "--subprotocols=a"}, []string{"--subprotocols", `"a"`, "already"}},
		{"topic of no name", nil, config("topics: [\"a\\tb\"]\n"), []string{"--topics", `"a\tb"`, "control"}},
		{"empty item", []string{"WSD_HOSTS=a.example,,b.example"}, nil, []string{"WSD_HOSTS", "--hosts", "empty"}},
		{"too low", nil, []string{"--pending-limit=1KiB", "--max-header=100"}, []string{"--max-header 100", "at least 256"}},
		{"too long", nil, []string{"--user-timeout=600h"}, []string{"--user-timeout 600h0m0s", "at most"}},
		{"admin that is not", nil, []string{"--admin=nonsense"}, []string{"--admin", `"nonsense"`, "host:port"}},
		{"admin on a socket", nil, []string{"--admin=unix:/x"}, []string{"--admin", `"unix:/x"`, "TCP"}},
		{"too large a publish", nil, []string{"--max-publish=2GiB"}, []string{"--max-publish", "1GiB"}},
		{"nothing to be strict about", nil, []string{"--strict"}, []string{"--strict", "--max-clients"}},
		{"proxies that are not named", nil, []string{"--proxy-protocol"}, []string{"--proxy-protocol true", "--proxy-from", "192.0.2.0/24"}},
		{"proxies that say nothing", nil, []string{"--proxy-from=10.0.0.0/8"}, []string{`--proxy-from "10.0.0.0/8"`, "without --proxy-protocol"}},
		{"network that is none", []string{"WSD_PROXY_PROTOCOL=true"}, []string{"--proxy-from=balancer"}, []string{`--proxy-from "balancer"`, "192.0.2.0/24"}},
		{"network with more bits", nil, config("proxy-protocol: true\nproxy-from: 10.0.0.1/8\n"), []string{`--proxy-from "10.0.0.1/8"`, "10.0.0.0/8"}},
		{"network in a network", nil, []string{"--forwarded-from=10.0.0.0/8,10.1.0.0/16"}, []string{`--forwarded-from "10.1.0.0/16"`, "10.0.0.0/8"}},
		{"everybody's word", nil, []string{"--forwarded-from=0.0.0.0/0"}, []string{`--forwarded-from "0.0.0.0/0"`, "networks"}},
		{"argument too many", nil, []string{"now"}, []string{"now"}},

		{"unknown key", nil, config("path: /a\nmax-client: 5\n"), []string{"wsd.yaml:2:", `"max-client"`, `"max-clients"`}},
		{"underscores", nil, config("max_clients: 5\n"), []string{`"max_clients"`, `"max-clients"`}},
		{"key like nothing", nil, config("colour: red\n"), []string{"wsd.yaml:1:", `"colour"`, "--help"}},
		{"not a setting", nil, config("print-config: true\n"), []string{`"print-config"`}},
		{"file in file", nil, config("config: other.yaml\n"), []string{`"config"`}},
		{"nested", nil, config("max-clients: {a: 1}\n"), []string{"wsd.yaml:1:", "max-clients", "one plain value"}},
		{"nested list", nil, config("listen: [[a]]\n"), []string{"listen", "plain value"}},
		{"list for one", nil, config("path: [/a, /b]\n"), []string{"path", "one plain value"}},
		{"twice", nil, config("path: /a\npath: /b\n"), []string{"wsd.yaml", "path"}},
		{"null", nil, config("path:\n"), []string{"path", "no value"}},
		{"bad value", nil, config("max-message: 5 apples\n"), []string{"--max-message", `"5 apples"`}},
		{"no mapping", nil, config("- path\n"), []string{"wsd.yaml:1:", "mapping"}},
		{"no YAML", nil, config("a: b: c\n"), []string{"wsd.yaml"}},
		{"two documents", nil, config("path: /a\n---\npath: /b\n"), []string{"second document"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := runProgram(t, c.env, append([]string{"serve", "--print-config"}, c.args...)...)
			if got.code != exitUsage || got.stdout != "" {
				t.Errorf("exit %d, printed %q", got.code, got.stdout)
			}
			for _, want := range c.want {
				if !strings.Contains(got.stderr, want) {
					t.Errorf("%q does not say %q", got.stderr, want)
				}
			}
			if lines := strings.Count(got.stderr, "\n"); lines != 1 {
				t.Errorf("the error has %d lines: %q", lines, got.stderr)
			}
		})
	}
}

// What only shows when the server is set up: exit code 1, and again one line
// that names flag and value.
func TestBadStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, c := range map[string]struct {
		args, want []string
	}{
		"address taken":      {[]string{"--listen=" + taken.Addr().String()}, []string{taken.Addr().String(), "in use"}},
		"admin taken":        {[]string{"--admin=" + taken.Addr().String()}, []string{"--admin", taken.Addr().String(), "in use"}},
		"admin for all":      {[]string{"--admin=:0"}, []string{`--admin ":0"`, "--admin-token-file"}},
		"no token file":      {[]string{"--admin=127.0.0.1:0", "--admin-token-file=/nowhere/token"}, []string{"--admin-token-file", "/nowhere/token"}},
		"no key file":        {[]string{"--token-key-file=/nowhere/key"}, []string{"--token-key-file", "/nowhere/key"}},
		"weak key":           {[]string{"--token-key-file=" + writeFile(t, "key", "hunter2")}, []string{"--token-key-file", "7 bytes"}},
		"more than the host": {[]string{"--max-clients=900000000", "--strict", "--log-level=error"}, []string{"--strict", "900,000,000"}},
		"no directory":       {[]string{"--listen=unix:" + filepath.Join(t.TempDir(), "none", "s")}, []string{"none/s"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := runProgram(t, nil, append([]string{"serve", "--listen=127.0.0.1:0", "--admin="}, c.args...)...)
			if got.code != exitFailed {
				t.Errorf("exit %d", got.code)
			}
			for _, want := range c.want {
				if !strings.Contains(got.stderr, want) {
					t.Errorf("%q does not say %q", got.stderr, want)
				}
			}
			if !strings.HasPrefix(got.stderr, "wsd: ") || strings.Contains(got.stderr, "goroutine") {
				t.Errorf("not an error message: %q", got.stderr)
			}
		})
	}
}

func TestUsage(t *testing.T) {
	if got := runProgram(t, nil); got.code != exitUsage || !strings.Contains(got.stderr, `"serve"`) {
		t.Errorf("no command: %+v", got)
	}
	help := runProgram(t, nil, "serve", "--help")
	if help.code != exitOK {
		t.Errorf("--help: exit %d", help.code)
	}
	at := -1
	for _, group := range groups {
		next := strings.Index(help.stdout, "\n"+group.Title+"\n")
		if next <= at {
			t.Errorf("the group %q is missing in the help, or out of order", group.Title)
		}
		at = next
	}
	flat := strings.Join(strings.Fields(help.stdout), " ")
	for _, want := range []string{"--listen=ADDRESS,...", "[:8066] $WSD_LISTEN", "--max-message=SIZE", "[64KiB] $WSD_MAX_MESSAGE", "--idle-timeout=DURATION", "[60s] $WSD_IDLE_TIMEOUT"} {
		if !strings.Contains(flat, want) {
			t.Errorf("the help does not say %q", want)
		}
	}
}

func TestVersion(t *testing.T) {
	if got := runProgram(t, nil, "version"); got.code != 0 || !strings.HasPrefix(got.stdout, "wsd ") || !strings.Contains(got.stdout, "go1.") {
		t.Errorf("%+v", got)
	}
	info := &debug.BuildInfo{Settings: []debug.BuildSetting{
		{Key: "vcs.revision", Value: "0123456789abcdef0123"}, {Key: "vcs.time", Value: "2026-01-02T03:04:05Z"}, {Key: "vcs.modified", Value: "true"},
	}}
	info.Main.Version = "v0.9.0"
	for _, c := range []struct {
		set  string
		info *debug.BuildInfo
		want string
	}{
		{"v1.2.3", info, "wsd v1.2.3 revision 0123456789ab of 2026-01-02T03:04:05Z, modified, go"},
		{"", info, "wsd v0.9.0 revision"},
		{"", nil, "wsd (devel), go"},
	} {
		if got := versionLine(c.set, c.info); !strings.HasPrefix(got, c.want) {
			t.Errorf("got %q, want %q…", got, c.want)
		}
	}
}
