package host

import (
	"strconv"
	"strings"
)

// readTCPExt takes the extended TCP counters: a line of names is followed by a
// line of numbers, both led by the same word. procfs has them as a struct with a
// field for each that it knows.
func readTCPExt(t tree) map[string]uint64 {
	out := map[string]uint64{}
	var names []string
	for _, line := range t.lines("proc/net/netstat") {
		rest, ok := strings.CutPrefix(line, "TcpExt:")
		if !ok {
			continue
		}
		v := strings.Fields(rest)
		if names == nil {
			names = v
			continue
		}
		for i := 0; i < len(v) && i < len(names); i++ {
			if n, err := strconv.ParseUint(v[i], 10, 64); err == nil {
				out[names[i]] = n
			}
		}
		names = nil
	}
	return out
}
