package host

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Verdict is what one item means for the clients asked for.
type Verdict int

const (
	OK      Verdict = iota
	Unknown         // could not be read from here
	Warn            // all clients fit, but something will hurt: a storm, a burst, a crash
	Fail            // that many clients cannot be held
)

var verdicts = [...]string{"ok", "unknown", "warn", "fail"}

func (v Verdict) String() string { return verdicts[v] }

// MarshalText writes the verdict as its word.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// Item is one line of advice.
type Item struct {
	Name    string   `json:"item"`
	Now     string   `json:"now"`
	Needed  string   `json:"needed"`
	Verdict Verdict  `json:"verdict"`
	Why     string   `json:"why"`
	Do      string   `json:"do,omitempty"`  // what to do about it, with who can; empty when nothing is to be done
	Setting *Setting `json:"set,omitempty"` // the value to set, where it is a setting of the kernel
}

// Fits says whether the clients fit: nothing fails. What is unknown does not
// count against it.
func Fits(items []Item) bool {
	for _, it := range items {
		if it.Verdict == Fail {
			return false
		}
	}
	return true
}

// Problems are the items that warn or fail, failures first.
func Problems(items []Item) []Item {
	var out []Item
	for _, v := range [...]Verdict{Fail, Warn} {
		for _, it := range items {
			if it.Verdict == v {
				out = append(out, it)
			}
		}
	}
	return out
}

// Setting is a value wanted of the kernel. It is merged with what is there so
// that nothing that is large enough already becomes smaller.
type Setting struct {
	Key    string  `json:"key"`              // dotted sysctl name, or the last part of the path in sysfs
	Path   string  `json:"path"`             // below the root
	Values []int64 `json:"values,omitempty"` // wanted at least
	Choice string  `json:"choice,omitempty"` // or this word of a list
	widens bool    // Values is a range, and at least means the lower end at most
}

func sysctl(key string, values ...int64) *Setting {
	return &Setting{Key: key, Path: sysctlPath(key), Values: values}
}

// isSysctl tells settings of /proc/sys from those of /sys.
func (s *Setting) isSysctl() bool { return strings.HasPrefix(s.Path, "proc/sys/") }

// merge is the text to write where now is the text that is there.
func (s *Setting) merge(now string) string {
	if s.Choice != "" {
		return s.Choice
	}
	have := parseNumbers(now)
	if len(have) != len(s.Values) {
		return numberList(s.Values)
	}
	out := make([]int64, len(have))
	for i, v := range s.Values {
		out[i] = max(v, have[i])
		if s.widens && i == 0 {
			out[i] = min(v, have[i])
		}
	}
	return numberList(out)
}

// current is the text that is there, in the form that merge writes.
func (s *Setting) current(text string) string {
	if s.Choice != "" {
		return chosen(text)
	}
	return strings.Join(strings.Fields(text), " ")
}

func numberList(v []int64) string {
	words := make([]string, len(v))
	for i, n := range v {
		words[i] = strconv.FormatInt(n, 10)
	}
	return strings.Join(words, " ")
}

// limitText is a number, or a word for what stands for no limit.
func limitText(n int64) string {
	if n == math.MaxInt64 {
		return "unlimited"
	}
	return strconv.FormatInt(n, 10)
}

// bytesText is a size for people, in units of 1024.
func bytesText(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	v, unit := float64(n)/1024, 0
	for v >= 1024 && unit < len(units)-1 {
		v, unit = v/1024, unit+1
	}
	return fmt.Sprintf("%.1f %ciB", v, units[unit])
}
