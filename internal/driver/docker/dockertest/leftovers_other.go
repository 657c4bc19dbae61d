//go:build !linux

package dockertest

import "errors"

func (e *Engine) sweep() []error { return nil }

func (e *Engine) makeSmall(int64) error { return errors.ErrUnsupported }

func (e *Engine) awaitContainerd() error { return nil }
