package admin

import (
	"bufio"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// What a page elsewhere can make a browser send: each of these is refused
// before a handler sees it.
func TestNoPageElsewherePublishes(t *testing.T) {
	for _, c := range []struct {
		name, method, path, host string
		header                   map[string]string
	}{
		{"a form", "POST", "/v1/publish?all", "", map[string]string{"Origin": "https://evil.example", "Content-Type": "text/plain", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}},
		{"a form in a sandbox", "POST", "/v1/publish?all", "", map[string]string{"Origin": "null", "Content-Type": "text/plain"}},
		{"a simple request of an old browser", "POST", "/v1/publish?all", "", map[string]string{"Origin": "http://evil.example", "Content-Type": "text/plain"}},
		{"a beacon", "POST", "/v1/publish/stream", "", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}},
		{"a preflight", "OPTIONS", "/v1/publish?all", "", map[string]string{"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}},
		{"another port of this machine", "POST", "/v1/publish?all", "", map[string]string{"Origin": "http://127.0.0.1:3000", "Sec-Fetch-Site": "same-site"}},
		{"a name rebound to this machine", "POST", "/v1/publish?all", "evil.example", map[string]string{"Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"}},
		{"a name rebound, reading", "GET", "/v1/clients", "evil.example:8067", map[string]string{"Sec-Fetch-Site": "same-origin"}},
		{"a name rebound, the page", "GET", "/", "evil.example:8067", map[string]string{"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}},
		{"a script", "GET", "/v1/stats", "", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"}},
		{"the page in a frame", "GET", "/", "", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}},
		{"a link to a profile", "GET", "/debug/pprof/profile", "", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}},
		{"two origins", "POST", "/v1/publish?all", "", map[string]string{"Origin": "http://127.0.0.1, https://evil.example"}},
	} {
		f := &fake{}
		base := start(t, f, nil)
		status, header, body := do(t, request{method: c.method, url: base + c.path, host: c.host, header: c.header, body: "x"})
		if messages := f.published(); status != 403 || len(messages) != 0 {
			t.Errorf("%s: %d %s", c.name, status, body)
		}
		for name := range header {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("%s is let in by %s", c.name, name)
			}
		}
	}
}

// Load balancers check the health in HTTP/1.0 and name no host. That is all that
// they may.
func TestHealthNeedsNoHost(t *testing.T) {
	address := strings.TrimPrefix(start(t, &fake{}, nil), "http://")
	for lines, want := range map[string]int{
		"OPTIONS /healthz HTTP/1.0":                                   405,
		"GET /healthz HTTP/1.0":                                       200,
		"HEAD /readyz HTTP/1.0":                                       200,
		"GET /readyz HTTP/1.0":                                        200,
		"GET /readyz HTTP/1.1\r\nHost: localhost":                     200,
		"GET /readyz HTTP/1.1":                                        400, // that version asks for one
		"GET /readyz HTTP/1.0\r\nHost: evil.example":                  403,
		"GET http://evil.example/readyz HTTP/1.0":                     403,
		"GET /readyz HTTP/1.0\r\nOrigin: null":                        403,
		"GET /readyz HTTP/1.0\r\nOrigin: http://evil.example":         403,
		"GET /readyz HTTP/1.0\r\nSec-Fetch-Site: cross-site":          403,
		"GET / HTTP/1.0":                                              403,
		"GET /v1/stats HTTP/1.0":                                      403,
		"GET /metrics HTTP/1.0":                                       403,
		"GET /readyz/../v1/clients HTTP/1.0":                          403,
		"POST /v1/publish?all HTTP/1.0\r\nContent-Length: 1\r\n\r\nx": 403,
	} {
		if status := raw(t, address, lines+"\r\n\r\n"); status != want {
			t.Errorf("%q: %d, want %d", lines, status, want)
		}
	}
}

// raw sends what no HTTP client would, and returns the status.
func raw(t *testing.T, address, text string) int {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	return answer.StatusCode
}

// A link from a dashboard does lead to the status page.
func TestLinksLeadHere(t *testing.T) {
	base := start(t, &fake{}, nil)
	header := map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
	if status, _, body := do(t, request{url: base + "/", header: header}); status != 200 {
		t.Errorf("%d %s", status, body)
	}
}

// Nothing that is answered is of use in another page.
func TestAnswersAreHardened(t *testing.T) {
	base := start(t, &fake{}, nil)
	for _, path := range []string{"/", "/v1/stats", "/metrics", "/nowhere", "/debug/pprof/"} {
		_, header, _ := do(t, request{url: base + path})
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Cross-Origin-Resource-Policy": "same-origin",
			"Cache-Control": "no-store", "Content-Security-Policy": "frame-ancestors 'none'"} {
			if !strings.Contains(header.Get(name), want) {
				t.Errorf("%s: %s is %q", path, name, header.Get(name))
			}
		}
	}
}

// The page's policy lets its own script and style run, and nothing that does
// not stand in the file.
func TestPagePolicy(t *testing.T) {
	_, header, body := do(t, request{url: start(t, &fake{}, nil) + "/"})
	policy := header.Get("Content-Security-Policy")
	for _, tag := range []string{"script", "style"} {
		_, rest, _ := strings.Cut(body, "<"+tag+">")
		inside, _, ok := strings.Cut(rest, "</"+tag+">")
		sum := sha256.Sum256([]byte(inside))
		if !ok || !strings.Contains(policy, tag+"-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") {
			t.Errorf("the %s of the page is not what the policy allows: %s", tag, policy)
		}
		if strings.Count(body, "<"+tag) != 1 {
			t.Errorf("the page has more than one %s", tag)
		}
	}
	if strings.Contains(policy, "unsafe") || !strings.HasPrefix(policy, "default-src 'none'") {
		t.Errorf("the policy is too wide: %s", policy)
	}
	if outside := regexp.MustCompile(`(?i)(src|href|action)="(https?:|//)|@import|url\(|\son[a-z]+="|\sstyle="`).FindString(body); outside != "" {
		t.Errorf("the page has %q", outside)
	}
}

func TestConsoleSources(t *testing.T) {
	for _, c := range []struct {
		host   string
		listen []string
		want   string
	}{
		{"127.0.0.1:8067", []string{"[::]:8066", "unix:/x"}, " ws://127.0.0.1:* wss://127.0.0.1:*"},
		{"wsd.example", []string{"0.0.0.0:8066"}, " ws://wsd.example:* wss://wsd.example:*"},
		{"localhost:8067", []string{"10.0.0.5:80"}, " ws://localhost:* wss://localhost:* ws://10.0.0.5:* wss://10.0.0.5:*"},
		{"[::1]:8067", nil, " ws: wss:"},
		{"x; script-src *", nil, ""},
		{"x *", nil, ""},
	} {
		if got := consoleSources(c.host, c.listen); got != c.want {
			t.Errorf("%s: %q", c.host, got)
		}
	}
}

func TestInfo(t *testing.T) {
	base := start(t, &fake{}, func(c *Config) { c.Version, c.Path, c.MaxPublish = "v1", "/live", 5 })
	_, _, body := do(t, request{url: base + "/v1/info"})
	want := `{"version":"v1","listen":["127.0.0.1:8066","unix:/run/wsd.sock"],"path":"/live","max_publish":5,` +
		`"idempotency_window_seconds":600,"idempotency_keys":10000,"descriptors":1073741824,"max_clients":1000}` + "\n"
	if body != want {
		t.Errorf("got %s", body)
	}
}
