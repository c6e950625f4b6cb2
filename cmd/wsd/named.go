package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"wsd/server"
)

// named says by its flag what a package says by the field of its Config. The
// names are the same but for those in other, which are fields' first.
func named(err error, other map[string]string) error {
	var wrong *server.ConfigError
	if !errors.As(err, &wrong) {
		return err
	}
	want := wrong.Want
	for field, flag := range other {
		want = strings.ReplaceAll(want, field, "--"+flag) // what to do may be about another
	}
	flag, found := other[wrong.Field]
	if !found {
		flag = flagName(wrong.Field)
	}
	if text, ok := wrong.Value.(string); ok {
		return fmt.Errorf("--%s %q: %s", flag, text, want)
	}
	return fmt.Errorf("--%s %v: %s", flag, wrong.Value, want)
}

var hump = regexp.MustCompile(`([a-z])([A-Z])`)

// flagName is max-message for MaxMessage.
func flagName(field string) string {
	return strings.ToLower(hump.ReplaceAllString(field, "$1-$2"))
}

// dropEmptyVariables makes a variable of the environment that is empty one that
// is not set: where a container or a unit passes one on, it is there and empty
// when nobody gave it.
func dropEmptyVariables() {
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		if value == "" && strings.HasPrefix(name, "WSD_") {
			_ = os.Unsetenv(name) // the name is valid, and that is all that can be wrong
		}
	}
}
