package sqlite

import "context"

func (w *snapshotWriter) search(context.Context) error { return nil }
func (w *snapshotWriter) schema() error {
	w.statement = map[string]string{}
	for _, e := range w.source.entries {
		w.statement[e.kind+e.name] = e.sql
	}
	return nil
}
