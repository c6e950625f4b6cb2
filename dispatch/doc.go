// Package dispatch is the action protocol as pure bytes: it reads the envelope of a request, finds the
// action that it names in a table, runs the action, and appends the answer. It knows nothing of sockets,
// frames or loops.
//
// The way of a request, in the order of the files:
//
//  1. envelope.go: Parse reads the message in one walk (read.go, scan.go, text.go), without allocating for
//     what clients send. It accepts what encoding/json does; FuzzParse holds them to it.
//  2. mux.go: Mux.Lookup finds the action. Actions are put into the table before serving, by typed
//     functions (handle.go), by the methods of a struct (register.go), as a constant (constant.go), as one
//     that is answered later (later.go), or as one of the built-in actions (builtin.go).
//  3. call.go: Action.Call checks the token, decodes the argument, runs the handler and recovers its
//     panics.
//  4. answer.go: the answer, always valid JSON in valid UTF-8, whatever the request was.
package dispatch
