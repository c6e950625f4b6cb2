package admin

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"

	"wsd/server"
)

var goVersion = runtime.Version()

// descs is all there is; describe adds to it.
var descs []*prometheus.Desc

func describe(name, help string, labels ...string) *prometheus.Desc {
	d := prometheus.NewDesc(name, help, labels, nil)
	descs = append(descs, d)
	return d
}

// The names, by what they tell about.
var (
	buildInfo  = describe("wsd_build_info", "1, with the versions of the program and of Go.", "version", "goversion")
	readyState = describe("wsd_ready", "Whether /readyz answers 200.")
	uptime     = describe("wsd_uptime_seconds", "Time since the server was made.")
	loops      = describe("wsd_loops", "Event loops that own the clients.")
	staleLoops = describe("wsd_loops_stale", "Loops that did not answer within two seconds; their part of all numbers is of when they last did.")

	clientsNow = describe("wsd_clients", "Connections now, by state.", "state")
	clientsMax = describe("wsd_clients_max", "Connections that there may be.")
	handshakes = describe("wsd_handshakes_total", "Handshakes by outcome: opened, invalid, timeout, turned_away (closed unread), evicted (for a newcomer, when the places were all taken), or the limit that refused it.", "outcome")
	closes     = describe("wsd_closes_total", "Connections ended, by reason.", "reason")

	pendingBytes = describe("wsd_pending_bytes", "Memory that clients make the server hold: unfinished messages, what waits to be sent, publishes under way, running requests; a message for many counts once.")
	pendingMax   = describe("wsd_pending_max_bytes", "What that may be: over it, who holds the most is closed (wsd_closes_total, reason memory).")

	answers       = describe("wsd_action_answers_total", "Answers by action and code; action (none): no action was asked for, code other: an application's own.", "action", "code")
	actionSeconds = describe("wsd_action_duration_seconds", "Time in handlers: of pooled actions each call, of inline ones one call in 16; of those answered later the time until then.", "action")
	waitingAnswer = describe("wsd_actions_waiting", "Clients that wait for an answer now, from a worker or from elsewhere.")
	workersBusy   = describe("wsd_workers_busy", "Workers that run a handler now.")
	workersMax    = describe("wsd_workers_max", "Workers that there may be.")

	publishesUnderWay = describe("wsd_publishes_under_way", "Messages that have not reached their last client.")
	publishSeconds    = describe("wsd_publish_duration_seconds", "Time from publish to the write to the last client.")
	dropped           = describe("wsd_dropped_messages_total", "Messages not sent to a slow client, by policy.", "policy")
	unqueued          = describe("wsd_unqueued_messages_total", "What became of them: sent, evicted by the policy, coalesced (replaced by a newer value), expired, lost with the connection.", "outcome")
	topicsNow         = describe("wsd_topics", "Topics that have a subscriber, once for each loop.")
	subscriptions     = describe("wsd_subscriptions", "Pairs of a client and a topic.")

	authResults    = describe("wsd_auth_total", "Looks at who a client is, by result: ok, anonymous, prolonged (the action auth), or why it was refused.", "result")
	usersNow       = describe("wsd_users", "Users that have a client here.")
	revocationsNow = describe("wsd_revocations", "Revocations in force.")
	keySetReads    = describe("wsd_jwks_refresh_total", "Reads of JSON Web Key Sets, by result.", "result")

	turnSeconds = describe("wsd_loop_turn_duration_seconds", "Time of one turn in 16, waiting left out.")
	batchSize   = describe("wsd_loop_batch_size", "Ready sockets in a turn.")

	// The usual names of the process, but descriptors are not counted one by one
	// where the kernel knows their number.
	cpuTotal  = describe("process_cpu_seconds_total", "User and system time of the process.")
	startTime = describe("process_start_time_seconds", "Start of the process, in seconds since 1970.")
	resident  = describe("process_resident_memory_bytes", "Memory of the process in RAM; the kernel's part of connections is not in it.")
	fdsOpen   = describe("process_open_fds", "Descriptors in use.")
	fdsMax    = describe("process_max_fds", "Descriptors that there may be.")

	adminConns   = describe("wsd_admin_connections", "Connections of the admin side.")
	adminEvicted = describe("wsd_admin_connections_evicted_total", "Those of strangers, without a request, or with one that had not begun, that made room for others.")
	adminRefused = describe("wsd_admin_requests_refused_total", "Requests of the admin side answered 503 because too many others were under way.")

	logDropped = describe("wsd_log_lines_dropped_total", "Lines of the log that were dropped because standard error did not take them.")

	clusterNodes       = describe("wsd_cluster_nodes", "Other nodes of the cluster, by state: ready, joining, draining, moving, suspect (not heard of for 3 s), dead (6 s).", "state")
	clusterConnected   = describe("wsd_cluster_connected", "Whether there is a connection to NATS.")
	clusterMissing     = describe("wsd_cluster_missing_total", "Answers of other nodes that did not come, by why: no_answer, behind, moving, gone, partitioned.", "why")
	clusterLate        = describe("wsd_cluster_interest_late_total", "Subscribes, and handshakes with topics, that were answered before all nodes knew of them.")
	clusterStale       = describe("wsd_cluster_stale_messages_total", "Publishes of other nodes that came twice, or after younger ones, and were left out.")
	clusterUnknown     = describe("wsd_cluster_unknown_messages_total", "Messages of other nodes that this version does not know.")
	clusterDropped     = describe("wsd_cluster_dropped_total", "Messages of other nodes, or for them, that were dropped for want of room here.")
	clusterUntold      = describe("wsd_cluster_untold_total", "Messages of clients to others that did not go to a node, once for each.")
	clusterRefused     = describe("wsd_cluster_publishes_refused_total", "Messages of publishers over NATS that were wrong, and nobody waited for the answer.")
	clusterDisconnects = describe("wsd_cluster_disconnects_total", "Times that the connection to NATS was lost.")
	clusterUncounted   = describe("wsd_cluster_users_uncounted_total", "Times that the limit of a user was looked at without the clients of a node, since it did not answer.")
	clusterSameName    = describe("wsd_cluster_same_name_total", "Heartbeats of other nodes with this node's name.")
	clusterBehind      = describe("wsd_cluster_behind_messages", "Publishes of other nodes that have come and not begun.")
	clusterBehindBytes = describe("wsd_cluster_behind_bytes", "Their bytes.")
	clusterUnderWay    = describe("wsd_cluster_under_way", "Publishes of other nodes that are under way here.")
	clusterAwaited     = describe("wsd_cluster_awaited", "Publishes of which other nodes have still to tell.")
	clusterKeys        = describe("wsd_cluster_keys", "Idempotency keys that are remembered.")
	clusterRTT         = describe("wsd_cluster_rtt_seconds", "Time to another node and back; of 64 nodes at most.", "node")

	memoryLimit     = describe("wsd_memory_limit_bytes", "Memory that the process may use with what it shares it with: of the control group, or the machine.")
	memoryAvailable = describe("wsd_memory_available_bytes", "What is left of it.")
	tcpMemory       = describe("wsd_tcp_memory_bytes", "Buffers of all TCP sockets of the machine, in the kernel.")
	tcpMemoryLimit  = describe("wsd_tcp_memory_limit_bytes", "The limit of that (tcp_mem).")
	tcpSockets      = describe("wsd_tcp_sockets", "TCP sockets of the network namespace.")
	tcpOrphans      = describe("wsd_tcp_orphan_sockets", "TCP sockets that no process has any more.")
	tcpTimeWait     = describe("wsd_tcp_time_wait_sockets", "TCP sockets in TIME_WAIT.")
)

