// Package check renders the Helm chart with Helm's own library. It is a module of its own, because that library brings
// Kubernetes' with it. It owns no code of ours: see its test, which `make chart` runs.
package check
