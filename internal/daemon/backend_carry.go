package daemon

import (
	"context"
	"io"

	"greenroom/internal/api"
	"greenroom/internal/problem"
)

// ExportCopy is api.Backend's. What leaves is in the log before a byte of it is given away.
func (d *Daemon) ExportCopy(ctx context.Context, r api.CopyRequest) (io.ReadCloser, error) {
	c, err := d.named(ctx, r)
	if err != nil {
		return nil, err
	}
	if r.Kind == api.CopyBackup {
		return nil, problem.New(problem.Blocked, "a backup is raw: it never leaves %s. A snapshot is masked, and made to", r.Environment).
			WithHint("greenroom snapshot create %s, then greenroom snapshot export latest FILE", r.Environment)
	}
	s, err := c.env.Snapshot(r.ID)
	if err != nil {
		return nil, err
	}
	archive, err := c.env.ExportSnapshot(ctx, c.policy, s, d.opts.Version)
	if err != nil {
		return nil, err
	}
	if err := d.noteCopy(ctx, c, "snapshot exported", s.ID, ""); err != nil {
		_ = archive.Close() // nothing was read
		return nil, err
	}
	return archive, nil
}

// ImportCopy is api.Backend's. The log says it once more where a snapshot is here already: it may be that a kill came between
// the snapshot and its entry.
func (d *Daemon) ImportCopy(ctx context.Context, name string, archive io.Reader) (api.CopyView, error) {
	a, err := d.world.Store.App(ctx, name)
	if err != nil {
		return api.CopyView{}, err
	}
	s, known, err := d.world.ImportSnapshot(ctx, a.Policy, archive)
	if err != nil {
		return api.CopyView{}, err
	}
	v := d.snapshotView(ctx, a.Policy, s)
	c, err := d.named(ctx, api.CopyRequest{App: name, Environment: s.Environment, Kind: api.CopySnapshot, ID: s.ID})
	if err != nil {
		return v, err
	}
	if err := d.noteCopy(ctx, c, "snapshot imported", s.ID, "signed by "+v.By); err != nil || known {
		return v, err
	}
	data, err := c.masked()
	if err != nil {
		return v, err
	}
	return v, c.env.SweepSnapshots(ctx, data.Keep)
}
