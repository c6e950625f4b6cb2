// Package upgrade replaces the process of a running server by a newer program,
// and no client notices more than a pause.
//
//  1. Somebody asks the process: [Ask], from `wsd upgrade`, which reaches its
//     [Control] socket, or a signal.
//  2. The process starts the program that is on disk now as its successor, with
//     the same arguments and environment ([Handover]).
//  3. The successor finds the channel between the two ([Inherit]). The server
//     packages of both move the listeners and the clients over it
//     (server.HandOver, server.TakeOver).
//  4. The old process says what became of it ([Report]) and ends. If the
//     successor has failed, the old process has killed it and serves on.
//
// docs/upgrade.md has every step, and what is lost if a process dies at one.
package upgrade
