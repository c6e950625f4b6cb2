package admin

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"wsd/host"
	"wsd/server"
)

// export sends what the server says in the words of Prometheus.
type export struct{ to chan<- prometheus.Metric }

func (e export) gauge(d *prometheus.Desc, v float64, labels ...string) {
	e.to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (e export) counter(d *prometheus.Desc, v uint64, labels ...string) {
	e.to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
}

func (e export) each(d *prometheus.Desc, counts map[string]uint64) {
	for name, n := range counts {
		e.counter(d, n, name)
	}
}

// histogram turns counts of each bucket into running sums.
func (e export) histogram(d *prometheus.Desc, h server.Histogram, labels ...string) {
	buckets := make(map[float64]uint64, len(h.Bounds))
	sum := uint64(0)
	for i, bound := range h.Bounds {
		sum += h.Counts[i]
		if bound > 0 { // what took no time at all is in the next bucket, too
			buckets[bound] = sum
		}
	}
	e.to <- prometheus.MustNewConstHistogram(d, h.Count, h.Sum, buckets, labels...)
}

func (e export) plain(st *server.Stats) {
	for _, c := range plainCounters {
		e.counter(c.Desc, c.value(st))
	}
}

func (e export) server(st *server.Stats) {
	e.gauge(uptime, st.Uptime)
	e.gauge(loops, float64(st.Loops))
	e.gauge(staleLoops, float64(st.StaleLoops))
}

func (e export) clients(st *server.Stats) {
	for state, n := range map[string]int64{"joining": st.Clients.Joining, "open": st.Clients.Open, "closing": st.Clients.Closing} {
		e.gauge(clientsNow, float64(n), state)
	}
	e.gauge(clientsMax, float64(st.Clients.Max))
	e.counter(handshakes, st.Opened, "opened")
	e.counter(handshakes, st.Closed["handshake"], "invalid")
	e.counter(handshakes, st.Closed["handshake_timeout"], "timeout")
	e.counter(handshakes, st.Closed["proxy_header"], "proxy_header")
	e.counter(handshakes, st.TurnedAway, "turned_away")
	e.each(handshakes, st.Refused)
	e.each(closes, st.Closed)
}

func (e export) traffic(st *server.Stats) {
	e.gauge(pendingBytes, float64(st.PendingBytes))
	e.gauge(pendingMax, float64(st.PendingMax))
}

// codes are those of the protocol; all of an application's own are one.
var codes = []int{0, 1, 4, 5, 6, 7, 8, 9, 10}

// noAction stands for requests that no action saw; none can have this name.
const noAction = "(none)"

func (e export) actions(st *server.Stats) {
	for name, counts := range st.Actions {
		if name == "" {
			name = noAction
		}
		other := uint64(0)
		for code, n := range counts {
			if !slices.Contains(codes, code) {
				other += n
			}
		}
		for _, code := range codes {
			e.counter(answers, counts[code], name, strconv.Itoa(code))
		}
		e.counter(answers, other, name, "other")
	}
	for _, name := range slices.Sorted(maps.Keys(st.ActionSeconds)) {
		e.histogram(actionSeconds, st.ActionSeconds[name], name)
	}
	e.gauge(waitingAnswer, float64(st.ActionsWaiting))
	e.gauge(workersBusy, float64(st.WorkersBusy))
	e.gauge(workersMax, float64(st.WorkersMax))
}

func (e export) publishes(st *server.Stats) {
	e.gauge(publishesUnderWay, float64(st.PublishesUnderWay))
	e.histogram(publishSeconds, st.PublishSeconds)
	e.each(dropped, st.Dropped)
	for outcome, n := range map[string]uint64{"sent": st.Queue.Sent, "evicted": st.Queue.Evicted, "coalesced": st.Queue.Coalesced,
		"expired": st.Queue.Expired, "lost": st.Queue.Lost} {
		e.counter(unqueued, n, outcome)
	}
	e.gauge(topicsNow, float64(st.Topics))
	e.gauge(subscriptions, float64(st.Subscribed))
}

func (e export) identities(st *server.Stats) {
	e.each(authResults, st.Auth)
	e.gauge(usersNow, float64(st.Users))
	e.gauge(revocationsNow, float64(st.Revocations))
}

func (e export) loops(st *server.Stats) {
	e.histogram(turnSeconds, st.TurnSeconds)
	e.histogram(batchSize, st.BatchSize)
}

func (e export) cluster(c server.ClusterStats) {
	for state, n := range c.Nodes {
		e.gauge(clusterNodes, float64(n), state)
	}
	e.each(clusterMissing, c.Missing)
	for name, seconds := range c.RTT {
		e.gauge(clusterRTT, seconds, name)
	}
	for d, n := range map[*prometheus.Desc]uint64{clusterLate: c.Late, clusterStale: c.Stale, clusterUnknown: c.Unknown, clusterDropped: c.Dropped,
		clusterUntold: c.Untold, clusterRefused: c.Refused, clusterDisconnects: c.Disconnects, clusterSameName: c.SameName, clusterUncounted: c.Uncounted} {
		e.counter(d, n)
	}
	e.gauge(clusterConnected, float64(bit(c.Connected)))
	for d, n := range map[*prometheus.Desc]int{clusterBehind: c.BehindMessages, clusterBehindBytes: c.BehindBytes, clusterUnderWay: c.UnderWay,
		clusterAwaited: c.Awaited, clusterKeys: c.Keys} {
		e.gauge(d, float64(n))
	}
}

// began is when the process did, near enough.
var began = time.Now()

func (e export) process(u host.Usage, limits server.Limits) {
	e.to <- prometheus.MustNewConstMetric(cpuTotal, prometheus.CounterValue, u.CPUSeconds)
	e.gauge(startTime, float64(began.UnixMilli())/1000)
	e.gauge(fdsMax, float64(limits.Descriptors))
	for d, n := range map[*prometheus.Desc]int64{
		resident: u.Resident, fdsOpen: u.Descriptors, memoryLimit: u.MemoryLimit, memoryAvailable: u.MemoryAvailable,
		tcpMemory: u.TCPMemory, tcpMemoryLimit: u.TCPMemoryLimit, tcpOrphans: u.TCPOrphans, tcpTimeWait: u.TCPTimeWait, tcpSockets: u.TCPSockets,
	} {
		if n != host.NotKnown {
			e.gauge(d, float64(n))
		}
	}
}
