// Package fault runs the program in separate processes, injects faults into them and
// their database, and compares what people were told with what is recorded. It has only
// tests: short forms run with all others, the long ones are make rolling and make soak.
package fault
