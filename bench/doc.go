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
// the processes of one host share, so results of workers merge exactly.
//
// Reading order: plan.go, engine.go, connect.go, read.go, answer.go, load.go,
// then run.go for what brings several engines together.
package bench
