package bench

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// checkMetrics says which pages have nothing of the server's process.
func checkMetrics(urls []string) (warnings []string) {
	for _, url := range urls {
		var s Sample
		if s.addMetrics(url); s.has == 0 {
			warnings = append(warnings, fmt.Sprintf("%s cannot be read, or has neither process_resident_memory_bytes nor process_cpu_seconds_total: "+
				"the server's memory and processor time will be missing", url))
		}
	}
	return warnings
}

// metricsAtMost bounds a page, of which only a few lines are kept.
const metricsAtMost = 16 << 20

var metricsTransport = &http.Transport{DisableCompression: true, MaxResponseHeaderBytes: 64 << 10}

// addMetrics adds what a server's Prometheus page says of its process.
func (s *Sample) addMetrics(url string) {
	client := http.Client{Timeout: metricsTimeout, Transport: metricsTransport}
	res, err := client.Get(url)
	if err != nil {
		s.Gone++
		return
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(io.LimitReader(res.Body, metricsAtMost))
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if !ok {
			continue
		}
		v, _ := strconv.ParseFloat(strings.TrimSpace(value), 64)
		switch name {
		case "process_resident_memory_bytes":
			s.RSSBytes += v
			s.has |= hasRSS
		case "process_cpu_seconds_total":
			s.CPUSeconds += v
			s.has |= hasCPU
		}
	}
}
