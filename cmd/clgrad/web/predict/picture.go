package predict

import (
	"context"
	"errors"
	"io"
	"mime/multipart"
	"path"
	"strings"

	"clgrad/network/dataset"
)

const (
	// maxPixels bounds a picture: a small file can have many, and each takes 4 to 15 bytes of memory.
	maxPixels = 1 << 24
	// decoders is how many pictures are decoded at a time.
	decoders = 2
)

// picture converts a picture into a row, whose memory it takes.
func (r *reader) picture(ctx context.Context, content []byte, where string, q *rows, held *holding) error {
	if !r.images {
		return unfit("The network was not trained on images: rows of %d features are expected.", r.features)
	}
	if q.n == r.most {
		return r.tooMany()
	}
	if err := held.take(r.rowMemory); err != nil {
		return err
	}
	select {
	case r.pixels <- struct{}{}:
		defer func() { <-r.pixels }()
	case <-ctx.Done():
		return ctx.Err()
	}
	s, seen, err := dataset.ReadPicture(content, maxPixels, r.conversion)
	if err != nil {
		return unfit("%s %v.", where, err)
	}
	q.add(s)
	q.seen = &seen
	return nil
}

// pictures converts the parts of a multipart body.
func (r *reader) pictures(ctx context.Context, body io.Reader, boundary string, q *rows, held *holding) error {
	parts := multipart.NewReader(body, boundary)
	for {
		part, err := parts.NextRawPart()
		if err == io.EOF {
			break
		}
		var content []byte
		if err == nil {
			content, err = io.ReadAll(part)
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = malformed("The body ends within part %d.", q.n+1)
		}
		if err != nil {
			if _, ok := errors.AsType[*requestError](err); ok {
				return err
			}
			return malformed("Part %d of the body: %v.", q.n+1, err)
		}
		name := path.Base(strings.ReplaceAll(part.FileName(), `\`, "/"))
		where := "Picture " + name
		if part.FileName() == "" {
			name = part.FormName()
			where = "Part " + name
		}
		if err := r.picture(ctx, content, where, q, held); err != nil {
			return err
		}
		q.files = append(q.files, name)
	}
	if q.n == 0 {
		return malformed("The body has no parts: a picture in each is expected.")
	}
	return nil
}
