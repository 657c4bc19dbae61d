package postgres

import (
	"context"

	"greenroom/internal/data"
	"greenroom/internal/mask"
)

type canaries struct{}

func newCanaries(mask.Key, mask.Shape) (*canaries, error) { return &canaries{}, nil }

func (c *canaries) taker(t mask.Table) func(int, []byte, []byte) { return nil }

func (c *canaries) search(context.Context, *data.Folder) (int, error) { return 0, nil }
