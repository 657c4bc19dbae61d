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
	"greenroom/internal/evidence"
	"greenroom/internal/home"
	"greenroom/internal/key"
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

// rotateBuilder makes a new key that of this user's builds.
func rotateBuilder() (string, error) {
	h, err := home.Own()
	if err != nil {
		return "", err
	}
	ring, err := key.Open(h.Builder())
	if err != nil {
		return "", err
	}
	next, err := ring.Prepare()
	if err != nil {
		return "", err
	}
	return evidence.FormatPublic(next.Public()), ring.Activate(next.ID())
}

// builderKey is the public key that this user builds with.
func builderKey() (string, error) {
	h, err := home.Own()
	if err != nil {
		return "", err
	}
	signer, err := builder(h)
	if err != nil {
		return "", err
	}
	return evidence.FormatPublic(signer.Public()), nil
}
