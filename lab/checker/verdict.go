package checker

import (
	"fmt"
	"slices"
)

// Settled says that every client has got what it has to have by the answers so far, or
// has got something that it must not. Wait for it before Wrong.
func (c *Checker) Settled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.clients {
		for _, p := range c.publishers {
			if len(l.lacksLocked(p)) > 0 {
				return false
			}
		}
	}
	return true
}

// lacksLocked are the numbers of messages that the client has to have and has not.
func (l *Client) lacksLocked(p *publisher) (list []int) {
	if !l.concerns(p) {
		return nil
	}
	has := make([]bool, len(p.sent))
	for _, seq := range l.got[p.Name] {
		if seq < len(has) {
			has[seq] = true
		}
	}
	for seq, m := range p.sent {
		if !has[seq] && l.due(m.tries) {
			list = append(list, seq)
		}
	}
	return list
}

// Wrong is all that is wrong so far, a line each; there may be more of each kind than
// there are lines.
func (c *Checker) Wrong() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	wrong := slices.Clone(c.wrong)
	for _, l := range c.clients {
		for name := range l.got {
			if !slices.ContainsFunc(c.publishers, func(p *publisher) bool { return p.Name == name && l.concerns(p) }) {
				wrong = append(wrong, fmt.Sprintf("client %s got what %s sent, which is not for it", l.name, name))
			}
		}
		for _, p := range c.publishers {
			wrong = append(wrong, l.wrongLocked(p)...)
			for _, seq := range l.lacksLocked(p)[:min(3, len(l.lacksLocked(p)))] {
				wrong = append(wrong, fmt.Sprintf("client %s did not get %s %d: %s", l.name, p.Name, seq, p.sent[seq]))
			}
		}
	}
	return wrong
}

// wrongLocked is what is wrong with what the client got of p: at most one line of each
// kind.
func (l *Client) wrongLocked(p *publisher) (wrong []string) {
	times, last := make([]int, len(p.sent)), -1
	for i, seq := range l.got[p.Name] {
		if seq < 0 || seq >= len(p.sent) {
			return append(wrong, fmt.Sprintf("client %s got %s %d, which was not sent", l.name, p.Name, seq))
		}
		m := p.sent[seq]
		if times[seq]++; times[seq] > 1 {
			return append(wrong, fmt.Sprintf("client %s got %s %d twice: %s", l.name, p.Name, seq, m))
		}
		if !l.due(m.tries[:m.early]) {
			continue // it was repeated after others
		}
		if seq < last {
			return append(wrong, fmt.Sprintf("client %s got %s %d after %d: %v, %s", l.name, p.Name, seq, last, l.got[p.Name][max(i-5, 0):i+1], m))
		}
		last = seq
	}
	return wrong
}

func (m *message) String() string {
	text := fmt.Sprintf("%d tries", len(m.tries))
	for i := range m.tries {
		t := &m.tries[i]
		text += fmt.Sprintf("; %s for %v: complete: %v, missing: %v", t.began.Format("15:04:05.000"), t.ended.Sub(t.began), t.complete(), t.answer.Missing)
		if !t.known {
			text += fmt.Sprintf(", no answer: %v", t.why)
		}
	}
	return text
}

// Tally is how much was looked at.
type Tally struct {
	Messages   int // that publishers sent
	Incomplete int // of them, at the first try
	Unanswered int // of those
	Repeats    int
	Clients    int
	Received   int // by all clients
}

// Tally returns what there is so far.
func (c *Checker) Tally() (t Tally) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.publishers {
		for _, m := range p.sent {
			t.Messages++
			if len(m.tries) == 0 {
				continue
			}
			t.Repeats += len(m.tries) - 1
			if first := &m.tries[0]; !first.complete() {
				t.Incomplete++
				if !first.known {
					t.Unanswered++
				}
			}
		}
	}
	t.Clients = len(c.clients)
	for _, l := range c.clients {
		for _, got := range l.got {
			t.Received += len(got)
		}
	}
	return t
}

// Unanswered has a line for each message whose first try had no answer, with the reason.
func (c *Checker) Unanswered() (lines []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.publishers {
		for seq, m := range p.sent {
			if len(m.tries) > 0 && !m.tries[0].known {
				lines = append(lines, fmt.Sprintf("%s %d: %s", p.Name, seq, m))
			}
		}
	}
	return lines
}

func (t Tally) String() string {
	return fmt.Sprintf("%d messages, %d of them incomplete at first (%d without an answer), %d repeats; %d clients received %d",
		t.Messages, t.Incomplete, t.Unanswered, t.Repeats, t.Clients, t.Received)
}
