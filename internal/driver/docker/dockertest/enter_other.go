//go:build !linux

package dockertest

// Enter does nothing where there is no Engine for tests.
func Enter() {}
