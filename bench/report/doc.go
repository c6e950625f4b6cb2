// Package report is what a run of the load generator found out, and the ways to
// show it: JSON, a table, a page with plots, the ratios of two reports, figures
// that have to hold, and the line that says how a run is going.
//
// It only computes and writes: what is in a report, package bench measures.
//
// Reading order: report.go, hist.go, counts.go, then json.go, table.go, html.go
// with plots.go and chart.go, compare.go, assert.go, limits.go, view.go.
package report
