// Package status has only tests: the admin side of wsd serve with the programs
// that use it: the status page in Chromium, the examples of docs/publishing.md
// with curl, the metrics and alert rules with promtool.
//
//	e2e/install.sh; e2e/status/install.sh    install what is missing
//	go test ./e2e/status                     fails, and says what to install, if something is
package status
