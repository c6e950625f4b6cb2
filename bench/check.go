package bench

import (
	"errors"
	"fmt"
	"reflect"
)

// Complete fills in defaults and says what is wrong with the plan.
func (p *Plan) Complete() error {
	if err := checkNumbers(reflect.ValueOf(*p)); err != nil {
		return err
	}
	orDefault(&p.HandshakeTimeout, defaultHandshakeTimeout)
	orDefault(&p.Grace, defaultGrace)
	orDefault(&p.Retries, defaultRetries)
	orDefault(&p.MaxMessage, defaultMaxMessage)
	switch {
	case len(p.Targets) == 0:
		return errors.New("no server to connect to: give a URL as in ws://127.0.0.1:8066/ws")
	case p.Clients <= 0:
		return fmt.Errorf("%d clients: at least one is needed", p.Clients)
	case len(p.Phases) == 0:
		return errors.New("the plan has no phases")
	}
	names := make(map[string]bool)
	for i := range p.Phases {
		ph := &p.Phases[i]
		if ph.Name == "" {
			ph.Name = ph.Kind
		}
		if names[ph.Name] {
			ph.Name = fmt.Sprintf("%s-%d", ph.Name, i+1)
		}
		names[ph.Name] = true
		if err := ph.complete(p); err != nil {
			return fmt.Errorf("phase %d, %q: %w", i+1, ph.Name, err)
		}
	}
	for _, g := range p.Groups {
		if behaviourOf(g.Behaviour) == wellBehaved {
			return fmt.Errorf("group of %q: manners are one of %s", g.Behaviour, behaviourList())
		}
		if err := checkNumbers(reflect.ValueOf(g)); err != nil {
			return fmt.Errorf("group of %q: %w", g.Behaviour, err)
		}
	}
	return nil
}

func orDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

func (ph *Phase) complete(p *Plan) error {
	if err := checkNumbers(reflect.ValueOf(*ph)); err != nil {
		return err
	}
	orDefault(&ph.Concurrency, defaultConcurrency)
	orDefault(&ph.Depth, 1)
	if ph.Active == 0 || ph.Active > p.Clients {
		ph.Active = p.Clients
	}
	switch ph.Kind {
	case Ramp, Storm:
		if ph.Kind == Storm && (ph.Share <= 0 || ph.Share > 1) {
			return fmt.Errorf("share %v of the clients: it is above 0 and at most 1", ph.Share)
		}
	case Hold, Closed, Open:
		if ph.Duration == 0 {
			return errors.New("needs a duration")
		}
		if ph.Kind == Open && (ph.Rate > 0) == (ph.Interval > 0) {
			return errors.New("an open loop needs a rate or an interval, not both")
		}
	case Publish:
		orDefault(&ph.Count, 1)
		if ph.PublishBytes == 0 {
			ph.PublishBytes = ph.Bytes
		}
	default:
		return fmt.Errorf("kind %q: it is one of ramp, hold, closed, open, publish, storm", ph.Kind)
	}
	return ph.completeMessages(p)
}

func (ph *Phase) completeMessages(p *Plan) error {
	if ph.Kind == Closed || ph.Kind == Open {
		if _, err := newTemplate(ph); err != nil {
			return err
		}
	}
	if ph.Kind != Publish && ph.PublishRate == 0 {
		return nil
	}
	orDefault(&ph.PublishBytes, defaultPublishBytes)
	switch {
	case len(p.Publish) == 0 && p.PublishCommand == "":
		return errors.New("publishing needs a URL or a command to publish with")
	case ph.PublishBytes < headSize:
		return fmt.Errorf("%d bytes: a published message is numbered and timed, which takes %d", ph.PublishBytes, headSize)
	case ph.PublishBytes > p.MaxMessage:
		return fmt.Errorf("%d bytes is more than clients receive, %d", ph.PublishBytes, p.MaxMessage)
	}
	return nil
}
