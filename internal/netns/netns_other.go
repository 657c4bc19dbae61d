//go:build !linux

package netns

import "greenroom/internal/problem"

func mountNew(string) error {
	return problem.New(problem.Unavailable, "only Linux has network namespaces")
}

func isMounted(string) (bool, error) { return false, nil }

func unmount(string) error { return nil }
