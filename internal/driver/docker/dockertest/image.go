package dockertest

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Image is an image from scratch.
type Image struct {
	Files   map[string][]byte // by their paths, without a leading /; all can be executed
	Config  map[string]any    // the image's config, such as Cmd, Env, User, Labels
	Tags    []string
	Comment string // makes two that are otherwise the same differ
}

// ID is the image's id in an Engine that has loaded its Archive.
func (i Image) ID(t testing.TB) string {
	t.Helper()
	config, _ := i.Parts(t)
	return "sha256:" + digest(config)
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Archive is the image as docker save writes it.
func (i Image) Archive(t testing.TB) []byte {
	t.Helper()
	config, layer := i.Parts(t)
	name := digest(config) + ".json"
	manifest := encode(t, []map[string]any{{"Config": name, "RepoTags": i.Tags, "Layers": []string{"layer.tar"}}})
	return archive(t, map[string][]byte{name: config, "layer.tar": layer, "manifest.json": manifest})
}

// Parts are what an image consists of: its config, and its only layer as a tar.
func (i Image) Parts(t testing.TB) (config, layer []byte) {
	t.Helper()
	layer = archive(t, i.Files)
	config = encode(t, map[string]any{
		"architecture": runtime.GOARCH, "os": "linux", "config": i.Config, "comment": i.Comment,
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + digest(layer)}},
	})
	return config, layer
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func archive(t testing.TB, files map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o755, Size: int64(len(files[name]))})
		if err == nil {
			_, err = w.Write(files[name])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

var built sync.Map // package -> func() ([]byte, error)

// Program is a package's program, built so that it runs in an image that has nothing else.
func Program(t testing.TB, pkg string) []byte {
	t.Helper()
	build, _ := built.LoadOrStore(pkg, sync.OnceValues(func() ([]byte, error) { return buildProgram(pkg) }))
	program, err := build.(func() ([]byte, error))()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

func buildProgram(pkg string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "program")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // in the temporary folder
	file := filepath.Join(dir, "program")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", file, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS="+strings.ReplaceAll(os.Getenv("GOFLAGS"), "-race", ""))
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, &buildError{err, string(out)}
	}
	return os.ReadFile(file)
}

type buildError struct {
	error
	out string
}

func (b *buildError) Error() string { return b.error.Error() + "\n" + b.out }

// App is an image with the application of the suite in drivertest as its only file, /app.
func App(t testing.TB) Image {
	t.Helper()
	return Image{
		Files:  map[string][]byte{"app": Program(t, "greenroom/internal/driver/drivertest/app")},
		Config: map[string]any{"Entrypoint": []string{}, "Cmd": []string{"/app", "drivertest-app", "stay"}},
	}
}
