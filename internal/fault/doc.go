// Package fault runs the program as processes of their own, does to them and to
// their database what machines do, and compares what people were told with what
// is recorded. It holds nothing but tests: short forms run with all others, the
// long ones are make rolling and make soak.
package fault
