package status

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const deploy = "../../deploy/prometheus/"

// The rules are what Prometheus takes, fire when they should, and not else.
func TestAlertRules(t *testing.T) {
	command(t, nil, "promtool", "check", "rules", deploy+"alerts.yml")
	command(t, nil, "promtool", "test", "rules", deploy+"alerts_test.yml")
	command(t, nil, "promtool", "check", "config", deploy+"prometheus.yml")
}

// What /metrics says is what Prometheus reads, with nothing to complain about.
func TestMetrics(t *testing.T) {
	_, admin := serve(t)
	file := filepath.Join(t.TempDir(), "metrics")
	command(t, nil, "curl", "-sSf", "-o", file, "http://"+admin+"/metrics")
	if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), "wsd_clients") {
		t.Fatalf("%v %s", err, text)
	}
	command(t, nil, "sh", "-c", "promtool check metrics < "+file)
}
