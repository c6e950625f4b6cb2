package main

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"wsd/bench"
)

type benchClients struct {
	URL              []string `name:"url" env:"-" default:"ws://127.0.0.1:8066/ws" help:"Where to connect to, ws://host:port/path; repeatable: clients take turns."`
	Clients          count    `env:"-" default:"1000" help:"Well-behaved clients, whose messages are measured."`
	Source           []string `env:"-" placeholder:"ADDRESS" help:"Where to connect from: addresses, networks as 127.0.1.0/24, ranges as 10.0.0.1-10.0.0.9; none given: chosen on loopback, the kernel's choice elsewhere."`
	Header           []string `env:"-" sep:"none" placeholder:"FIELD" help:"Further field of the handshake, as in 'Origin: https://example.org'; a value or its last word that is @FILE stands for what the file holds."`
	First            string   `env:"-" placeholder:"TEXT" help:"Message that every client sends once connected, say to subscribe; it is up when the answer has come."`
	HandshakeTimeout span     `env:"-" default:"10s" help:"Time from connect to the handshake's end."`
	Retries          count    `env:"-" default:"10" help:"Further attempts of a client whose handshake failed."`
	Reconnect        bool     `env:"-" help:"Let clients that the server closed come back."`
	MaxMessage       size     `env:"-" default:"1MiB" help:"Size of a message from the server."`
	Workers          count    `env:"-" default:"0" help:"Processes to spread over; 0: as many as the descriptor limit asks for."`
}

type benchPhases struct {
	Scenario    string `env:"-" type:"existingfile" placeholder:"FILE" help:"YAML file with a plan (phases and more): what it says goes before the flags, which otherwise make up the phases."`
	ConnectRate count  `env:"-" default:"0" help:"New connections per second; 0: as fast as --concurrency allows."`
	Concurrency count  `env:"-" default:"128" help:"Handshakes under way at once."`
	Hold        span   `env:"-" default:"5s" help:"Time that all clients stay idle after connecting; 0: none."`

	Rate     rate  `env:"-" default:"0" help:"Open loop: requests per second over all clients, on a schedule."`
	Interval span  `env:"-" default:"0s" help:"Open loop: one request of each client in this time; 30s if nothing else is asked for."`
	Jitter   span  `env:"-" default:"0s" help:"Open loop with --interval: moves each request by up to this, either way."`
	Poisson  bool  `env:"-" help:"Open loop: random gaps (exponentially distributed) rather than even ones."`
	Closed   count `env:"-" default:"0" help:"Closed loop: clients that send the next request when the answer has come."`
	Depth    count `env:"-" default:"1" help:"Closed loop: requests of each client under way at once."`
	Duration span  `env:"-" default:"10s" help:"Length of each phase with messages."`
	Grace    span  `env:"-" default:"5s" help:"Time for which late answers are waited for."`

	Payload string `env:"-" placeholder:"TEXT" help:"Request, the action heart_beat if none is given; {seq} in it becomes a number, which is looked for in the answer."`
	Expect  string `env:"-" placeholder:"TEXT" help:"What has to be in every answer; none given: the answer has to be the request."`
	Bytes   size   `env:"-" default:"0" help:"Size of a numbered binary request, instead of --payload."`
	Text    bool   `env:"-" help:"Send --bytes and publishes as text."`

	Publish        []string `env:"-" placeholder:"URL" help:"Fan-out: where to POST messages for all clients; repeatable: to all of them."`
	PublishCommand string   `env:"-" placeholder:"COMMAND" help:"Fan-out: shell command that publishes its standard input."`
	PublishHeader  []string `env:"-" sep:"none" placeholder:"FIELD" help:"Further field of the POST, as in 'Authorization: Bearer @FILE', where @FILE stands for what the file holds: a token on the command line is in the list of processes."`
	Publishes      count    `env:"-" default:"10" help:"Fan-out: messages, each when the one before has reached everybody."`
	PublishRate    rate     `env:"-" default:"0" help:"Messages published per second beside the requests, in place of a phase of their own."`
	PublishBytes   size     `env:"-" default:"128B" help:"Size of a published message."`

	Storm       share `env:"-" default:"0%" help:"Reconnect storm: the share of clients that vanish at once, as in 50%."`
	StormSpread span  `env:"-" default:"0s" help:"Reconnect storm: each comes back after a random part of this."`
	Churn       span  `env:"-" default:"0s" help:"Mean life of a client while the phases with messages run; another takes its place."`
}

