package admin

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"unicode/utf8"

	"github.com/google/uuid"

	"wsd/server"
)

// maxTargets bounds the topics or clients that one publish may name.
const maxTargets = 1000

// publish sends the body, verbatim, to the clients that the query names. It
// answers when the last of them was written to or has the message waiting.
func (a *api) publish(w http.ResponseWriter, r *http.Request) {
	to, err := parseTarget(r.URL.RawQuery)
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	data, ok := a.readMessage(w, r)
	if !ok {
		return
	}
	m := server.Message{Binary: isBinary(r), Data: data}
	if !m.Binary && !utf8.Valid(data) {
		problem(w, http.StatusBadRequest, "a text message has to be UTF-8: send bytes as Content-Type: application/octet-stream")
		return
	}
	result, err := a.backend.Publish(r.Context(), to, m)
	if err != nil {
		a.log.Debug("publish failed", "error", err)
		problem(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	answer(w, http.StatusOK, result)
}

// readMessage reads the body, never more than the limit, or answers why not.
func (a *api) readMessage(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	var data []byte
	var err error = &http.MaxBytesError{}
	if r.ContentLength <= a.maxPublish { // -1: it will turn out
		data, err = io.ReadAll(http.MaxBytesReader(w, r.Body, a.maxPublish))
	}
	if tooBig := new(http.MaxBytesError); errors.As(err, &tooBig) {
		problem(w, http.StatusRequestEntityTooLarge,
			fmt.Sprintf("a message may have %d bytes: send less, or raise --max-publish", a.maxPublish))
		return nil, false
	}
	if err != nil {
		problem(w, http.StatusBadRequest, "the body did not arrive whole, or too slowly")
		return nil, false
	}
	return data, true
}

// isBinary tells a binary message; every other content type is text, for curl
// sends one that nobody chose.
func isBinary(r *http.Request) bool {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && kind == "application/octet-stream"
}

// parseTarget reads "all", "topic=T&topic=U" or "client=ID&client=ID". Anything
// else is refused: a mistyped target must not reach everybody, or nobody.
func parseTarget(query string) (server.Target, error) {
	q, err := url.ParseQuery(query)
	if err != nil {
		return server.Target{}, errors.New("the query is malformed")
	}
	if len(q) != 1 {
		return server.Target{}, errors.New("name one kind of target: ?all, ?topic=T or ?client=ID, the latter two repeatable")
	}
	for kind, values := range q {
		switch {
		case len(values) > maxTargets:
			return server.Target{}, fmt.Errorf("%d targets are too many for one publish: at most %d", len(values), maxTargets)
		case kind == "all" && len(values) == 1 && values[0] == "":
			return server.All(), nil
		case kind == "topic":
			return topics(values)
		case kind == "client":
			return clients(values)
		}
	}
	return server.Target{}, errors.New("no such target: use ?all, ?topic=T or ?client=ID")
}

func topics(names []string) (server.Target, error) {
	for _, name := range names {
		if name == "" || !utf8.ValidString(name) {
			return server.Target{}, fmt.Errorf("topic %q is no name of a topic", name)
		}
	}
	return server.Topic(names...), nil
}

func clients(names []string) (server.Target, error) {
	ids := make([]uuid.UUID, len(names))
	for i, name := range names {
		if err := uuid.Validate(name); err != nil || len(name) != 36 {
			return server.Target{}, fmt.Errorf("client %q is no id: write the UUID that whoami answers", name)
		}
		ids[i] = uuid.MustParse(name)
	}
	return server.Client(ids...), nil
}
