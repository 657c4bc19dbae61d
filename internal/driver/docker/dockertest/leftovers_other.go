//go:build !linux

package dockertest

func (e *Engine) sweep() []error { return nil }