type benchMisbehaving struct {
	SlowReaders    misbehaving `env:"-" default:"0" help:"Clients that read slowly: a number or a share of --clients, with bytes per second as in 1%@100."`
	StoppedReaders misbehaving `env:"-" default:"0" help:"Clients that never read."`
	HalfFrames     misbehaving `env:"-" default:"0" help:"Clients that send half a message and nothing more."`
	SlowHandshakes misbehaving `env:"-" default:"0" help:"Clients that send their handshake slowly; bytes per second as in 100@2."`
	PingFloods     misbehaving `env:"-" default:"0" help:"Clients that send pings; per second as in 10@500."`
}

type benchServer struct {
	PID     []int    `name:"pid" env:"-" placeholder:"PID" help:"The server's processes, for their memory and processor time; none given: found by the listening socket, if the server is on this machine; 0: not measured."`
	Metrics []string `env:"-" placeholder:"URL" help:"The server's Prometheus page, for the same."`
}

type benchOutput struct {
	JSON   string   `name:"json" env:"-" placeholder:"FILE" help:"Write all figures, raw histograms included."`
	HTML   string   `name:"html" env:"-" placeholder:"FILE" help:"Write one page with plots, readable offline."`
	Assert []string `env:"-" placeholder:"CHECK" help:"What has to hold, as in 'p99<50ms,loss=0,open.p999<=100ms'; otherwise the exit code is 1."`
}

// rate is how often something happens in a second.
type rate float64

func (r *rate) UnmarshalText(text []byte) error {
	v, err := strconv.ParseFloat(string(text), 64)
	if err != nil || !(v >= 0 && v <= 1e9) {
		return fmt.Errorf("%q is no rate: write a number a second from 0 to 1e9, as in 20000 or 0.5", text)
	}
	*r = rate(v)
	return nil
}

func (r rate) String() string { return strconv.FormatFloat(float64(r), 'g', -1, 64) }

// share is a part of all clients.
type share float64

func (s *share) UnmarshalText(text []byte) error {
	number, isPercent := strings.CutSuffix(string(text), "%")
	v, err := strconv.ParseFloat(number, 64)
	if isPercent {
		v /= 100
	}
	if err != nil || math.IsNaN(v) || v < 0 || v > 1 {
		return fmt.Errorf("%q is no share: write a percentage from 0%% to 100%%", text)
	}
	*s = share(v)
	return nil
}

func (s share) String() string { return strconv.FormatFloat(float64(s)*100, 'g', -1, 64) + "%" }

// misbehaving is a number of clients that misbehave, or a share of all, and what
// they do per second.
type misbehaving struct {
	count int
	share share
	rate  float64
}

func (m *misbehaving) UnmarshalText(text []byte) (err error) {
	number, perSecond, rated := strings.Cut(string(text), "@")
	if rated {
		m.rate, err = strconv.ParseFloat(perSecond, 64)
	}
	if strings.HasSuffix(number, "%") {
		err = errorsFirst(err, m.share.UnmarshalText([]byte(number)))
	} else {
		var n count
		err = errorsFirst(err, n.UnmarshalText([]byte(number)))
		m.count = int(n)
	}
	if err != nil || rated && !(m.rate > 0 && m.rate <= 1e9) {
		return fmt.Errorf("%q is no number of clients: write one as 100, a share as 1%%, and a rate behind it as 1%%@500", text)
	}
	return nil
}

