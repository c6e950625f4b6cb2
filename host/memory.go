package host

import (
	"math"
	"strconv"
	"strings"
)

// readMemory takes the machine's memory.
func readMemory(t tree) Memory {
	var m Memory
	fields := [...]struct {
		key string
		to  *int64
	}{{"MemTotal", &m.Total}, {"MemAvailable", &m.Available}, {"SwapTotal", &m.Swap}}
	for _, line := range t.lines("proc/meminfo") {
		for _, f := range fields {
			if n, ok := cutMeminfo(line, f.key); ok {
				*f.to = n
			}
		}
	}
	return m
}

// cutMeminfo is the value, in bytes, of a line of that key.
func cutMeminfo(line, key string) (int64, bool) {
	k, rest, _ := strings.Cut(line, ":")
	v := strings.Fields(rest)
	if k != key || len(v) == 0 {
		return 0, false
	}
	kb, err := strconv.ParseInt(v[0], 10, 64)
	return kb * 1024, err == nil && kb >= 0 && kb < math.MaxInt64/1024
}
