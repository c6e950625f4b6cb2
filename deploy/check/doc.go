// Package check holds the container image and the Kubernetes manifests against
// the types of the programs that read them, and the numbers in them against
// each other. It is a module of its own: what it imports, wsd does not.
package check
