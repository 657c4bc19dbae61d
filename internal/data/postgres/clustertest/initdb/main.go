// initdb stands in for PostgreSQL's, for tests that make many servers: it has that one make a cluster once, and everybody who asks
// with the same arguments gets a copy, with a system identifier of its own. A server is what it is without this: it never sees
// more than the files.
//
// It is installed by clustertest.Install, in a folder where real is a link to PostgreSQL's own initdb, and templates is open to all.
package main

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "initdb:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	folder := filepath.Dir(self)
	real := filepath.Join(folder, "real")
	at := slices.Index(args, "-D")
	if at < 0 || at+1 == len(args) {
		return syscall.Exec(real, append([]string{real}, args...), os.Environ()) // such as --version
	}
	dir, others := args[at+1], slices.Concat(args[:at], args[at+2:])
	others = slices.DeleteFunc(others, func(a string) bool { return a == "--no-sync" })
	sum := sha256.Sum256([]byte(strings.Join(others, "\x00")))
	template := filepath.Join(folder, "templates", hex.EncodeToString(sum[:8]))
	if err := ensure(template, real, others); err != nil {
		return err
	}
	return copyCluster(template, dir)
}

// ensure makes a template where there is none. Whoever comes meanwhile waits for it, and makes it where the first was killed.
func ensure(template, real string, args []string) error {
	if _, err := os.Stat(template); err == nil {
		return nil
	}
	syscall.Umask(0o022)
	lock, err := os.OpenFile(template+".lock", os.O_CREATE|os.O_RDONLY, 0o644)
	if errors.Is(err, fs.ErrPermission) { // another user's
		lock, err = os.Open(template + ".lock")
	}
	if err != nil {
		return err
	}
	defer lock.Close() //nolint:errcheck // which lets go of it
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	if _, err := os.Stat(template); err == nil {
		return nil
	}
	fresh, err := os.MkdirTemp(filepath.Dir(template), "new-")
	if err != nil {
		return err
	}
	made := filepath.Join(fresh, "data")
	cmd := exec.Command(real, append([]string{"-D", made, "--no-sync"}, args...)...)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return err
	}
	return errors.Join(open(made), os.Rename(made, template), os.Remove(fresh))
}

// open lets every user read a template.
func open(dir string) error {
	return filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return os.Chmod(name, 0o755)
		default:
			return os.Chmod(name, 0o644)
		}
	})
}

// copyCluster copies a template into a folder that is empty or not there, with the rights that initdb gives.
func copyCluster(template, dir string) error {
	id := make([]byte, 8)
	if _, err := rand.Read(id); err != nil {
		return err
	}
	control, err := os.ReadFile(filepath.Join(template, controlFile))
	if err != nil {
		return err
	}
	was := control[:len(id)]
	return filepath.WalkDir(template, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		part, err := filepath.Rel(template, name)
		if err != nil {
			return err
		}
		to := filepath.Join(dir, part)
		if d.IsDir() {
			return errors.Join(os.MkdirAll(to, 0o700), os.Chmod(to, 0o700))
		}
		b, err := os.ReadFile(name)
		switch {
		case err != nil:
			return err
		case part == controlFile:
			err = renameControl(b, id)
		case filepath.Dir(part) == "pg_wal":
			return writeSegment(to, b, was, id)
		}
		return errors.Join(err, os.WriteFile(to, b, 0o600))
	})
}

// controlFile begins with the system identifier, and its checksum stands behind what it is of. See pg_control.h.
const controlFile = "global/pg_control"

// renameControl puts another system identifier into a control file. Where its checksum stands differs between versions, so
// it is looked for: it is right about all that is before it.
func renameControl(b, id []byte) error {
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	for at := len(id); at+4 <= min(len(b), 512); at += 4 {
		if crc32.Checksum(b[:at], castagnoli) == binary.NativeEndian.Uint32(b[at:]) {
			copy(b, id)
			binary.NativeEndian.PutUint32(b[at:], crc32.Checksum(b[:at], castagnoli))
			return nil
		}
	}
	return errors.New("the control file has no checksum where one is looked for")
}

// systemID is where the first page of a segment of the write-ahead log has the system identifier: XLogLongPageHeaderData.
const systemID = 24

// writeSegment writes a segment with the new system identifier. The pages behind the last that was written are zero, and stay a hole.
func writeSegment(name string, b, was, id []byte) error {
	if len(b) < systemID+len(id) || !bytes.Equal(b[systemID:systemID+len(id)], was) {
		return fmt.Errorf("%s does not begin with the system identifier", name)
	}
	copy(b[systemID:], id)
	size := int64(len(b))
	if err := os.WriteFile(name, bytes.TrimRight(b, "\x00"), 0o600); err != nil {
		return err
	}
	return os.Truncate(name, size)
}
