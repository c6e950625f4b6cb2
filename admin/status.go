package admin

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
)

// The status page is one file: its style and its script are inside, and the
// browser is told to run nothing else, by their digests.
//
//go:embed status.html
var statusPage string

//go:embed openapi.json
var openAPI []byte

var pageInline = regexp.MustCompile(`(?s)<(style|script)>(.*?)</(?:style|script)>`)

// pagePolicy is the Content-Security-Policy of the page, but for the addresses
// that its console may connect to.
var pagePolicy = policyOf(statusPage)

func policyOf(html string) string {
	policy := "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	for _, part := range pageInline.FindAllStringSubmatch(html, -1) {
		sum := sha256.Sum256([]byte(part[2]))
		policy += "; " + part[1] + "-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return policy + "; connect-src 'self'"
}

func (a *api) status(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Security-Policy", pagePolicy+consoleSources(r.Host, a.backend.Addrs()))
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write([]byte(statusPage)) // the browser may be gone
}

// consoleSources lets the page's console connect to any port of the page's own
// host, where the server or a proxy before it is, and to the server's addresses.
func consoleSources(host string, listen []string) string {
	sources := hostSources(hostOnly(host))
	for _, address := range listen {
		h, _, err := net.SplitHostPort(address)
		if ip, err2 := netip.ParseAddr(h); err == nil && err2 == nil && !ip.IsUnspecified() {
			sources += hostSources(h)
		}
	}
	return sources
}

// hostName is what a policy can express; it has no IPv6 addresses.
var hostName = regexp.MustCompile(`^[A-Za-z0-9.-]+$`)

func hostSources(host string) string {
	if hostName.MatchString(host) {
		return " ws://" + host + ":* wss://" + host + ":*"
	}
	if strings.Contains(host, ":") {
		return " ws: wss:"
	}
	return ""
}

func describeAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(openAPI) // the caller may be gone
}

// info is what does not change while the server runs.
type info struct {
	Version           string   `json:"version"`
	Listen            []string `json:"listen"`
	Path              string   `json:"path"`
	MaxPublish        int64    `json:"max_publish"`
	IdempotencyWindow float64  `json:"idempotency_window_seconds"`
	IdempotencyKeys   int      `json:"idempotency_keys"`
	Descriptors       int      `json:"descriptors"`
	MaxClients        int      `json:"max_clients"`
}

func (a *api) info(w http.ResponseWriter, _ *http.Request) {
	limits := a.backend.Limits()
	answer(w, http.StatusOK, info{Version: a.version, Listen: a.backend.Addrs(), Path: a.path, MaxPublish: a.maxPublish,
		IdempotencyWindow: a.once.window.Seconds(), IdempotencyKeys: a.once.max, Descriptors: limits.Descriptors, MaxClients: limits.MaxClients})
}