func errorsFirst(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (m misbehaving) of(clients count) int {
	return m.count + int(float64(m.share)*float64(clients)+.5)
}

// The heartbeat of the action protocol, and what its answer has in it.
const (
	benchPayload = `{"actioncode":"heart_beat"}`
	benchExpect  = `"success"`
)

// plan is what the flags, and the scenario if there is one, ask for.
func (c *benchRunCmd) plan() (*bench.Plan, error) {
	p := &bench.Plan{
		Targets: c.URL, Clients: int(c.Clients), Sources: c.Source, Header: c.Header, First: c.First,
		HandshakeTimeout: bench.Duration(c.HandshakeTimeout), Retries: int(c.Retries), Reconnect: c.Reconnect,
		Grace: bench.Duration(c.Grace), MaxMessage: int(c.MaxMessage), Workers: int(c.Workers),
		Publish: c.Publish, PublishCommand: c.PublishCommand, PublishHeader: c.PublishHeader,
		PIDs: c.PID, Metrics: c.Metrics, Groups: c.groups(c.Clients),
	}
	if c.Scenario != "" {
		if err := bench.LoadScenario(c.Scenario, p); err != nil {
			return nil, fmt.Errorf("--scenario %w", err)
		}
		c.fill(p.Phases)
	}
	if len(p.Phases) == 0 {
		p.Phases = c.phases()
	}
	return p, p.Complete()
}

func (c *benchMisbehaving) groups(clients count) (all []bench.Group) {
	for _, g := range []struct {
		behaviour string
		clients   misbehaving
	}{
		{"slow-reader", c.SlowReaders}, {"stopped-reader", c.StoppedReaders}, {"half-frame", c.HalfFrames},
		{"slow-handshake", c.SlowHandshakes}, {"ping-flood", c.PingFloods},
	} {
		if n := g.clients.of(clients); n > 0 {
			all = append(all, bench.Group{Behaviour: g.behaviour, Count: n, Rate: g.clients.rate})
		}
	}
	return all
}

// phases are those that the flags ask for, in the order of the help.
func (c *benchPhases) phases() []bench.Phase {
	all := []bench.Phase{{Name: "ramp", Kind: bench.Ramp, Rate: float64(c.ConnectRate), Concurrency: int(c.Concurrency)}}
	if c.Hold > 0 {
		all = append(all, bench.Phase{Name: "hold", Kind: bench.Hold, Duration: bench.Duration(c.Hold)})
	}
	publishing := len(c.Publish) > 0 || c.PublishCommand != ""
	if c.Rate == 0 && c.Interval == 0 && c.Closed == 0 && c.Storm == 0 && (!publishing || c.PublishRate > 0) {
		c.Interval = span(30 * time.Second)
	}
	if c.Closed > 0 {
		all = append(all, c.load(bench.Phase{Name: "closed", Kind: bench.Closed, Active: int(c.Closed), Depth: int(c.Depth)}))
	}
	if c.Rate > 0 || c.Interval > 0 {
		all = append(all, c.load(bench.Phase{Name: "open", Kind: bench.Open, Rate: float64(c.Rate), Interval: bench.Duration(c.Interval),
			Jitter: bench.Duration(c.Jitter), Poisson: c.Poisson}))
	}
	if publishing && c.PublishRate == 0 {
		all = append(all, bench.Phase{Name: "publish", Kind: bench.Publish, Count: int(c.Publishes), PublishBytes: int(c.PublishBytes), Text: c.Text})
	}
	if c.Storm > 0 {
		all = append(all, bench.Phase{Name: "storm", Kind: bench.Storm, Share: float64(c.Storm), Spread: bench.Duration(c.StormSpread), Concurrency: int(c.Concurrency)})
	}
	return all
}

// fill gives the phases of a scenario that do not say what to send what the
// flags say, or the heartbeat.
func (c *benchPhases) fill(phases []bench.Phase) {
	for i := range phases {
		p := &phases[i]
		if (p.Kind != bench.Open && p.Kind != bench.Closed) || p.Payload != "" || p.Bytes != 0 {
			continue
		}
		sent := c.load(bench.Phase{})
		p.Payload, p.Bytes, p.Text = sent.Payload, sent.Bytes, p.Text || sent.Text
		p.Expect = cmp.Or(p.Expect, sent.Expect)
	}
}

// load gives a phase what all phases with requests have in common.
func (c *benchPhases) load(p bench.Phase) bench.Phase {
	p.Duration = bench.Duration(c.Duration)
	p.Payload, p.Expect, p.Bytes, p.Text = c.Payload, c.Expect, int(c.Bytes), c.Text
	if p.Bytes == 0 && p.Payload == "" {
		p.Payload, p.Expect = benchPayload, cmp.Or(p.Expect, benchExpect)
	}
	p.Concurrency = int(c.Concurrency)
	p.Churn = bench.Duration(c.Churn)
	p.PublishRate, p.PublishBytes = float64(c.PublishRate), int(c.PublishBytes)
	return p
}
