package docker

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/client"

	"greenroom/internal/problem"
)

// An image is Greenroom's for as long as it has a tag of Greenroom's. What is built or brought gets one in the same request, so that
// no kill leaves an image that nobody would know, and an image without any tag is somebody else's: one that got ours would go with it.

// fresh begins the tag of what was built and is not kept yet.
const fresh = "new-"

func (d *Driver) newTag() string {
	return d.named("image") + ":" + fresh + strings.ToLower(rand.Text())
}

var imageID = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// KeepTag is the tag by which an image of this id is kept.
func (d *Driver) KeepTag(id string) (string, error) {
	if !imageID.MatchString(id) {
		return "", problem.New(problem.Invalid, "%q is no id of an image", id)
	}
	return d.named("image") + ":" + strings.TrimPrefix(id, "sha256:"), nil
}

// Keep gives an image a tag of Greenroom's own, by which Prune knows it: the Engine's own prune leaves it alone then, and
// Greenroom removes no image that it did not keep. One that is there without any tag is not Greenroom's, and stays as it is.
func (d *Driver) Keep(ctx context.Context, id string) error {
	tag, err := d.KeepTag(id)
	if err != nil {
		return err
	}
	i, err := d.Resolve(ctx, id)
	if err != nil {
		return d.notKept(id, err)
	}
	if len(i.Tags) == 0 && len(i.Digests) == 0 || slices.Contains(i.Tags, tag) {
		return nil
	}
	if err := d.tag(ctx, id, tag); err != nil {
		return err
	}
	var all []error
	for _, t := range i.Tags {
		if strings.HasPrefix(t, d.named("image")+":"+fresh) {
			_, err := d.untag(ctx, t)
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}

// Bring loads the archive of one image, in which it is called as KeepTag says, so that it is kept from when it is there.
func (d *Driver) Bring(ctx context.Context, archive io.Reader, id string) error {
	tag, err := d.KeepTag(id)
	if err != nil {
		return err
	}
	loaded, err := d.Load(ctx, archive)
	if err != nil {
		return err
	}
	for _, i := range loaded {
		if i.ID == id {
			return d.tag(ctx, id, tag) // for an Engine that knows an archive's names from elsewhere
		}
	}
	return problem.New(problem.Invalid, "what the Docker Engine loaded is not %s", id)
}

func (d *Driver) tag(ctx context.Context, id, tag string) error {
	err := d.engine.ask(ctx, func(ctx context.Context) error {
		_, err := d.engine.ImageTag(ctx, client.ImageTagOptions{Source: id, Target: tag})
		return err
	})
	return d.notKept(id, err)
}

func (d *Driver) notKept(id string, err error) error {
	if p := (*problem.Error)(nil); errdefs.IsNotFound(err) || errors.As(err, &p) && p.Code == problem.NotFound {
		return problem.New(problem.NotFound, "the Docker Engine has no image %s", id).WithHint("build or load it again")
	}
	if err != nil {
		return failed(err, "image %s can't be kept", id)
	}
	return nil
}

// untag takes a tag of ours away, and with the last one its image; false where a stranger's container uses that.
func (d *Driver) untag(ctx context.Context, tag string) (bool, error) {
	err := d.engine.ask(ctx, func(ctx context.Context) error {
		_, err := d.engine.ImageRemove(ctx, tag, client.ImageRemoveOptions{PruneChildren: true})
		return err
	})
	switch {
	case err == nil || errdefs.IsNotFound(err):
		return true, nil
	case errdefs.IsConflict(err):
		return false, nil
	}
	return false, failed(err, "image %s can't be removed", tag)
}

// ours are the images that have tags of Greenroom's.
func (d *Driver) ours(ctx context.Context) (there []image.Summary, err error) {
	err = d.engine.ask(ctx, func(ctx context.Context) error {
		got, err := d.engine.ImageList(ctx, client.ImageListOptions{Filters: client.Filters{}.Add("reference", d.named("image"))})
		there = got.Items
		return err
	})
	if err != nil {
		return nil, failed(err, "the images can't be listed")
	}
	return there, nil
}

// Kept are the ids of the images that have tags of Greenroom's.
func (d *Driver) Kept(ctx context.Context) (ids []string, err error) {
	there, err := d.ours(ctx)
	for _, i := range there {
		ids = append(ids, i.ID)
	}
	return ids, err
}

// Prune removes the images that have tags of Greenroom's and are not needed any more: those whose ids are not in needed. One that a
// container uses stays, and so does one that has a tag of somebody else's: it only loses ours. It returns what it untagged.
func (d *Driver) Prune(ctx context.Context, needed []string) (pruned []string, err error) {
	there, err := d.ours(ctx)
	if err != nil {
		return nil, err
	}
	used, err := d.containers(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range used {
		needed = append(needed, c.ImageID)
	}
	var all []error
	for _, i := range there {
		tag, err := d.KeepTag(i.ID)
		if err != nil || slices.Contains(needed, i.ID) {
			continue
		}
		gone := false
		for _, t := range i.RepoTags {
			if t != tag && !strings.HasPrefix(t, d.named("image")+":"+fresh) {
				continue
			}
			one, err := d.untag(ctx, t)
			all = append(all, err)
			gone = gone || one
		}
		if gone {
			pruned = append(pruned, i.ID)
		}
	}
	return pruned, errors.Join(all...)
}
