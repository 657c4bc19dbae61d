package api

import (
	"context"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"greenroom/internal/problem"
)

// A release travels as multipart/form-data with two parts, in this order.
const (
	partInfo   = "info"
	partLayout = "layout"
)

// Limits of what is imported, in bytes.
const (
	maxInfo   = 32 << 20
	maxLayout = 16 << 30
)

// importInput gets hold of the request, so that the layout is read as a stream.
type importInput struct{ request *http.Request }

// Resolve is called by huma before the handler.
func (in *importInput) Resolve(ctx huma.Context) []error {
	r, w := humago.Unwrap(ctx)
	r.Body = http.MaxBytesReader(w, r.Body, maxInfo+maxLayout)
	in.request = r
	return nil
}

func (in *importInput) run(ctx context.Context, b Backend) (ReleaseView, error) {
	parts, err := in.request.MultipartReader()
	if err != nil {
		return ReleaseView{}, problem.New(problem.Invalid, "a release comes as multipart/form-data: %w", err)
	}
	part, err := expectPart(parts, partInfo)
	if err != nil {
		return ReleaseView{}, err
	}
	var info ReleaseInfo
	d := json.NewDecoder(io.LimitReader(part, maxInfo))
	d.DisallowUnknownFields()
	if err := d.Decode(&info); err != nil {
		return ReleaseView{}, problem.New(problem.Invalid, "the description of the release: %w", err)
	}
	if !info.Digest.Valid() {
		return ReleaseView{}, problem.New(problem.Invalid, "%q is not a release's digest", info.Digest)
	}
	part, err = expectPart(parts, partLayout)
	if err != nil {
		return ReleaseView{}, err
	}
	return b.Import(ctx, info, part)
}

func expectPart(parts *multipart.Reader, name string) (*multipart.Part, error) {
	part, err := parts.NextPart()
	if err != nil {
		return nil, problem.New(problem.Invalid, "the part %q of the release could not be read: %w", name, err)
	}
	if part.FormName() != name {
		return nil, problem.New(problem.Invalid, "the release has the part %q where %q is expected", part.FormName(), name)
	}
	return part, nil
}

// writeImport writes what importInput reads, into a pipe whose reader is the request's body.
func writeImport(w *multipart.Writer, info ReleaseInfo, layout io.Reader) error {
	part, err := w.CreateFormField(partInfo)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(part).Encode(info); err != nil {
		return err
	}
	part, err = w.CreateFormFile(partLayout, "layout.tar")
	if err != nil {
		return err
	}
	if _, err = io.Copy(part, layout); err != nil {
		return err // without the form's end, which would make a layout that is cut off look complete
	}
	return w.Close()
}
