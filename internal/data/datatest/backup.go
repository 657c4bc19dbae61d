package datatest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func (e Engine) backup(t *testing.T) {
	t.Run("describes itself", e.backupDescribes)
	t.Run("replaces an older one", e.backupReplaces)
	t.Run("cancelled", e.backupCancelled)
	t.Run("nowhere to write", e.backupNowhere)
	t.Run("one moment", e.backupOneMoment)
}

func (e Engine) backupDescribes(t *testing.T) {
	d, db := e.base(t)
	run(t, db, "INSERT INTO customers (id, name) VALUES (1, 'Ada')")
	file := filepath.Join(t.TempDir(), "backup")
	b, err := d.Backup(bounded(t), file)
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(content)
	if b.File != file || b.Size != int64(len(content)) || b.SHA256 != hex.EncodeToString(sum[:]) || b.Took <= 0 {
		t.Errorf("%+v does not describe the file of %d bytes with SHA-256 %x", b, len(content), sum)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("a backup that others can read: %v", info.Mode())
	}
	if diff := cmp.Diff([]string{"backup", "backup.sha256"}, names(t, filepath.Dir(file))); diff != "" {
		t.Error(diff)
	}
}

func (e Engine) backupReplaces(t *testing.T) {
	d, db := e.base(t)
	file := filepath.Join(t.TempDir(), "backup")
	for _, name := range []string{"Grace", "Joan"} {
		run(t, db, "DELETE FROM customers", "INSERT INTO customers (id, name) VALUES (1, '"+name+"')")
		if _, err := d.Backup(bounded(t), file); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Restore(bounded(t), file); err != nil {
		t.Fatal(err)
	}
	if count(t, reconnect(t, e, d, db), "SELECT count(*) FROM customers WHERE name = 'Joan'") != 1 {
		t.Error("the file is not the later backup")
	}
}

func (e Engine) backupCancelled(t *testing.T) {
	d, _ := e.base(t)
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := d.Backup(ctx, filepath.Join(dir, "backup")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if left := names(t, dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func (e Engine) backupNowhere(t *testing.T) {
	d, _ := e.base(t)
	if _, err := d.Backup(bounded(t), filepath.Join(t.TempDir(), "missing", "backup")); err == nil {
		t.Error("a backup into a folder that does not exist succeeded")
	}
}

// backupOneMoment writes a pair of rows in each transaction: a copy that is one moment has pairs only.
func (e Engine) backupOneMoment(t *testing.T) {
	d, db := e.base(t)
	run(t, db, "CREATE TABLE lefts (n integer PRIMARY KEY)", "CREATE TABLE rights (n integer PRIMARY KEY)")
	stop, enough := make(chan struct{}), make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for n := 0; ; n++ {
			if n == 20 {
				close(enough)
			}
			select {
			case <-stop:
				return
			default:
			}
			if err := pair(db, n); err != nil {
				t.Errorf("pair %d: %v", n, err)
				return
			}
		}
	})
	<-enough
	file := filepath.Join(t.TempDir(), "backup")
	_, err := d.Backup(bounded(t), file)
	close(stop)
	writer.Wait()
	if err != nil {
		t.Fatal(err)
	}
	total := count(t, db, "SELECT count(*) FROM lefts")
	if err := d.Restore(bounded(t), file); err != nil {
		t.Fatal(err)
	}
	db = reconnect(t, e, d, db)
	pairs := count(t, db, "SELECT count(*) FROM lefts JOIN rights ON lefts.n = rights.n")
	lefts, rights := count(t, db, "SELECT count(*) FROM lefts"), count(t, db, "SELECT count(*) FROM rights")
	if pairs != lefts || pairs != rights || pairs < 20 || pairs > total {
		t.Errorf("the backup holds %d and %d rows, %d of them pairs, of %d written", lefts, rights, pairs, total)
	}
}

func names(t *testing.T, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}
