package daemon

import (
	"context"
	"io"
	"os"
	"path/filepath"

	"greenroom/internal/app"
	"greenroom/internal/artifact"
	"greenroom/internal/cli"
	"greenroom/internal/definition"
)

// trustKey proposes a definition in which a key is trusted.
func trustKey(dir string, k app.TrustedKey) (cli.Edit, error) {
	repository, err := findRepository(dir)
	if err != nil {
		return cli.Edit{}, err
	}
	e := cli.Edit{File: filepath.Join(repository, definition.FileName)}
	if e.Before, err = os.ReadFile(e.File); err != nil {
		return cli.Edit{}, err
	}
	e.After, err = definition.TrustKey(e.Before, k)
	return e, err
}

func pushBundle(ctx context.Context, bundle io.Reader, ref string) error {
	return artifact.Push(ctx, bundle, ref, artifact.RegistryOptions{})
}

func pullBundle(ctx context.Context, ref string) (io.ReadCloser, error) {
	return artifact.Pull(ctx, ref, artifact.RegistryOptions{})
}
