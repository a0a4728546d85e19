//go:build race

package webapp_test

// slower is by how much the race detector slows a program down.
const slower = 20
