package host

import (
	"io/fs"
	"math"
	"path"
	"strconv"
	"strings"
)

// tree reads the small text files of procfs and sysfs below a root. A file that
// is missing or unreadable is an absent fact and never an error: kernels differ,
// containers hide things, and a fact that is not there is itself worth telling.
type tree struct{ fs.FS }

// text returns the file without surrounding white space.
func (t tree) text(name string) (string, bool) {
	b, err := fs.ReadFile(t.FS, name)
	if err != nil {
		return "", false
	}
	return strings.TrimSpace(string(b)), true
}

// lines returns the lines of a file, none if it is missing.
func (t tree) lines(name string) []string {
	s, _ := t.text(name)
	if s == "" {
		return nil
	}
	return strings.Split(s, "\n")
}

// numbers returns the white-space separated numbers of a file, nil if it is
// missing or holds anything else.
func (t tree) numbers(name string) []int64 {
	s, _ := t.text(name)
	return parseNumbers(s)
}

// exists says whether there is a file or directory of that name.
func (t tree) exists(name string) bool {
	_, err := fs.Stat(t.FS, name)
	return err == nil
}

func parseNumbers(s string) []int64 {
	fields := strings.Fields(s)
	if len(fields) == 0 {
		return nil
	}
	out := make([]int64, len(fields))
	for i, f := range fields {
		n, ok := parseNumber(f)
		if !ok {
			return nil
		}
		out[i] = n
	}
	return out
}

// parseNumber reads one number as the kernel writes it. What does not fit into
// 63 bits is some form of "no limit" (fs.file-max has been written as 2^64-1)
// and becomes the largest number there is.
func parseNumber(s string) (int64, bool) {
	switch s {
	case "unlimited", "infinity", "max":
		return math.MaxInt64, true
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, true
	}
	if _, err := strconv.ParseUint(s, 10, 64); err == nil {
		return math.MaxInt64, true
	}
	return 0, false
}

// sysctlPath is where the value of a dotted kernel setting lives below the root.
func sysctlPath(key string) string {
	return path.Join("proc/sys", strings.ReplaceAll(key, ".", "/"))
}