// plainCounters are those that are one number of Stats, without a label.
var plainCounters = []struct {
	*prometheus.Desc
	value func(*server.Stats) uint64
}{
	{describe("wsd_connections_accepted_total", "Connections accepted, before any check; those turned away unread are not among them."), func(st *server.Stats) uint64 { return st.Accepted }},
	{describe("wsd_accept_errors_total", "Failures of accept."), func(st *server.Stats) uint64 { return st.AcceptErrors }},
	{describe("wsd_accept_pauses_total", "Times accepting paused for want of descriptors."), func(st *server.Stats) uint64 { return st.AcceptBackoffs }},
	{describe("wsd_received_messages_total", "Whole messages received."), func(st *server.Stats) uint64 { return st.MessagesIn }},
	{describe("wsd_sent_messages_total", "Messages handed to the kernel whole."), func(st *server.Stats) uint64 { return st.MessagesOut }},
	{describe("wsd_received_control_frames_total", "Control frames received: pings, pongs, closes."), func(st *server.Stats) uint64 { return st.ControlsIn }},
	{describe("wsd_sent_pings_total", "Pings sent to silent clients."), func(st *server.Stats) uint64 { return st.Pings }},
	{describe("wsd_received_bytes_total", "Bytes read from clients."), func(st *server.Stats) uint64 { return st.BytesIn }},
	{describe("wsd_sent_bytes_total", "Bytes written to clients."), func(st *server.Stats) uint64 { return st.BytesOut }},
	{describe("wsd_actions_busy_total", "Actions answered busy because no worker was free."), func(st *server.Stats) uint64 { return st.ActionsBusy }},
	{describe("wsd_action_timeouts_total", "Actions answered busy because their handler took too long."), func(st *server.Stats) uint64 { return st.ActionTimeouts }},
	{describe("wsd_action_late_results_total", "Results of handlers that nobody waited for any more."), func(st *server.Stats) uint64 { return st.ActionsLate }},
	{describe("wsd_action_second_answers_total", "Answers to requests that had one already."), func(st *server.Stats) uint64 { return st.ActionsTwice }},
	{describe("wsd_publishes_total", "Messages published, fan-out by actions included."), func(st *server.Stats) uint64 { return st.Publishes }},
	{describe("wsd_publishes_refused_total", "Messages that the application posted and that were refused because too many were under way. Publishers over HTTP wait instead."), func(st *server.Stats) uint64 { return st.PublishesRefused }},
	{describe("wsd_expired_messages_total", "Messages not sent to a client because their deadline was over when its turn came."), func(st *server.Stats) uint64 { return st.Expired }},
	{describe("wsd_queued_messages_total", "Published messages that had to wait for a client, once for each."), func(st *server.Stats) uint64 { return st.Queue.Queued }},
	{describe("wsd_proxy_unnamed_total", "Connections whose proxy did not tell whose they are (LOCAL, UNKNOWN, no X-Forwarded-For): no share counts them."), func(st *server.Stats) uint64 { return st.ProxyUnnamed }},
	{describe("wsd_subscriptions_refused_total", "Subscriptions refused for a limit."), func(st *server.Stats) uint64 { return st.TopicLimit }},
	{describe("wsd_loop_turns_total", "Turns of the loops."), func(st *server.Stats) uint64 { return st.Turns }},
	{describe("wsd_loop_events_total", "Readiness events served."), func(st *server.Stats) uint64 { return st.Events }},
	{describe("wsd_loop_stale_events_total", "Events for connections that had ended."), func(st *server.Stats) uint64 { return st.StaleEvents }},
}
