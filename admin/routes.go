package admin

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/pprof"
	profiles "runtime/pprof"
	"strings"
	"time"
)

// api has the handlers.
type api struct {
	// Set by newAPI, then constant.
	backend    Backend
	cluster    Cluster // nil: the server is alone
	maxPublish int64
	log        *slog.Logger
	version    string
	path       string          // where clients connect
	ending     context.Context // done when the admin side ends
	streamIdle time.Duration
	logDropped func() uint64

	keySetReads func() (ok, failed uint64)

	// For any goroutine.
	once      *once
	resources *resources
	turnstile *turnstile // what publishes go through
	conns     *limitListener
}

func newAPI(ending context.Context, cfg Config, backend Backend) *api {
	return &api{backend: backend, cluster: cfg.Cluster, maxPublish: cfg.MaxPublish, log: cfg.Logger, version: cfg.Version, path: cfg.Path, streamIdle: streamIdle,
		logDropped: cfg.LogDropped, keySetReads: cfg.KeySetReads, ending: ending, resources: newResources(), turnstile: &turnstile{},
		conns: limitConns(nil, cfg.MaxConns), once: newOnce(cfg.IdempotencyWindow, max(cfg.IdempotencyKeys, 0))}
}

const pprofPath = "/debug/pprof/"

// route is one call of the HTTP interface.
type route struct {
	method, path string
	handle       http.HandlerFunc
}

// calls lists the interface; GET takes HEAD along.
func (a *api) calls() []route {
	return []route{
		{"GET", "/{$}", a.status},
		{"GET", "/openapi.json", describeAPI},
		{"GET", "/healthz", a.healthz},
		{"GET", "/readyz", a.readyz},
		{"GET", "/v1/info", a.info},
		{"GET", "/v1/stats", a.stats},
		{"GET", "/metrics", metrics(a).ServeHTTP},
		{"POST", "/v1/publish", withBody(a.publish)},
		{"POST", streamPath, a.publishStream},
		{"GET", "/v1/clients", a.allClients},
		{"GET", "/v1/clients/{id}", a.oneClient},
		{"DELETE", "/v1/clients/{id}", a.closeClient},
		{"DELETE", "/v1/topics/{topic}/clients", a.closeTopic},
		{"GET", "/v1/topics/{topic}", a.oneTopic},
		{"GET", "/v1/users/{user}", a.oneUser},
		{"DELETE", "/v1/users/{user}/clients", a.closeUser},
		{"GET", "/v1/revocations", a.revocations},
		{"POST", "/v1/revocations", withBody(a.revoke)},
		{"DELETE", "/v1/revocations", a.unrevoke},
		{"GET", "/v1/nodes", a.nodes},
		{"GET", pprofPath + "{$}", pprof.Index},
		{"GET", pprofPath + "{profile}", profile},
		{"GET", pprofPath + "cmdline", pprof.Cmdline},
		{"GET", pprofPath + "profile", pprof.Profile},
		{"GET", pprofPath + "symbol", pprof.Symbol},
		{"POST", pprofPath + "symbol", withBody(pprof.Symbol)},
		{"GET", pprofPath + "trace", pprof.Trace},
	}
}

// profile is for those that the runtime knows by name. pprof.Index would say in
// plain text that there is none.
func profile(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("profile")
	if profiles.Lookup(name) == nil {
		problem(w, http.StatusNotFound, "there is no profile "+name)
		return
	}
	pprof.Handler(name).ServeHTTP(w, r)
}

// call is a handler of ours, which the mux's own (for redirects, and for what is
// not there) are not.
type call struct {
	http.HandlerFunc
	path string // "" if a part of it may be anything
}

func newCall(r route) call {
	path := strings.TrimSuffix(r.path, "{$}") // which the mux lets an escaped slash pass for, too
	if strings.Contains(path, "{") {
		path = ""
	}
	return call{r.handle, path}
}

func (c call) fits(r *http.Request) bool { return c.path == "" || c.path == r.URL.Path }

// routes answers requests that no call fits as problems, too. The mux would send
// some of them on to a path that it likes better, with an answer that passes for
// success and has published nothing.
func (a *api) routes() http.Handler {
	mux := http.NewServeMux()
	for _, c := range a.calls() {
		mux.Handle(c.method+" "+c.path, newCall(c))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, _ := mux.Handler(r)
		c, ours := h.(call)
		switch {
		case !ours:
			explain(w, r, h)
		case !c.fits(r):
			explain(w, r, http.NotFoundHandler())
		default:
			mux.ServeHTTP(w, r)
		}
	})
}

// explain says in our way what net/http's own handler for misfits, which knows
// what methods a path has, would say in plain text.
func explain(w http.ResponseWriter, r *http.Request, misfit http.Handler) {
	said := &statusOnly{header: http.Header{}}
	misfit.ServeHTTP(said, r)
	if said.status == http.StatusMethodNotAllowed {
		allow := said.header.Get("Allow")
		w.Header().Set("Allow", allow)
		problem(w, said.status, r.Method+" is not for "+r.URL.Path+": use "+allow)
		return
	}
	detail := "there is nothing at " + r.URL.Path
	if to := said.header.Get("Location"); to != "" {
		detail += ": write " + to
	}
	problem(w, http.StatusNotFound, detail)
}

// statusOnly is a ResponseWriter that forgets the body.
type statusOnly struct {
	header http.Header
	status int
}

func (s *statusOnly) Header() http.Header         { return s.header }
func (s *statusOnly) WriteHeader(status int)      { s.status = status }
func (s *statusOnly) Write(b []byte) (int, error) { return len(b), nil }
