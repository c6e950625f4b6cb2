package main

// The flags of `wsd serve`, one struct for each group of its help. The names of
// the fields are those of server.Config, and so are the names of the flags: a
// test holds both together. Where 0 turns a limit off, the help says so.

type serveFlags struct {
	Listen    listenFlags    `embed:"" group:"Listen"`
	Admission admissionFlags `embed:"" group:"Admission"`
	Limits    limitFlags     `embed:"" group:"Limits"`
	Slow      slowFlags      `embed:"" group:"Slow consumers"`
	Timeouts  timeoutFlags   `embed:"" group:"Timeouts"`
	Actions   actionFlags    `embed:"" group:"Actions"`
	Identity  identityFlags  `embed:"" group:"Identity"`
	Stop      stopFlags      `embed:"" group:"Stop"`
	Log       logFlags       `embed:"" group:"Log"`
	Admin     adminFlags     `embed:"" group:"Admin"`
	Cluster   clusterFlags   `embed:"" group:"Cluster"`
}

type listenFlags struct {
	Listen        []string `default:":8066" placeholder:"ADDRESS" help:"Where clients connect: host:port, :port or unix:/path; repeatable."`
	ReusePort     bool     `negatable:"" help:"Let other processes of the same user listen on the same ports (SO_REUSEPORT): the kernel deals newcomers out to them."`
	ProxyProtocol bool     `negatable:"" help:"Clients come through proxies alone, which begin each connection with a header of the PROXY protocol (version 1 or 2) that says whose it is; needs --proxy-from."`
	ProxyFrom     []string `placeholder:"NETWORK" help:"Proxies that speak the PROXY protocol, as in 192.0.2.0/24, 192.0.2.7, 2001:db8::/32, or unix for all that come over a Unix socket. All others are refused."`
	ForwardedFrom []string `placeholder:"NETWORK" help:"Proxies whose X-Forwarded-For is believed, in the same form: a client's address is the rightmost in it that is none of theirs."`
	Path          string   `default:"/ws" help:"URL path of the action protocol."`
	EchoPath      string   `placeholder:"PATH" help:"URL path where every message comes back as it came, with no actions; for conformance suites and benchmarks."`
	Loops         count    `default:"0" help:"Event loops that own the clients; 0: one for each processor (GOMAXPROCS)."`
}

type admissionFlags struct {
	MaxClients    count    `default:"0" help:"Clients connected at once, joining ones included. 0: as many as the descriptor limit allows and a third of the memory holds. More than the descriptor limit allows are never taken."`
	MaxHandshakes count    `default:"4096" help:"Handshakes under way at once."`
	HandshakeRate count    `default:"0" help:"Handshakes begun per second; 0: no limit."`
	MaxPerAddress count    `default:"0" help:"Clients of one IP address (IPv6: of one /64); 0: no limit. Proxies of --proxy-from and --forwarded-from have none."`
	RetryAfter    span     `default:"5s" help:"What a client refused for now is told to wait at least, and at most twice that."`
	Origins       []string `placeholder:"ORIGIN" help:"Pages that may connect, by their Origin header, as in https://example.org or https://*.example.org; none given, or *: all."`
	Hosts         []string `placeholder:"HOST" help:"Allowed Host headers, as in example.org (any port), example.org:8066 or *.example.org; none given, or *: all."`
	Strict        bool     `negatable:"" help:"Refuse to start on a host that does not hold --max-clients, instead of warning (wsd tune check tells more)."`
	Subprotocols  []string `placeholder:"NAME" help:"Subprotocols to accept; none given: the first one that a client offers."`
}

type limitFlags struct {
	MaxHeader          size  `default:"8KiB" help:"Size of a handshake request; at most 1MiB."`
	MaxMessage         size  `default:"64KiB" help:"Size of a whole message from a client; at most 1GiB."`
	MaxFragments       count `default:"1024" help:"Frames that one message may be cut into, at most 65535; 0: no limit but max-message."`
	MessageRate        count `default:"0" help:"Messages per second of one client; 0: no limit."`
	ByteRate           size  `default:"0" help:"Bytes per second of one client; 0: no limit."`
	ControlRate        count `default:"50" help:"Control frames (ping, pong) per second of one client; 0: no limit."`
	MaxTopicsPerClient count `default:"64" help:"Topics that one client may subscribe to; 0: no limit."`
	MaxTopics          count `default:"1000000" help:"Topics in all, for each loop; 0: no limit."`
}

type slowFlags struct {
	SlowConsumer string `default:"close" enum:"close,drop-new,drop-old" placeholder:"POLICY" help:"What happens to a client that does not take what is sent to it: close (code 1008), drop-new or drop-old messages."`
	PendingLimit size   `default:"4MiB" help:"Bytes that may wait for one client beyond what the kernel took, 48 more for each message; at most 1GiB."`
	PendingTotal *size  `help:"Memory that all clients together may make the server hold: unfinished messages, what waits to be sent, publishes under way, running requests. A message for many counts once. Over it, the client that holds the most is closed (code 1013). If it is not given, it is a quarter of what the control group, or the host, has beside the clients themselves; the log tells at the start."`
	PendingAge   span   `default:"30s" help:"How long the oldest of those bytes may wait."`
	NotsentLowat size   `default:"128KiB" help:"Bytes that may wait unsent in the kernel for each client (TCP_NOTSENT_LOWAT); 0: the system's setting."`
}

