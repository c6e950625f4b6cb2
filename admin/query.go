package admin

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// query reads parameters that may each be given once. Others are refused.
func query(r *http.Request, may ...string) (map[string]string, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, errors.New("the query is malformed")
	}
	given := map[string]string{}
	for _, name := range may {
		value, there, err := take(q, name)
		if err != nil {
			return nil, err
		}
		if there {
			given[name] = value
		}
	}
	for name := range q {
		return nil, errUnknown(name)
	}
	return given, nil
}

// take removes a parameter that may be given once.
func take(q url.Values, name string) (value string, given bool, err error) {
	values, given := q[name]
	delete(q, name)
	if len(values) > 1 {
		return "", true, fmt.Errorf("%s may be given once", name)
	}
	if given {
		value = values[0]
	}
	return value, given, nil
}

// errUnknown is for a parameter that may be a mistyped one.
func errUnknown(name string) error { return fmt.Errorf("there is no parameter %q here", name) }

// encoded answers, and says so, when a body is compressed: it goes to the clients
// as it is, and they would not know.
func encoded(w http.ResponseWriter, r *http.Request) bool {
	coding := r.Header.Get("Content-Encoding")
	if coding == "" || strings.EqualFold(coding, "identity") {
		return false
	}
	problem(w, http.StatusUnsupportedMediaType, fmt.Sprintf("Content-Encoding %s: send the body as it is to arrive, without", coding))
	return true
}
