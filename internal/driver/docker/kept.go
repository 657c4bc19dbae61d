package docker

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"greenroom/internal/atomicfile"
	"greenroom/internal/driver"
)

// An Engine removes what a container printed together with it. So it is copied out first, without its secrets.

// keptFiles is how many replicas' logs are kept after they were stopped.
const keptFiles = 20

// What is kept of one replica at most: the end of what a Compose file may have an Engine keep more of than there is memory.
const (
	keptBytes = driver.DefaultLogSize
	keptLines = 200_000
)

const logSuffix = ".log"

// retire removes a container that is to be seen no more, and keeps what it printed.
func (d *Driver) retire(ctx context.Context, id string) error {
	in, err := d.inspect(ctx, id)
	switch {
	case err == nil && in.State.Status == container.StateCreated: // as far as an Engine knows that may have died meanwhile
		_, err = d.strayGone(ctx, id)
	case err == nil && d.logs != "":
		err = d.keepLogs(ctx, in)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil && !errdefs.IsNotFound(err) { // a log is no reason to let it run
		d.log.Warn("what a replica printed can't be kept", "container", id, "error", err)
	}
	return d.remove(ctx, id)
}

func (d *Driver) keepLogs(ctx context.Context, in container.InspectResponse) error {
	id := in.Config.Labels[labelReplica]
	if !driver.ValidID(id) {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, answerTime/d.engine.hurry)
	defer cancel()
	out := tail{most: keptBytes}
	err := errCut
	for n := 0; n < attempts && errors.Is(err, errCut); n++ {
		out.Reset()
		err = d.copyLogs(limited, in, readRecord(in.Config.Labels), client.ContainerLogsOptions{Tail: strconv.Itoa(keptLines)}, &out, nil)
	}
	if err != nil || out.Len() == 0 { // then what the replica before it printed is worth more
		return err
	}
	if err := os.MkdirAll(d.logs, 0o700); err != nil {
		return err
	}
	name := filepath.Join(d.logs, id+logSuffix)
	if err := errors.Join(atomicfile.Sweep(name), atomicfile.Write(name, out.Bytes(), 0o600)); err != nil {
		return err
	}
	return d.pruneLogs()
}

// pruneLogs removes all but the newest.
func (d *Driver) pruneLogs() error {
	entries, err := os.ReadDir(d.logs)
	if err != nil {
		return err
	}
	var files []fs.FileInfo
	for _, e := range entries {
		if info, err := e.Info(); err == nil && strings.HasSuffix(e.Name(), logSuffix) {
			files = append(files, info)
		}
	}
	slices.SortFunc(files, func(a, b fs.FileInfo) int { return b.ModTime().Compare(a.ModTime()) })
	var all []error
	for _, f := range files[min(keptFiles, len(files)):] {
		if err := os.Remove(filepath.Join(d.logs, f.Name())); !errors.Is(err, fs.ErrNotExist) {
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}

// keptLogs copies what a replica printed that was stopped.
func (d *Driver) keptLogs(id string, o driver.LogOptions, w io.Writer) error {
	if d.logs == "" {
		return driver.ErrNotFound
	}
	text, err := os.ReadFile(filepath.Join(d.logs, id+logSuffix))
	if errors.Is(err, fs.ErrNotExist) {
		return driver.ErrNotFound
	}
	if err == nil {
		_, err = w.Write(lastOf(text, o.Tail))
	}
	return err
}

// lastOf are the last n lines of a text; all of them for 0.
func lastOf(text []byte, n int) []byte {
	if n <= 0 {
		return text
	}
	from := len(bytes.TrimSuffix(text, []byte{'\n'}))
	for range n {
		if from = bytes.LastIndexByte(text[:from], '\n'); from < 0 {
			return text
		}
	}
	return text[from+1:]
}
