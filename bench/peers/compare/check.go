package main

import (
	"time"

	"wsd/bench/peers/fleet"
)

const (
	// otherCPU is the share of one processor that other programs may use
	// before a run is called disturbed.
	otherCPU = 0.25
	// slack forgives what two readers of /proc differ by: its ticks of 10 ms.
	slack = 100 * time.Millisecond
)

// reading is what the driver itself sees, to hold the loader's word against.
type reading struct {
	fleet.Usage
	host time.Duration
	at   time.Time
}

func meter(pid int) (reading, error) {
	u, err := fleet.UsageOf(pid)
	if err != nil {
		return reading{}, err
	}
	host, err := fleet.HostCPU()
	return reading{u, host, time.Now()}, err
}

// check writes down all that makes a run doubtful.
func (d *driver) check(l Load, rep Report, before, after reading) {
	for _, limit := range rep.Limits {
		d.problem("%s: the generator was the bottleneck: %s", l.Label, limit)
	}
	var said float64
	for _, s := range l.Steps {
		p := rep.Phases[s.Name]
		said += p.ServerCPU
		for _, k := range badCounts {
			if n := p.Bad[k]; n != 0 {
				d.problem("%s, %s: %s %.0f", l.Label, s.Name, k, n)
			}
		}
	}
	used := after.CPU - before.CPU
	if time.Duration(said*float64(time.Second)) > used+used/20+slack {
		d.problem("%s: the generator says that the server used %.2f s, /proc says %v", l.Label, said, used)
	}
	others := after.host - before.host - used - rep.CPU
	if share := others.Seconds() / after.at.Sub(before.at).Seconds(); share > otherCPU {
		d.problem("%s: other programs used %.0f %% of a processor", l.Label, 100*share)
	}
}
