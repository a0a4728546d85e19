// Package prefetch has the processor fetch memory that will be looked at soon,
// while something else is computed. A check among many sessions waits mostly for
// memory, and Go has no other way to ask for it ahead.
//
// It is advice: nothing changes by it but time. Where it is not written for a
// processor, it does nothing.
package prefetch
