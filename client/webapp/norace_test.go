//go:build !race

package webapp_test

const slower = 1
