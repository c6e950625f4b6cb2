package bench

import (
	"bufio"
	"net/http"
	"strconv"
	"strings"
)

// addMetrics adds what a server's Prometheus page says of its process.
func (s *Sample) addMetrics(url string) {
	client := http.Client{Timeout: metricsTimeout}
	res, err := client.Get(url)
	if err != nil {
		s.Gone++
		return
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if !ok {
			continue
		}
		v, _ := strconv.ParseFloat(strings.TrimSpace(value), 64)
		switch name {
		case "process_resident_memory_bytes":
			s.RSSBytes += v
		case "process_cpu_seconds_total":
			s.CPUSeconds += v
		}
	}
}
