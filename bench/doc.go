// Package bench is a load generator for WebSocket servers, of wsd or of any
// other make: very many clients from one machine, on epoll, with figures that
// can be believed. `wsd bench` is a thin command around it.
//
//	Plan ──Run──> coordinator ──commands──> worker (a process or a goroutine)
//	                  ^                        one engine: slab of clients, one epoll
//	                  └────── ticks, results ──┘
//
// A client is a record of 64 bytes in a slab that the garbage collector does
// not look into. It has no goroutine, no timer and, while nothing is half sent
// or half received, no buffer. All times are CLOCK_MONOTONIC nanoseconds, which
// the processes of one host share, so results of workers merge exactly. Workers on
// other hosts, behind an Agent, go by the coordinator's clock as well, as far as
// round trips tell it; a report says how far that is.
//
// What a run found out is a report.Report, of package bench/report.
//
// Reading order, and what else is where:
//
//   - the plan: plan.go, check.go, scenario.go; header.go, target.go, source.go
//     for what connects to where, redact.go for what no report may have
//   - the engine: client.go, engine.go, dialer.go, connect.go, handshake.go,
//     read.go, answer.go
//   - what a phase does: phase.go, drive.go, load.go (with template.go and
//     pending.go), fan.go, churn.go; behaviour.go and misbehave.go for clients
//     that misbehave
//   - the coordinator: run.go, worker.go and wire.go, runphase.go, fanrun.go with
//     publish.go, results.go
//   - other hosts: agentwire.go, agent.go on theirs; agentlink.go, agentrun.go and
//     lost.go on the coordinator's
//   - what is measured beside: sample.go, metrics.go, server.go, hostfacts.go
package bench
