package daemon

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"greenroom/internal/home"
	"greenroom/internal/problem"
)

// takeFolder makes this process the only daemon of the state folder, for as long as it lives: the kernel lets the lock
// go with the process, however that ends.
func takeFolder(h home.Home) (release func() error, err error) {
	f, err := os.OpenFile(h.Lock(), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, problem.New(problem.Unavailable, "the state folder can't be locked: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder, _ := io.ReadAll(io.LimitReader(f, 32)) // who it is, is only told
		err = errors.Join(f.Close(), err)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, problem.New(problem.Blocked, "another Greenroom has the state folder %s (process %s)", h, strings.TrimSpace(string(holder))).
				WithHint("greenroom status, or another folder with GREENROOM_HOME")
		}
		return nil, problem.New(problem.Unavailable, "the state folder can't be locked: %w", err)
	}
	if err := errors.Join(f.Truncate(0), writeAt(f, fmt.Sprintf("%d\n", os.Getpid()))); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f.Close, nil
}

func writeAt(f *os.File, s string) error {
	_, err := f.WriteAt([]byte(s), 0)
	return err
}
