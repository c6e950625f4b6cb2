package conn

import (
	"strings"
	"testing"
)

// canon checks what becomes of a setting: a value, or after "! " what the error
// has to say. What comes out is its own canonical form.
func canon(t *testing.T, f func(string) (string, error), cases map[string]string) {
	t.Helper()
	for in, want := range cases {
		got, err := f(in)
		if says, bad := strings.CutPrefix(want, "! "); bad {
			if err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%q becomes %q, %v; the error has to say %q", in, got, err, says)
			}
			continue
		}
		if err != nil || got != want {
			t.Errorf("%q becomes %q, %v; want %q", in, got, err, want)
		}
		if again, err := f(got); err != nil || again != got {
			t.Errorf("%q becomes %q, %v", got, again, err)
		}
	}
}

func TestCanonicalHost(t *testing.T) {
	canon(t, CanonicalHost, map[string]string{
		"example.org": "example.org", "Example.ORG": "example.org", "example.org:08066": "example.org:8066", "*": "*",
		"*.Example.org": "*.example.org", "*.example.org:80": "*.example.org:80", "example.org.": "example.org.",
		"bücher.example": "xn--bcher-kva.example", "BÜCHER.example:1": "xn--bcher-kva.example:1", "*.bücher.example": "*.xn--bcher-kva.example",
		"my_host": "my_host", "127.0.0.1:80": "127.0.0.1:80", "[::1]": "[::1]", "[2001:DB8:0::1]:443": "[2001:db8::1]:443",
		"[::ffff:192.0.2.1]": "[::ffff:c000:201]",

		"": "! is no host", " example.org": "! is no host", "example org": "! is no host", "https://example.org/x": "! write example.org",
		"example.org/": "! write example.org", "example.org:": "! is no port", "example.org:0": "! is no port", "example.org:99999": "! is no port",
		"example.org:http": "! is no port", "::1": "! brackets", "[::1": "! is no IPv6", "[::1%eth0]": "! is no IPv6", "[1.2.3.4]": "! is no IPv6",
		"a..b": "! is no host", "*example.org": "! *.example.org", "a.*.org": "! *.example.org", "*.*.org": "! *.example.org",
		"*.127.0.0.1": "! no names below", "127.1": "! four numbers", "1.2.3.256": "! four numbers", "a.0x7f": "! four numbers",
		"user@example.org": "! no user", "exa%6Dple.org": "! is no host", "a.\u200b.example": "! is no", strings.Repeat("a", 64): "! is no host",
	})
}

func TestCanonicalOrigin(t *testing.T) {
	canon(t, CanonicalOrigin, map[string]string{
		"https://example.org": "https://example.org", "https://example.org/": "https://example.org", "HTTPS://Example.org:443": "https://example.org",
		"http://example.org:80/": "http://example.org", "http://example.org:443": "http://example.org:443", "https://example.org:8443": "https://example.org:8443",
		"https://*.example.org": "https://*.example.org", "https://*.Example.org:443/": "https://*.example.org", "*": "*", "null": "null", "NULL": "null",
		"https://*": "https://*", "https://bücher.example": "https://xn--bcher-kva.example", "https://[::1]:443": "https://[::1]",
		"example.org": "example.org", "*.example.org:81": "*.example.org:81", "Example.org/": "example.org", "file://": "file://",
		"chrome-extension://abcdefghijklmnop": "chrome-extension://abcdefghijklmnop", "capacitor://localhost": "capacitor://localhost",

		"": "! is no host", "https://": "! is no host", "https://example.org/app": "! write https://example.org", "https://example.org?x": "! write https://example.org",
		"https://u@example.org": "! no user", "wss://example.org": "! https://", "1http://example.org": "! is no scheme", "://example.org": "! no scheme",
		"https://exa mple.org": "! is no host", " https://example.org": "! is no scheme", "https://example.org:*": "! is no port",
		"https://*example.org": "! *.example.org", "https://a.example,https://b.example": "! ",
	})
}

