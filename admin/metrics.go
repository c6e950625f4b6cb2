package admin

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// newRegistry returns a registry of our own, so that nothing that some library
// registers by itself comes in.
func newRegistry(a *api) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collector{a}, collectors.NewGoCollector())
	return r
}

// metrics serves /metrics. What cannot be collected is left out, and the rest
// served all the same.
func metrics(a *api) http.Handler {
	h := promhttp.HandlerFor(newRegistry(a), promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
	places := make(chan struct{}, 4) // scrapes at once; others wait, as long as they like
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case places <- struct{}{}:
			defer func() { <-places }()
			h.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	})
}

// collector asks the server once for each scrape; nothing is counted twice, and
// nothing is counted for Prometheus alone. The number of series depends on the
// registered actions, never on clients or topics.
type collector struct{ api *api }

func (c collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range descs {
		to <- d
	}
}

func (c collector) Collect(to chan<- prometheus.Metric) {
	a := c.api
	st, limits := a.backend.Stats(), a.backend.Limits()
	e := export{to}
	e.gauge(buildInfo, 1, a.version, goVersion)
	e.gauge(readyState, float64(bit(a.ready() == nil)))
	e.plain(&st)
	e.server(&st)
	e.clients(&st)
	e.traffic(&st)
	e.actions(&st)
	e.publishes(&st)
	e.identities(&st)
	ok, failed := a.keySetReads()
	e.counter(keySetReads, ok, "ok")
	e.counter(keySetReads, failed, "failed")
	e.loops(&st)
	e.gauge(adminConns, float64(a.conns.open()))
	e.counter(adminEvicted, a.conns.evicted.Load())
	e.counter(logDropped, a.logDropped())
	e.counter(adminRefused, a.conns.refused.Load())
	if a.cluster != nil {
		e.cluster(a.cluster.Totals())
	}
	e.process(a.resources.now(), limits)
}
