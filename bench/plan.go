package bench

import (
	"time"

	"wsd/bench/report"
)

// Plan is a whole run: which clients, against what, through which phases.
type Plan struct {
	Targets []string `json:"targets"` // ws://host:port/path; clients take turns
	Clients int      `json:"clients"` // well-behaved ones, the measured ones
	// Sources are addresses to connect from: "127.0.0.5", "127.0.1.0/24",
	// "10.0.0.1-10.0.0.9". None: chosen on loopback, left to the kernel elsewhere.
	Sources []string `json:"sources,omitempty"`
	Header  []string `json:"header,omitempty"` // further handshake fields, "Name: value"
	// First is a text message that every client sends once it is connected, say
	// to subscribe. It is up when the answer to it has come.
	First string `json:"first,omitempty"`

	HandshakeTimeout Duration `json:"handshake_timeout"` // 0: 10 s, from connect to the first answer
	Retries          int      `json:"retries"`           // attempts after the first; 0: 10
	Reconnect        bool     `json:"reconnect"`         // clients that the server closed come back
	Grace            Duration `json:"grace"`             // how long late answers are waited for; 0: 5 s
	MaxMessage       int      `json:"max_message"`       // bytes, of what is received; 0: 1 MiB

	// MaxBuffered bounds the bytes of messages half received and frames half sent,
	// of all clients together; 0: a quarter of the memory available, 1 GiB at most.
	MaxBuffered int `json:"max_buffered,omitempty"`

	Groups []Group `json:"groups,omitempty"` // badly-behaved clients
	Phases []Phase `json:"phases"`

	Publish        []string `json:"publish,omitempty"`         // URLs to POST to, all at once
	PublishCommand string   `json:"publish_command,omitempty"` // or a shell command that gets the message on its standard input
	PublishHeader  []string `json:"publish_header,omitempty"`

	PIDs    []int    `json:"pids,omitempty"`    // processes of the server
	Metrics []string `json:"metrics,omitempty"` // or Prometheus URLs of it

	Workers int `json:"workers"` // processes; 0: as many as the descriptor limit asks for
}

// Kinds of phases.
const (
	Ramp    = report.Ramp    // connect the clients
	Hold    = report.Hold    // leave them alone
	Closed  = report.Closed  // Active clients keep Depth requests outstanding each
	Open    = report.Open    // requests on a schedule: Rate in all, or every Interval per client
	Publish = report.Publish // Count messages to all, the next when everybody has the one before
	Storm   = report.Storm   // drop Share of the clients at once, wait until they are back
)

// Phase is one step of a plan. Fields that its kind does not name may be left out.
type Phase struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
	// Duration of hold, closed, open; an upper bound for the others, 0: they go
	// on as long as they get on.
	Duration Duration `json:"duration,omitempty"`

	// Ramp (and every reconnect): handshakes at once, 0: 128; Rate of new
	// connections a second, 0: as fast as that allows. Count: how many of the
	// clients, 0: all that are not connected.
	Concurrency int `json:"concurrency,omitempty"`

	// Open: Rate requests a second over all clients, or one every Interval per
	// client, moved by up to Jitter. Random gaps instead of even ones: Poisson.
	Rate     float64  `json:"rate,omitempty"`
	Interval Duration `json:"interval,omitempty"`
	Jitter   Duration `json:"jitter,omitempty"`
	Poisson  bool     `json:"poisson,omitempty"`

	// Closed: how many clients, 0: all; outstanding requests of each, 0: 1.
	Active int `json:"active,omitempty"`
	Depth  int `json:"depth,omitempty"`

	// What is sent. Payload is a text in which {seq} becomes a number that is
	// looked for in the answer; with Bytes it is that many bytes, numbered,
	// binary unless Text. Expect must be in every answer; without it the answer
	// must be the request.
	Payload string `json:"payload,omitempty"`
	Bytes   int    `json:"bytes,omitempty"`
	Text    bool   `json:"text,omitempty"`
	Expect  string `json:"expect,omitempty"`

	// Publish: how many, of Bytes (or Payload in front). PublishRate publishes a
	// second beside any other load, without waiting for the one before.
	Count        int     `json:"count,omitempty"`
	PublishRate  float64 `json:"publish_rate,omitempty"`
	PublishBytes int     `json:"publish_bytes,omitempty"`

	// Storm: the share (0 to 1) of clients that vanish at once; each comes back
	// after a random part of Spread.
	Share  float64  `json:"share,omitempty"`
	Spread Duration `json:"spread,omitempty"`
	// Churn: mean life of a client, exponentially distributed; another takes its
	// place. In hold, closed and open.
	Churn Duration `json:"churn,omitempty"`
}

// Group is a number of clients that misbehave, beside the measured ones.
// They are connected at the end of the first ramp.
type Group struct {
	Behaviour string  `json:"manners"` // one of behaviourNames; the key keeps its first name
	Count     int     `json:"count"`
	Rate      float64 `json:"rate,omitempty"` // slow readers: bytes/s; slow handshakes: bytes/s; ping floods: pings/s
}

const (
	defaultHandshakeTimeout = Duration(10 * time.Second)
	defaultGrace            = Duration(5 * time.Second)
	defaultRetries          = 10
	defaultConcurrency      = 128
	defaultMaxMessage       = 1 << 20
	defaultPublishBytes     = 128
)
