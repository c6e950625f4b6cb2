package e2e

import (
	"os"
	"syscall"
	"testing"
)

var browserChecks = []check{
	{name: "heartbeat"},
	{name: "echo"},
	{name: "burst"},
	{name: "client_closes"},
	{name: "too_big"},
	{name: "subprotocol_first"},
	{name: "refused"},
	{name: "origins", flags: []string{"--origins=https://good.example"}},
	{name: "shutdown", stop: syscall.SIGTERM},
	{name: "restart", flags: []string{"--restart"}, stop: syscall.SIGTERM},
}

func needsChromium(t *testing.T) {
	t.Helper()
	needs(t, "npm's playwright-core (npm ci in e2e/)", "node", "-e", "require('playwright-core')")
	needs(t, "Chromium (Debian package chromium)", "/usr/bin/chromium", "--version")
}

func TestChromium(t *testing.T) {
	needsChromium(t)
	runChecks(t, browserChecks, "node", "clients/browser.mjs")
}

// Pages of the chat example talk to each other, lose their server and find it
// again. E2E_PICTURES=DIR keeps what they looked like.
func TestChatPage(t *testing.T) {
	needsChromium(t)
	pictures := os.Getenv("E2E_PICTURES")
	if pictures == "" {
		pictures = t.TempDir()
	}
	server, address := serveChat(t, "127.0.0.1:0")
	people := start(t, []string{"CHAT_URL=http://" + address, "CHAT_PICTURES=" + pictures}, "node", "clients/chat.mjs")
	people.find("(?m)^ready$")
	server.signal(syscall.SIGTERM)
	server.succeeds()
	people.find("(?m)^lost$")
	server, _ = serveChat(t, address)
	people.succeeds()
	server.signal(syscall.SIGTERM)
	server.succeeds()
}
