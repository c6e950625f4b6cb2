package host

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Report is a plan with what it was made from and what it comes to.
type Report struct {
	Version    int      `json:"version"` // of this form; 1
	Kernel     string   `json:"kernel"`
	Container  string   `json:"container,omitempty"`
	Clients    int      `json:"clients"`
	Fits       bool     `json:"fits"`
	MaxClients int      `json:"max_clients"`          // that fit as the machine is
	LimitedBy  string   `json:"limited_by,omitempty"` // the item that stops the next one
	Estimate   Estimate `json:"estimate"`
	Items      []Item   `json:"items"`
}

// NewReport plans, and searches how many clients fit.
func NewReport(f Facts, n Needs) Report {
	n = n.withDefaults()
	r := Report{Version: 1, Kernel: f.Kernel, Container: f.Container, Clients: n.Clients, Estimate: NewEstimate(f, n), Items: Plan(f, n)}
	r.Fits = Fits(r.Items)
	r.MaxClients, r.LimitedBy = MaxClients(f, n)
	return r
}

// Quick reports on this machine. It reads some thirty small files and costs
// a millisecond or two: cheap enough for the start of a server.
func Quick(n Needs) (Report, error) {
	f, err := Read("/")
	if err != nil {
		return Report{}, err
	}
	return NewReport(f, n), nil
}

// Problems are the items that warn or fail, failures first.
func (r Report) Problems() []Item { return Problems(r.Items) }

// Summary is the verdict in one sentence.
func (r Report) Summary() string {
	count := map[Verdict]int{}
	for _, it := range r.Items {
		count[it.Verdict]++
	}
	verdict := "fits"
	if !r.Fits {
		verdict = "does not fit"
	}
	s := fmt.Sprintf("this host %s %s clients: %d fail, %d warn, %d unknown", verdict, thousands(int64(r.Clients)), count[Fail], count[Warn], count[Unknown])
	if !r.Fits {
		s += fmt.Sprintf("; as it is %s fit (%s)", thousands(int64(r.MaxClients)), r.LimitedBy)
	}
	return s
}

// WriteJSON writes the report as one indented JSON object.
func (r Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(r)
}

// WriteText writes the table, the estimate, what to do and the verdict.
func (r Report) WriteText(w io.Writer) error {
	if err := WriteTable(w, r.Items); err != nil {
		return err
	}
	var b strings.Builder
	r.Estimate.write(&b, r.Clients)
	for _, v := range [...]Verdict{Fail, Warn, Unknown} {
		writeToDo(&b, r.Items, v)
	}
	fmt.Fprintf(&b, "\n%s\n", r.Summary())
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteTable writes one aligned line for each item. The reason comes last
// because it is prose and of any length.
func WriteTable(w io.Writer, items []Item) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ITEM\tNOW\tNEEDED\tVERDICT\tWHY")
	for _, it := range items {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", it.Name, it.Now, it.Needed, it.Verdict, it.Why)
	}
	return t.Flush()
}

func writeToDo(b *strings.Builder, items []Item, v Verdict) {
	head := "\n" + v.String() + ":\n"
	for _, it := range items {
		if it.Verdict == v && it.Do != "" {
			fmt.Fprintf(b, "%s  %s: %s\n", head, it.Name, it.Do)
			head = ""
		}
	}
}

// write shows the arithmetic, so that it can be doubted.
func (e Estimate) write(b *strings.Builder, clients int) {
	fmt.Fprintf(b, "\nmemory for %s clients: %s = sockets %s + epoll %s + wsd %s + a broadcast %s",
		thousands(int64(clients)), bytesText(e.Total), bytesText(e.Sockets), bytesText(e.Watches), bytesText(e.Server), bytesText(e.Burst))
	if e.Conntrack > 0 {
		fmt.Fprintf(b, " + conntrack %s", bytesText(e.Conntrack))
	}
	if e.Generator > 0 {
		fmt.Fprintf(b, " + load generator %s", bytesText(e.Generator))
	}
	fmt.Fprintf(b, "\nheartbeats: %s/s; all back after a restart in %.0f s, which is the least that clients' retries should be spread over\n",
		thousands(int64(e.HeartbeatsPerSecond)), e.ConnectSeconds)
	if e.SourceAddresses > 0 {
		fmt.Fprintf(b, "source addresses for the load generator, or listening ports to connect to: %d\n", e.SourceAddresses)
	}
}

// thousands groups the digits of a number that is only there to be read.
func thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
