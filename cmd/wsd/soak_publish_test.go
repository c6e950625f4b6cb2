package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"wsd/server"
)

const (
	soakSources = 5   // publishers
	soakLines   = 30  // of a stream, at most
	soakSize    = 900 // bytes of a message, mostly; one in 20 has ten times as many
)

// source is a publisher. It publishes one message after the other, or a stream
// of them, and goes on when each has been answered. So its messages are in order,
// and it knows what became of each.
type source struct {
	s       *soak
	number  int
	history []published // by number of the message
}

// published is whom a message was for.
type published struct {
	all     bool
	topics  uint
	members []int
	lossy   bool // it may be left out for a client: it has a deadline or is the latest of its key
}

func (d *published) isFor(i int, m *member) bool {
	return d.all || d.topics&m.topics != 0 || slices.Contains(d.members, i)
}

// outgoing is a message with its options, as a request has them.
type outgoing struct {
	published
	text               string
	deadline, coalesce string
	key                string
	noWait             bool
}

func newSource(s *soak, number int) *source { return &source{s: s, number: number} }

// draw draws the next message. It takes its number.
func (p *source) draw(rnd *rand.Rand) outgoing {
	o := outgoing{published: published{lossy: rnd.IntN(4) == 0}}
	switch rnd.IntN(10) {
	case 0, 1, 2:
		o.all = true
	case 3, 4, 5, 6, 7:
		for range 2 {
			o.topics |= 1 << rnd.IntN(soakTopics)
		}
	default:
		for range 1 + rnd.IntN(5) {
			if i := rnd.IntN(len(p.s.members)); !slices.Contains(o.members, i) {
				o.members = append(o.members, i)
			}
		}
		o.noWait = rnd.IntN(4) == 0
	}
	if o.lossy {
		o.deadline = []string{"", "1ms", "10ms", "5s"}[rnd.IntN(4)]
		o.coalesce = fmt.Sprintf("v%d", p.number)
	}
	size := rnd.IntN(soakSize)
	if rnd.IntN(20) == 0 {
		size *= 10
	}
	o.text = soakMessage(p.number, len(p.history), o.lossy, size)
	o.key = fmt.Sprintf("%d-%d", p.number, len(p.history))
	p.history = append(p.history, o.published)
	return o
}

// publish is a while of the publisher's life.
func (p *source) publish(rnd *rand.Rand) {
	var err error
	switch rnd.IntN(8) {
	case 0:
		err = p.stream(rnd)
	case 1, 2:
		o := p.draw(rnd)
		for answered := false; !answered && err == nil; { // it breaks off, and repeats
			answered, err = p.post(&o, time.Duration(rnd.IntN(3000))*time.Microsecond)
			p.s.tally.add("broken off", 1)
		}
		p.s.tally.add("broken off", -1)
	default:
		o := p.draw(rnd)
		if rnd.IntN(2) == 0 {
			o.key = ""
		}
		_, err = p.post(&o, 0)
	}
	if err != nil {
		p.s.t.Errorf("publisher %d: %v", p.number, err)
	}
}

// last publishes the last message, to all.
func (p *source) last() {
	o := outgoing{published: published{all: true}, text: soakMessage(p.number, len(p.history), false, 0)}
	p.history = append(p.history, o.published)
	if _, err := p.post(&o, 0); err != nil {
		p.s.t.Errorf("the last message: %v", err)
	}
}

// ids are those of the members that a message is for.
func (p *source) ids(members []int) (ids []string) {
	for _, i := range members {
		ids = append(ids, p.s.members[i].id)
	}
	return ids
}

func (p *source) query(o *outgoing) string {
	q := url.Values{"topic": topicNames(o.topics), "client": p.ids(o.members)}
	for name, value := range map[string]string{"deadline": o.deadline, "coalesce": o.coalesce} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if o.noWait {
		q.Set("wait", "false")
	}
	text := q.Encode()
	if o.all {
		text = "all&" + text
	}
	return strings.TrimSuffix(text, "&")
}

