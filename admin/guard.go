package admin

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// guard decides who may ask. With a token: whoever carries it. Without one the
// listener is on loopback, which keeps other machines out but not web pages in
// a browser on this one; they betray themselves by their Origin, or, after
// they rebound their own name to 127.0.0.1, by the Host they ask for.
type guard struct {
	token      *bearer // nil: none
	configured string  // host of the configured address
	next       http.Handler
}

func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	deadlines(w, r, g.trusts(r) && !isHealth(r.URL.Path))
	harden(w.Header())
	status, detail := g.refusal(r)
	switch status {
	case 0:
		g.next.ServeHTTP(w, r)
		return
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Bearer realm="wsd"`)
	}
	problem(w, status, detail)
}

// trusts tells who may take a place and time: whoever has the token, or else
// whoever is let in without one.
func (g *guard) trusts(r *http.Request) bool {
	if g.token != nil {
		return g.token.carried(r.Header.Get("Authorization"))
	}
	status, _ := g.refusal(r)
	return status == 0
}

// refusal says why a request is refused; 0 if it is not.
func (g *guard) refusal(r *http.Request) (status int, detail string) {
	switch {
	case g.token != nil && !isOpen(r.URL.Path) && !g.trusts(r):
		return http.StatusUnauthorized, "give the token of the admin side as Authorization: Bearer TOKEN"
	case g.token == nil && !g.localHost(r.Host) && !isOldCheck(r):
		return http.StatusForbidden, "the Host header has to be a loopback name or address, or the one that the admin side was told to listen on"
	case g.token == nil && foreignPage(r) && !isLink(r):
		return http.StatusForbidden, "web pages of other origins may not use this address without a token"
	}
	return 0, ""
}

// harden keeps what is answered from being of use to another page: not as a
// script or a picture, not in a frame, not from a cache. A page of ours that
// needs more sets a policy of its own.
func harden(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'") // pprof has inline styles
	h.Set("Referrer-Policy", "no-referrer")
}

// isOpen tells the paths that need no token: health checks, for probes cannot
// carry one and learn no more than from a refused connection, and the status
// page, which is the same everywhere and has to be there to ask for the token.
func isOpen(path string) bool { return isHealth(path) || path == statusPath }

func isHealth(path string) bool { return path == "/healthz" || path == "/readyz" }

// isOldCheck tells a health check in HTTP/1.0, as load balancers make them, that
// names no host (RFC 9112, 3.2, asks for one only from 1.1 on). Browsers always
// name one, so that a name rebound to this machine does not come in here.
func isOldCheck(r *http.Request) bool { return r.Host == "" && isHealth(r.URL.Path) }

const statusPath = "/"

// isLink tells that somebody followed a link to the status page, from a
// dashboard, say. It comes as a page of its own, and the one it was on cannot
// look into it.
func isLink(r *http.Request) bool {
	return r.Method == http.MethodGet && r.URL.Path == statusPath && r.Header.Get("Origin") == "" &&
		r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
}

func (g *guard) localHost(header string) bool {
	host := hostOnly(header)
	if host == "" {
		return false
	}
	if strings.EqualFold(host, "localhost") || strings.EqualFold(host, g.configured) {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// foreignPage tells a request that a browser made for a page from elsewhere.
// Other programs send neither header.
func foreignPage(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
	default:
		return true
	}
	origins := r.Header.Values("Origin")
	if len(origins) == 0 {
		return false
	}
	u, err := url.Parse(origins[0])
	return len(origins) > 1 || err != nil || u.Host == "" || !strings.EqualFold(u.Host, r.Host)
}

// hostOnly takes the port, and the brackets of IPv6, off "host:port".
func hostOnly(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.Trim(hostport, "[]")
}

// deadlines bound how slowly an answer may be taken (profiles take as long as
// they were asked to; a stranger has little time), and let no body come unless a
// handler wants it: net/http waits for what is left of one before it answers, and
// whoever was refused, or asks for what takes none, would hold a connection as long
// as it likes.
func deadlines(w http.ResponseWriter, r *http.Request, trusted bool) {
	// A connection that cannot have deadlines (a test's recorder) needs none.
	c := http.NewResponseController(w)
	if r.ContentLength != 0 {
		_ = c.SetReadDeadline(time.Unix(1, 0))
	}
	switch {
	case !trusted:
		_ = c.SetWriteDeadline(time.Now().Add(strangerTimeout))
	case !isLong(r):
		_ = c.SetWriteDeadline(time.Now().Add(answerTimeout))
	default:
		_ = c.SetWriteDeadline(time.Time{})
	}
}

// withBody is for a call that takes a body, within bodyTimeout.
func withBody(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
		h(w, r)
	}
}
