// Package e2e has only tests: the real programs, wsd serve and the chat
// example, built and run as processes, against WebSocket clients that others
// wrote: Python's websockets, npm's ws, and Chromium; and behind HAProxy and nginx.
//
//	e2e/install.sh          installs the clients that are missing
//	go test ./e2e           fails, and says what to install, if one is
//
// A check is a name in one of the tables here and a function of that name in
// each of the scripts in clients/. It runs in a process of its own against a
// server of its own, passes by exit code 0, and fails by saying why on stderr.
//
// The Autobahn test suite is not among the clients: it comes from PyPI or as a
// container, and neither can be had where this runs. Frames that no good client
// sends are covered by the tests of conn and server, and a few here.
package e2e
