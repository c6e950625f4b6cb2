package admin

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"
)

// publish sends the body, verbatim, to the clients that the query names. It
// answers when the last of them was written to or has the message waiting; with
// wait=false, as soon as it is on its way.
func (a *api) publish(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	if encoded(w, r) {
		return
	}
	o, err := parseOrder(r.URL.RawQuery)
	if err == nil && o.perNode && a.cluster == nil {
		err = errUnknown("nodes")
	}
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	key, err := idempotencyKey(r)
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	data, ok := a.readMessage(w, r)
	if !ok {
		return
	}
	binary := isBinary(r)
	m := o.message(data, binary, began)
	if key == "" {
		a.send(r.Context(), &o, m).write(w)
		return
	}
	print := fingerprint([]byte(r.URL.RawQuery), []byte{'\n', bit(binary)}, data)
	if a.cluster != nil {
		p, ok := a.beginOnce(r.Context(), &o, key, print, m).wait(r.Context())
		if !ok {
			p = reply{status: http.StatusAccepted}
		}
		p.write(w)
		return
	}
	// Without the request's context: a publisher that hangs up and asks again is
	// to get the answer.
	a.once.do(r.Context(), key, print, func() coming { return a.begin(context.WithoutCancel(r.Context()), &o, m) }).write(w)
}

// readMessage reads the body, never more than the limit, or answers why not.
func (a *api) readMessage(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	var data []byte
	var err error = &http.MaxBytesError{}
	if r.ContentLength <= a.maxPublish { // -1: it will turn out
		data, err = io.ReadAll(http.MaxBytesReader(w, r.Body, a.maxPublish))
	}
	if tooBig := new(http.MaxBytesError); errors.As(err, &tooBig) {
		problem(w, http.StatusRequestEntityTooLarge, a.tooLarge())
		return nil, false
	}
	if err != nil {
		problem(w, http.StatusBadRequest, "the body did not arrive whole, or too slowly")
		return nil, false
	}
	// It has arrived: the publisher may now wait for longer than it had to send.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	return data, true
}

func (a *api) tooLarge() string {
	return fmt.Sprintf("a message may have %d bytes: send less, or have the limit raised", a.maxPublish)
}

// isBinary tells a binary message; every other content type is text, for curl
// sends one that nobody chose.
func isBinary(r *http.Request) bool {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && kind == "application/octet-stream"
}

// idempotencyKey is "" when there is none.
func idempotencyKey(r *http.Request) (string, error) {
	values := r.Header.Values("Idempotency-Key")
	if len(values) == 0 {
		return "", nil
	}
	if len(values) > 1 {
		return "", errors.New("Idempotency-Key may be given once")
	}
	return values[0], validKey(values[0])
}

// maxKey bounds what an Idempotency-Key costs to remember, in bytes.
const maxKey = 128

func validKey(key string) error {
	if key == "" || len(key) > maxKey {
		return fmt.Errorf("an idempotency key has 1 to %d characters", maxKey)
	}
	for _, c := range []byte(key) {
		if c < ' ' || c > '~' {
			return errors.New("an idempotency key is printable ASCII")
		}
	}
	return nil
}

// fingerprint tells whether two requests of the same key are the same request.
func fingerprint(parts ...[]byte) [sha256.Size]byte {
	h := sha256.New()
	for _, part := range parts {
		h.Write(part)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}
