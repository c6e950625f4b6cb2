package status

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every query of the dashboard is one that Prometheus understands. promtool
// checks queries in rules only, so each becomes one.
func TestDashboardQueries(t *testing.T) {
	text, err := os.ReadFile("../../deploy/grafana/wsd.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
		Annotations struct{ List []struct{ Expr string } }
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	var queries []string
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			queries = append(queries, target.Expr)
		}
	}
	for _, a := range dashboard.Annotations.List {
		queries = append(queries, a.Expr)
	}
	if len(queries) < 40 {
		t.Fatalf("only %d queries were found", len(queries))
	}
	variables := strings.NewReplacer("$__rate_interval", "1m", "$job", "wsd", "$instance", "a|b")
	rules := "groups:\n- name: dashboard\n  rules:\n"
	for i, query := range queries {
		expr, _ := json.Marshal(variables.Replace(query)) // JSON is YAML
		rules += fmt.Sprintf("  - record: query:%d\n    expr: %s\n", i, expr)
	}
	file := filepath.Join(t.TempDir(), "rules.yml")
	if err := os.WriteFile(file, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	if said := command(t, nil, "promtool", "check", "rules", "--lint=none", file); !strings.Contains(said, fmt.Sprintf("%d rules found", len(queries))) {
		t.Error(said)
	}
}