func TestCanonicalPath(t *testing.T) {
	canon(t, CanonicalPath, map[string]string{
		"/": "/", "/ws": "/ws", "/ws/": "/ws/", "//ws": "//ws", "/über": "/%C3%BCber", "/%c3%bcber": "/%C3%BCber", "/%7ea%2D": "/~a-",
		"/a%2fb": "/a%2Fb", "/a%20b": "/a%20b", "/a;v=1,@x:y": "/a;v=1,@x:y", "/%25": "/%25", "/...": "/...", "/a%3Fb": "/a%3Fb",

		"": "! slash", "ws": "! write /ws", "/a?b": "! query", "/a#b": "! fragment", "/a b": "! write %20", "/a\tb": "! write %09", "/{id}": "! write %7B",
		`/a\b`: "! write %5C", "/%": "! two hexadecimal digits", "/%4": "! two hexadecimal digits", "/%zz": "! two hexadecimal digits", "/%+1": "! two hexadecimal digits",
		"/a/../b": "! resolve", "/a/.": "! resolve", "/a/%2e%2E/b": "! resolve", "/\xff": "! not UTF-8",
	})
}

func TestCheckProtocol(t *testing.T) {
	for _, good := range []string{"chat", "v1.example.org", "a+b!"} {
		if err := CheckProtocol(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", "a b", "a,b", " a", "chät", "a/b", "*"} {
		if CheckProtocol(bad) == nil {
			t.Errorf("%q is taken for a token", bad)
		}
	}
}

// What is configured, in whatever spelling, is what a browser is let in from.
func TestCanonicalMatches(t *testing.T) {
	for _, c := range []struct {
		configured, origin string
		want               bool
	}{
		{"https://example.org/", "https://example.org", true},
		{"HTTPS://EXAMPLE.org:443", "https://example.org", true},
		{"https://example.org", "https://example.org:443", true},
		{"https://example.org:443", "https://example.org:8443", false},
		{"https://example.org", "http://example.org", false},
		{"https://example.org", "http://example.org:443", false},
		{"https://*.example.org", "https://www.example.org", true},
		{"https://*.example.org", "https://a.b.example.org:443", true},
		{"https://*.example.org", "https://example.org", false},
		{"https://*.example.org", "http://www.example.org", false},
		{"https://*.example.org", "https://www.example.org:8443", false},
		{"https://*.example.org", "https://example.org.evil", false},
		{"https://*.example.org", "https://evil/.example.org", false},
		{"https://*.example.org", "null", false},
		{"https://*.example.org:8443", "https://www.example.org:8443", true},
		{"https://*", "https://anything", true},
		{"https://*", "http://anything", false},
		{"https://*", "https://", false},
		{"example.org:443", "https://example.org", true},
		{"example.org:443", "http://example.org", false},
		{"example.org", "https://example.org:8443", true},
		{"bücher.example", "https://xn--bcher-kva.example", true},
		{"null", "null", true},
		{"https://example.org", "null", false},
		{"file://", "file://", true},
		{"chrome-extension://abcdefghijklmnop", "chrome-extension://abcdefghijklmnop", true},
	} {
		pattern, err := CanonicalOrigin(c.configured)
		if err != nil {
			t.Fatal(err)
		}
		u := Upgrader{Origins: []string{"http://other", pattern}}
		if _, _, err := u.Upgrade(request(getWS, "Origin: "+c.origin), nil, new(Request)); (err == nil) != c.want {
			t.Errorf("Origins %q, Origin %q: %v", c.configured, c.origin, err)
		}
	}
	for _, c := range []struct {
		configured, host string
		want             bool
	}{
		{"Example.org:443", "example.org", true}, // a browser leaves out its scheme's port
		{"example.org:80", "example.org:", true},
		{"example.org:443", "example.org:8443", false},
		{"example.org:8066", "example.org", false},
		{"[2001:db8:0::1]", "[2001:db8::1]:8066", true},
		{"bücher.example", "xn--bcher-kva.example:8066", true},
	} {
		pattern, err := CanonicalHost(c.configured)
		if err != nil {
			t.Fatal(err)
		}
		u := Upgrader{Hosts: []string{"other", pattern}}
		if _, _, err := u.Upgrade(request(getWS, "Host: "+c.host), nil, new(Request)); (err == nil) != c.want {
			t.Errorf("Hosts %q, Host %q: %v", c.configured, c.host, err)
		}
	}
}
