package server

import (
	"errors"
	"slices"
	"testing"
)

// TestNamesInOneForm: what is written in more ways than one is compared in the
// one that browsers send.
func TestNamesInOneForm(t *testing.T) {
	mine := []string{"HTTPS://Example.org:443/", "https://*.Bücher.example"}
	c := Config{Path: "/%7eüber", EchoPath: "/a%2fb", Origins: mine, Hosts: []string{"Example.org:080"}, Subprotocols: []string{"Chat"}, Topics: []string{"*"}}
	if err := c.complete(); err != nil {
		t.Fatal(err)
	}
	if c.Path != "/~%C3%BCber" || c.EchoPath != "/a%2Fb" || !slices.Equal(c.Origins, []string{"https://example.org", "https://*.xn--bcher-kva.example"}) ||
		!slices.Equal(c.Hosts, []string{"example.org:80"}) || c.Subprotocols[0] != "Chat" || c.Topics != nil {
		t.Errorf("%+v", c)
	}
	if mine[0] != "HTTPS://Example.org:443/" {
		t.Error("the caller's list was changed")
	}
	all := Config{Origins: []string{"*"}, Hosts: []string{"*"}}
	if err := all.complete(); err != nil || all.Origins != nil || all.Hosts != nil {
		t.Errorf("* does not allow all: %+v, %v", all, err)
	}
}

// TestNamesRefused: what nothing can match, and what has no effect, is an error
// with its field and its value.
func TestNamesRefused(t *testing.T) {
	for _, c := range []struct {
		field, value string
		cfg          Config
	}{
		{"Path", "ws", Config{Path: "ws"}},
		{"Path", "/a/../b", Config{Path: "/a/../b"}},
		{"EchoPath", "/WS?x", Config{EchoPath: "/WS?x"}},
		{"EchoPath", "/%C3%BC", Config{Path: "/ü", EchoPath: "/%c3%bc"}},
		{"Origins", "https://a.example/x", Config{Origins: []string{"https://b.example", "https://a.example/x"}}},
		{"Origins", " https://a.example", Config{Origins: []string{" https://a.example"}}},
		{"Origins", "HTTPS://a.example", Config{Origins: []string{"https://a.example/", "HTTPS://a.example"}}},
		{"Origins", "*", Config{Origins: []string{"https://a.example", "*"}}},
		{"Origins", "", Config{Origins: []string{""}}},
		{"Hosts", "https://a.example", Config{Hosts: []string{"https://a.example"}}},
		{"Hosts", "A.example", Config{Hosts: []string{"a.example", "A.example"}}},
		{"Subprotocols", "a b", Config{Subprotocols: []string{"a b"}}},
		{"Subprotocols", "a", Config{Subprotocols: []string{"a", "b", "a"}}},
		{"Topics", "", Config{Topics: []string{"news", ""}}},
		{"Topics", "a\x00", Config{Topics: []string{"a\x00"}}},
		{"Topics", "news", Config{Topics: []string{"news", "news"}}},
		{"Listen", "nonsense", Config{Listen: []string{"nonsense"}}},
		{"Listen", ":70000", Config{Listen: []string{":70000"}}},
		{"Listen", "unix:", Config{Listen: []string{"unix:"}}},
		{"Listen", ":1", Config{Listen: []string{":1", ":1"}}},
		{"Listen", "none", Config{Listen: []string{":1", "none"}}},
	} {
		var wrong *ConfigError
		if _, err := c.cfg.Complete(); !errors.As(err, &wrong) || wrong.Field != c.field || wrong.Value != c.value || wrong.Want == "" {
			t.Errorf("%s %q: %v", c.field, c.value, err)
		}
	}
	if _, err := (Config{Listen: []string{"127.0.0.1:0", "127.0.0.1:0"}}).Complete(); err != nil {
		t.Error(err)
	}
}