// post publishes by a request of its own, and breaks off after the time, unless
// that is 0. It says whether the message is published; 409 says that a request
// that was broken off is still under way.
func (p *source) post(o *outgoing, after time.Duration) (published bool, err error) {
	ctx := context.Background()
	if after > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, after)
		defer cancel()
	}
	q, err := http.NewRequestWithContext(ctx, "POST", "http://"+p.s.l.admin+"/v1/publish?"+p.query(o), strings.NewReader(o.text))
	if err != nil {
		return false, err
	}
	if o.key != "" {
		q.Header.Set("Idempotency-Key", o.key)
	} else {
		// A connection that was idle may be closed while the request is on its way.
		// HTTP cannot tell whether it was read, and without a key nobody may repeat it.
		q.Close = true
	}
	answer, err := p.s.client.Do(q)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			return false, nil
		}
		return false, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	switch {
	case err != nil && after > 0:
		return false, nil
	case answer.StatusCode == http.StatusConflict && after > 0:
		return false, nil
	case answer.StatusCode == http.StatusAccepted && o.noWait:
		p.s.tally.published(o, nil)
		return true, nil
	case err != nil || answer.StatusCode != http.StatusOK:
		return false, fmt.Errorf("%s: %s %s %w", q.URL.RawQuery, answer.Status, text, err)
	}
	return true, p.answered(o, text)
}

// answered takes what became of a message.
func (p *source) answered(o *outgoing, text []byte) error {
	var r server.Result
	if err := json.Unmarshal(text, &r); err != nil || r.Matched != r.Sent+r.Queued+r.Dropped+r.Expired {
		return fmt.Errorf("an answer that does not add up: %s %w", text, err)
	}
	members := 0
	for i, m := range p.s.members {
		if o.isFor(i, m) {
			members++
		}
	}
	if r.Matched < members || o.topics == 0 && !o.all && r.Matched != members {
		return fmt.Errorf("a message for %d members matched %d clients", members, r.Matched)
	}
	p.s.tally.published(o, &r)
	return nil
}

// stream publishes some messages by one request, with pauses. Those of which the
// answer is missing, because the process was replaced, it sends again.
func (p *source) stream(rnd *rand.Rand) error {
	all := make([]outgoing, 1+rnd.IntN(soakLines))
	for i := range all {
		all[i] = p.draw(rnd)
		all[i].noWait = false
	}
	for tries := 0; len(all) > 0; tries++ {
		if tries > 100 {
			return fmt.Errorf("%d lines of a stream are never answered", len(all))
		}
		answered, err := p.streamOnce(all, rnd.IntN(int(p.s.plan.think)/4))
		if err != nil {
			return err
		}
		if all = all[answered:]; len(all) > 0 {
			p.s.tally.add("streams cut", 1)
		}
	}
	return nil
}

// streamOnce says how many lines were answered. pace is the time between two
// lines, in nanoseconds.
func (p *source) streamOnce(all []outgoing, pace int) (answered int, err error) {
	body, lines := io.Pipe()
	defer body.Close() // so that the writer ends
	go func() {
		for i := range all {
			if _, err := lines.Write(p.line(&all[i])); err != nil {
				return
			}
			time.Sleep(time.Duration(pace))
		}
		lines.Close()
	}()
	answer, err := p.s.client.Post("http://"+p.s.l.admin+"/v1/publish/stream", "application/x-ndjson", body)
	if err != nil {
		return 0, nil // it was cut before the first answer
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return 0, errors.New("a stream: " + answer.Status)
	}
	for in := bufio.NewScanner(answer.Body); answered < len(all) && in.Scan(); answered++ {
		var line struct {
			Line, Status int
			Error        string
			Summary      json.RawMessage
		}
		if err := json.Unmarshal(in.Bytes(), &line); err != nil {
			return answered, fmt.Errorf("%s %w", in.Bytes(), err)
		}
		switch {
		case line.Summary != nil || line.Status == http.StatusConflict || line.Status == http.StatusServiceUnavailable:
			return answered, nil
		case line.Line != answered+1 || line.Error != "":
			return answered, fmt.Errorf("line %d: %s", answered+1, in.Bytes())
		}
		if err := p.answered(&all[answered], in.Bytes()); err != nil {
			return answered, err
		}
	}
	if answered == len(all) {
		_, _ = io.Copy(io.Discard, answer.Body) // the summary
	}
	return answered, nil
}

func (p *source) line(o *outgoing) []byte {
	line := map[string]any{"text": o.text, "key": o.key}
	switch {
	case o.all:
		line["all"] = true
	case o.topics != 0:
		line["topic"] = topicNames(o.topics)
	default:
		line["client"] = p.ids(o.members)
	}
	for name, value := range map[string]string{"deadline": o.deadline, "coalesce": o.coalesce} {
		if value != "" {
			line[name] = value
		}
	}
	var text bytes.Buffer
	_ = json.NewEncoder(&text).Encode(line) // strings and booleans
	return text.Bytes()
}
