package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"time"
	"unicode/utf8"

	"wsd/server"
)

// revocation is one as it is asked for and told, with times in seconds since 1970.
type revocation struct {
	User         string `json:"user,omitempty"`
	Token        string `json:"token,omitempty"`
	IssuedBefore int64  `json:"issued_before,omitempty"`
	Until        int64  `json:"until,omitempty"`
}

// revocationList is all of them.
type revocationList struct {
	Revocations []revocation `json:"revocations"`
}

const maxRevocation = 8 << 10

func (a *api) revocations(w http.ResponseWriter, r *http.Request) {
	if _, err := query(r); err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	list := revocationList{Revocations: []revocation{}}
	for _, one := range a.backend.Revocations() {
		told := revocation{User: one.User, Token: one.Token}
		if one.User != "" {
			told.IssuedBefore = one.IssuedBefore.Unix()
		}
		if !one.Until.IsZero() {
			told.Until = one.Until.Unix()
		}
		list.Revocations = append(list.Revocations, told)
	}
	answer(w, http.StatusOK, list)
}

// revoke takes a user, with the time before which the tokens were issued (if it is not
// given: now), or the id of a token, and until when that has to be remembered.
func (a *api) revoke(w http.ResponseWriter, r *http.Request) {
	if encoded(w, r) {
		return
	}
	_, err := query(r)
	var given server.Revocation
	if err == nil {
		given, err = readRevocation(http.MaxBytesReader(w, r.Body, maxRevocation), time.Now())
	}
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
	defer cancel()
	n, reach, err := a.revokeAll(ctx, given)
	switch {
	case errors.Is(err, server.ErrRevocation):
		problem(w, http.StatusBadRequest, err.Error())
	case errors.Is(err, server.ErrRevocationsFull):
		problem(w, http.StatusInsufficientStorage, err.Error())
	case err != nil:
		problem(w, http.StatusServiceUnavailable, fmt.Sprintf("it is in force, and %d were closed so far: %v", n, err))
	default:
		answer(w, http.StatusOK, closed{n, reach})
	}
}

// revokeAll revokes here, in a cluster at all nodes.
func (a *api) revokeAll(ctx context.Context, r server.Revocation) (n int, reach *reached, err error) {
	if a.cluster == nil {
		n, err = a.backend.Revoke(ctx, r)
		return n, nil, err
	}
	n, all, err := a.cluster.Revoke(ctx, r)
	return n, reach.and(all), err
}

// readRevocation takes an object of the four fields, each once and by its exact name.
func readRevocation(body io.Reader, now time.Time) (r server.Revocation, err error) {
	text, err := io.ReadAll(body)
	if err != nil || !utf8.Valid(text) {
		return r, fmt.Errorf("a revocation is a JSON object of at most %d bytes", maxRevocation)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return r, errors.New("a revocation is a JSON object")
	}
	for given := map[string]bool{}; d.More(); {
		t, err := d.Token()
		if err != nil {
			return r, errors.New("that is no JSON")
		}
		name := t.(string) // what else the decoder does not take
		var value json.RawMessage
		if err := d.Decode(&value); err != nil || given[name] {
			return r, fmt.Errorf("%q is no JSON, or there twice", name)
		}
		given[name] = true
		switch name {
		case "user":
			r.User, err = toText(value)
		case "token":
			r.Token, err = toText(value)
		case "issued_before":
			r.IssuedBefore, err = toTime(value)
		case "until":
			r.Until, err = toTime(value)
		default:
			err = errors.New("there is no such field")
		}
		if err != nil {
			return r, fmt.Errorf("%q: %w", name, err)
		}
	}
	if _, err := d.Token(); err != nil || d.More() {
		return r, errors.New("a revocation is one JSON object")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return r, errors.New("a revocation is one JSON object")
	}
	if r.User != "" && r.IssuedBefore.IsZero() {
		r.IssuedBefore = now
	}
	if !r.Until.IsZero() && !r.Until.After(now) {
		return r, errors.New("until is over")
	}
	return r, nil
}

// toTime takes whole seconds since 1970, up to the year 9999.
func toTime(value json.RawMessage) (time.Time, error) {
	const last = 253402300799
	var n float64
	if err := json.Unmarshal(value, &n); err != nil || n < 1 || n > last || n != math.Trunc(n) {
		return time.Time{}, errors.New("write seconds since 1970, as a whole number")
	}
	return time.Unix(int64(n), 0), nil
}

func (a *api) unrevoke(w http.ResponseWriter, r *http.Request) {
	q, err := query(r, "user", "token")
	if err == nil && (q["user"] == "") == (q["token"] == "") {
		err = errors.New("name the revocation by user=U or by token=ID")
	}
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	found := false
	if a.cluster == nil {
		found = a.backend.Unrevoke(q["user"], q["token"])
	} else {
		ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
		defer cancel()
		var all server.Reach
		if found, all = a.cluster.Unrevoke(ctx, q["user"], q["token"]); !all.Complete {
			m := all.Missing[0]
			problem(w, http.StatusServiceUnavailable, "it is taken back but for node "+m.Node+", which does not answer ("+m.Why+"), and will come back with it: ask again then")
			return
		}
	}
	if !found {
		problem(w, http.StatusNotFound, "there is no such revocation")
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
