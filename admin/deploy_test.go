package admin

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// What the dashboard and the alerts ask for is what /metrics has: each metric,
// each label, and each value of a label whose values are fixed.

var (
	sample   = regexp.MustCompile(`^([a-z_]+)(?:\{(.*)\})?$`)
	pair     = regexp.MustCompile(`([a-z_]+)="((?:[^"\\]|\\.)*)"`)
	selector = regexp.MustCompile(`\b((?:wsd|process|go)_[a-z0-9_]+)\b(?:\{([^}]*)\})?`)
	matcher  = regexp.MustCompile(`([a-z_]+)\s*(=~|!=|=)\s*"([^"]*)"`)
)

// metricsThereAre maps metric to label to values.
func metricsThereAre(t *testing.T) map[string]map[string]map[string]bool {
	t.Helper()
	s, _ := live(t)
	all := map[string]map[string]map[string]bool{}
	for name := range series(t, start(t, s, func(cfg *Config) { cfg.Cluster = &fakeCluster{} })) {
		parts := sample.FindStringSubmatch(name)
		if parts == nil {
			t.Fatalf("no sample: %s", name)
		}
		if all[parts[1]] == nil {
			all[parts[1]] = map[string]map[string]bool{}
		}
		for _, p := range pair.FindAllStringSubmatch(parts[2], -1) {
			if all[parts[1]][p[1]] == nil {
				all[parts[1]][p[1]] = map[string]bool{}
			}
			all[parts[1]][p[1]][p[2]] = true
		}
	}
	return all
}

// dashboardQueries are all in the file, those of variables included.
func dashboardQueries(t *testing.T) (queries []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "deploy", "grafana", "wsd.json"))
	if err != nil {
		t.Fatal(err)
	}
	var d node
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	var visit func(v any)
	visit = func(v any) {
		switch v := v.(type) {
		case node:
			for key, child := range v {
				if text, ok := child.(string); ok && (key == "expr" || key == "query") {
					queries = append(queries, text)
				}
				visit(child)
			}
		case []any:
			for _, child := range v {
				visit(child)
			}
		}
	}
	visit(d)
	return queries
}

// alertRule is what Prometheus reads of one.
type alertRule struct {
	Alert, Expr, For    string
	Labels, Annotations map[string]string
}

func alertRules(t *testing.T) (rules []alertRule) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "deploy", "prometheus", "alerts.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Groups []struct{ Rules []alertRule }
	}
	if err := yaml.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	for _, g := range d.Groups {
		rules = append(rules, g.Rules...)
	}
	return rules
}

func alertQueries(t *testing.T) (queries []string) {
	t.Helper()
	for _, r := range alertRules(t) {
		queries = append(queries, r.Expr)
	}
	return queries
}

// Each alert waits, or says by its expression over what time it looks, and names
// a part of the operator's guide that exists.
func TestAlertsHaveRunbooks(t *testing.T) {
	for _, r := range alertRules(t) {
		if r.For == "" && !strings.Contains(r.Expr, "offset") {
			t.Errorf("%s fires at the first sight", r.Alert)
		}
		if s := r.Labels["severity"]; s != "page" && s != "ticket" {
			t.Errorf("%s has the severity %q", r.Alert, s)
		}
		file, anchor, _ := strings.Cut(r.Annotations["runbook"], "#")
		text, err := os.ReadFile(filepath.Join("..", file))
		if err != nil {
			t.Errorf("%s: %v", r.Alert, err)
			continue
		}
		if heading := regexp.MustCompile(`(?mi)^#+ ` + regexp.QuoteMeta(anchor) + `$`); anchor == "" || !heading.Match(text) {
			t.Errorf("%s: %s has no part %q", r.Alert, file, anchor)
		}
	}
}

func TestQueriesFitTheMetrics(t *testing.T) {
	there := metricsThereAre(t)
	dashboard, alerts := dashboardQueries(t), alertQueries(t)
	if len(dashboard) < 40 || len(alerts) < 10 {
		t.Fatalf("%d queries in the dashboard, %d alerts", len(dashboard), len(alerts))
	}
	for _, query := range append(dashboard, alerts...) {
		for _, s := range selector.FindAllStringSubmatch(query, -1) {
			labels, ok := there[s[1]]
			if !ok {
				t.Errorf("there is no %s: %s", s[1], query)
				continue
			}
			for _, m := range matcher.FindAllStringSubmatch(s[2], -1) {
				if m[1] == "job" || m[1] == "instance" {
					continue // Prometheus adds them
				}
				for value := range strings.SplitSeq(m[3], "|") {
					if !labels[m[1]][value] {
						t.Errorf("%s has no %s=%q: %s", s[1], m[1], value, query)
					}
				}
			}
		}
	}
}

// The dashboard shows all that is told.
func TestDashboardIsComplete(t *testing.T) {
	queries := strings.Join(dashboardQueries(t), "\n")
	for name := range metricsThereAre(t) {
		base := name
		for _, suffix := range []string{"_count", "_sum", "_bucket"} {
			base = strings.TrimSuffix(base, suffix)
		}
		if strings.HasPrefix(name, "wsd_") && !regexp.MustCompile(`\b`+base+`(_bucket)?\b`).MatchString(queries) {
			t.Errorf("%s is not in the dashboard", base)
		}
	}
}
