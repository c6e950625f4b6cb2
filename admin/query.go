package admin

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
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
		return nil, fmt.Errorf("there is no parameter %q here", name)
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