type timeoutFlags struct {
	HandshakeTimeout    span  `default:"10s" help:"For a whole handshake, from accept to its blank line."`
	FirstMessageTimeout span  `default:"0s" help:"From the handshake to a client's first message; 0: no limit."`
	IdleTimeout         span  `default:"60s" help:"Silence after which a client gets a ping; 0: never."`
	PongTimeout         span  `default:"20s" help:"Further silence, after the ping, for which it is closed; whichever is longer, the two add up."`
	MessageTimeout      span  `default:"1m" help:"For a message, from its first byte to its last, whatever control frames come in between; 0: no limit."`
	CloseTimeout        span  `default:"5s" help:"For a client to answer a close."`
	UserTimeout         *span `help:"For sent data to be acknowledged, else the client has vanished (TCP_USER_TIMEOUT), at most 596h; none given: 10s more than --pending-age, and 30s at least; 0: the system's setting."`
}

type actionFlags struct {
	ClientFanout  bool     `negatable:"" help:"Let every client address the others (is_broadcast, client_ids); else only a token does."`
	Topics        []string `placeholder:"PATTERN" help:"Topics that clients may subscribe to, as in news or room.*; none given, or *: all."`
	Workers       count    `default:"256" help:"Handlers that may block, run at once; further ones are answered busy."`
	ActionTimeout span     `default:"10s" help:"For such a handler, until its client is answered busy."`
	Actions       []string `placeholder:"PATTERN" help:"Actions that every client may ask for, as in echo or vote_*; others need a grant in the client's token. None given, or *: all; none: only heart_beat, whoami and auth, which are always allowed."`
}

type identityFlags struct {
	Auth             string   `default:"off" enum:"off,optional,required" placeholder:"MODE" help:"Whether clients prove who they are when they connect: off, optional (a token that comes has to be good) or required."`
	TokenFrom        []string `default:"header,protocol,message" placeholder:"PLACE" help:"Where a client's token may be, in the order in which they are looked at: header (Authorization), protocol (a subprotocol wsd.token.TOKEN), query (?token=TOKEN), message (the first, of the action auth)."`
	AuthTimeout      span     `default:"5s" help:"For the message that proves who a client is, from the handshake on, if it has to."`
	AuthRefuse       string   `default:"status" enum:"status,close" placeholder:"HOW" help:"How clients are refused: by an HTTP status, which pages in browsers cannot see, or by a close frame (3000, 3003) after the handshake."`
	TokenKeyFile     []string `placeholder:"FILE" help:"Keys that verify clients' JSON Web Tokens: PEM public keys alone (RS256, ES256, EdDSA), or else the secret of HS256, at least 32 bytes; repeatable. Keys in other forms are refused."`
	TokenJwks        []string `placeholder:"URL" help:"JSON Web Key Set with keys that verify tokens: an https URL, or a file; repeatable."`
	TokenJwksRefresh span     `default:"1h" help:"How often those are read again, beside once in five minutes at most when a token names a key that is in none."`
	TokenIssuer      []string `placeholder:"ISSUER" help:"What a token's iss may be; none given: anything."`
	TokenAudience    []string `placeholder:"AUDIENCE" help:"What a token's aud may be, or have among others; none given: anything."`
	TokenLeeway      span     `default:"30s" help:"How much the clocks of issuers may differ from this host's; clients stay up to so much longer than their tokens."`
	MaxPerUser       count    `default:"0" help:"Clients of one user, over all nodes of a cluster; 0: no limit. The limit in a client's token takes its place."`
	MaxPerUserPolicy string   `default:"refuse" enum:"refuse,close-oldest" placeholder:"POLICY" help:"What happens to one more: refuse it, or close-oldest."`
}

type stopFlags struct {
	DrainTime span `default:"10s" help:"Time over which clients are closed when the server stops; 0: all at once."`
	Restart   bool `negatable:"" help:"Close clients with 1012 (restarting) instead of 1001 (going away)."`
}

type logFlags struct {
	LogLevel  string `default:"info" enum:"debug,info,warn,error" placeholder:"LEVEL" help:"Least level that is logged: debug (with a line for each client), info, warn or error."`
	LogFormat string `default:"text" enum:"text,json" placeholder:"FORMAT" help:"text or json, on standard error."`
}

type adminFlags struct {
	Admin          string `default:"127.0.0.1:8067" placeholder:"ADDRESS" help:"Where publishers and operators connect over HTTP; none: nowhere. Other than loopback needs --admin-token-file."`
	AdminTokenFile string `placeholder:"FILE" help:"Bearer token that every request has to carry, but for health checks and the empty frame of the status page."`
	MaxPublish     size   `default:"1MiB" help:"Size of a published message; at most 1GiB."`

	IdempotencyWindow span  `default:"10m" help:"How long the answer to a publish with an Idempotency-Key is remembered."`
	IdempotencyKeys   count `default:"10000" help:"How many of those answers are, at some 400 bytes each; 0: such publishes are refused."`
}
