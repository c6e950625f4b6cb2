package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Publisher takes messages of publishers that do not talk HTTP, by the same rules.
type Publisher struct{ api *api }

// NewPublisher makes one. Of the configuration it needs MaxPublish, IdempotencyKeys,
// Logger and Cluster.
func NewPublisher(cfg Config, backend Backend) *Publisher {
	return &Publisher{newAPI(context.Background(), cfg.withDefaults(), backend)}
}

// headerPrefix begins the names of the headers that count.
const headerPrefix = "Wsd-"

// headers are the parameters of POST /v1/publish, by the names of headers.
var headers = map[string]string{"All": "all", "Topic": "topic", "Client": "client", "User": "user", "Deadline": "deadline", "Coalesce": "coalesce", "Nodes": "nodes"}

// Answer is to come, for one message.
type Answer struct{ coming coming }

// Begin sets a message on its way, in the order of the calls. header says who it is for:
// Wsd-All, Wsd-Topic, Wsd-Client, Wsd-User, of which the last three may be repeated, and
// Wsd-Deadline, Wsd-Coalesce, Wsd-Key, Wsd-Binary, Wsd-Nodes; others that begin with
// Wsd- are refused. wait says whether somebody waits for the answer.
func (p *Publisher) Begin(ctx context.Context, header map[string][]string, data []byte, wait bool) Answer {
	began := time.Now()
	o, key, binary, err := parseHeader(header)
	switch {
	case err != nil:
		return Answer{reply{status: http.StatusBadRequest, detail: err.Error()}}
	case int64(len(data)) > p.api.maxPublish:
		return Answer{reply{status: http.StatusRequestEntityTooLarge, detail: p.api.tooLarge()}}
	}
	o.noWait = !wait
	m := o.message(data, binary, began)
	if key == "" {
		return Answer{p.api.begin(ctx, &o, m)}
	}
	query := fmt.Sprint(o.to.Everybody(), o.to.Topics(), o.to.Clients(), o.to.Users(), o.coalesce, o.deadline)
	return Answer{p.api.beginOnce(ctx, &o, key, fingerprint([]byte(query), []byte{'\n', bit(binary)}, data), m)}
}

func parseHeader(header map[string][]string) (o order, key string, binary bool, err error) {
	q := url.Values{}
	for name, values := range header {
		short, ours := strings.CutPrefix(name, headerPrefix)
		if !ours {
			continue
		}
		switch parameter, known := headers[short]; {
		case short == "All":
			q["all"] = []string{""}
		case short == "Key" && len(values) == 1:
			if key, err = values[0], validKey(values[0]); err != nil {
				return o, "", false, err
			}
		case short == "Binary" && len(values) == 1:
			binary = values[0] != "false"
		case known:
			q[parameter] = values
		default:
			return o, "", false, fmt.Errorf("there is no header %s here, or it may be given once", name)
		}
	}
	if len(q) == 0 {
		return o, "", false, errors.New("name who it is for: Wsd-All, Wsd-Topic, Wsd-Client or Wsd-User")
	}
	o, err = parseOrder(q.Encode())
	return o, key, binary, err
}

// Wait returns the answer: that of POST /v1/publish.
func (a Answer) Wait(ctx context.Context) (status int, body []byte) {
	p, ok := a.coming.wait(ctx)
	if !ok {
		p = reply{status: http.StatusAccepted}
	}
	var v any
	switch p.status {
	case http.StatusOK:
		v = p.outcome
	case http.StatusAccepted:
		v = accepted{true, p.known}
	default:
		v = problemOf(p.status, p.detail)
	}
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // only our own structs come here
	}
	return p.status, body
}
