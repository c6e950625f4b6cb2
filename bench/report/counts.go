package report

import "maps"

// Counts is what happened, in one phase. Everything that goes wrong has a
// number here; nothing is skipped.
type Counts struct {
	// Handshakes that succeeded; Retries, failed attempts that were tried again;
	// Failed, clients given up on.
	Handshakes uint64 `json:"handshakes"`
	Retries    uint64 `json:"retries"`
	Failed     uint64 `json:"failed"`
	// Sent and answered (Messages) requests. Unsent were due in an open loop but
	// their client was closed or its buffers full.
	Sent     uint64 `json:"sent"`
	Messages uint64 `json:"messages"`
	Unsent   uint64 `json:"unsent"`
	// Overdue are those of Unsent that the generator was too late for.
	Overdue uint64 `json:"overdue"`
	// Lost requests and deliveries never arrived; Late ones came after the phase
	// had given up on them. Reordered ones were overtaken on their way.
	Lost         uint64 `json:"lost"`
	Late         uint64 `json:"late"`
	Duplicates   uint64 `json:"duplicates"`
	Reordered    uint64 `json:"reordered"`
	WrongAnswers uint64 `json:"wrong_answers"`
	// Unsolicited messages answer nothing: what a server pushes of itself.
	Unsolicited uint64 `json:"unsolicited"`
	// Publishes went out from here, Deliveries of them came in.
	Publishes  uint64 `json:"publishes"`
	Deliveries uint64 `json:"deliveries"`
	Pings      uint64 `json:"pings"` // from the server
	Pongs      uint64 `json:"pongs"`
	// PongsDropped to a server that pings and does not read; Overflows are
	// connections ended because too much was half received or half sent.
	PongsDropped uint64 `json:"pongs_dropped"`
	Overflows    uint64 `json:"overflows"`
	BytesIn      uint64 `json:"bytes_in"` // of payload
	BytesOut     uint64 `json:"bytes_out"`
	// UnexpectedCloses were not asked for by the plan; Closes has them by close
	// code, errno, or "EOF" for an end without a close frame.
	UnexpectedCloses uint64 `json:"unexpected_closes"`
	Closes           Kinds  `json:"closes,omitempty"`
	// Errors has failed attempts to connect by errno, or in a few words;
	// Statuses those that got an HTTP answer, by its status.
	Errors   Kinds `json:"errors,omitempty"`
	Statuses Kinds `json:"statuses,omitempty"`
}

// Add adds o to c.
func (c *Counts) Add(o *Counts) {
	c.Handshakes += o.Handshakes
	c.Retries += o.Retries
	c.Failed += o.Failed
	c.Sent += o.Sent
	c.Messages += o.Messages
	c.Unsent += o.Unsent
	c.Overdue += o.Overdue
	c.Lost += o.Lost
	c.Late += o.Late
	c.Duplicates += o.Duplicates
	c.Reordered += o.Reordered
	c.WrongAnswers += o.WrongAnswers
	c.Unsolicited += o.Unsolicited
	c.Publishes += o.Publishes
	c.Deliveries += o.Deliveries
	c.Pings += o.Pings
	c.Pongs += o.Pongs
	c.PongsDropped += o.PongsDropped
	c.Overflows += o.Overflows
	c.BytesIn += o.BytesIn
	c.BytesOut += o.BytesOut
	c.UnexpectedCloses += o.UnexpectedCloses
	c.Closes.Merge(o.Closes)
	c.Errors.Merge(o.Errors)
	c.Statuses.Merge(o.Statuses)
}

// Faults is how much went wrong in all.
func (c *Counts) Faults() uint64 {
	return c.Failed + c.Lost + c.Duplicates + c.Reordered + c.WrongAnswers + c.UnexpectedCloses
}

// Events is what CPU time is divided by: the messages, deliveries and handshakes.
func (c *Counts) Events() uint64 { return c.Messages + c.Deliveries + c.Handshakes }

// Kinds counts by kind, such as a close code or an errno. The zero value is
// empty and ready.
type Kinds map[string]uint64

// kindsAtMost bounds the kinds that are told apart: a server chooses them.
const kindsAtMost = 64

// Add counts n of a kind; when there are too many kinds, as "other".
func (k *Kinds) Add(kind string, n uint64) {
	if *k == nil {
		*k = make(Kinds)
	}
	if _, known := (*k)[kind]; !known && len(*k) >= kindsAtMost {
		kind = "other"
	}
	(*k)[kind] += n
}

// Merge adds what o has.
func (k *Kinds) Merge(o Kinds) {
	for kind, n := range o {
		k.Add(kind, n)
	}
}

// Clone is a copy that shares nothing with c.
func (c *Counts) Clone() Counts {
	out := *c
	out.Closes = maps.Clone(c.Closes)
	out.Errors = maps.Clone(c.Errors)
	out.Statuses = maps.Clone(c.Statuses)
	return out
}
