package mask

import (
	"bytes"
	"encoding/binary"
)

// memo remembers what became of short texts that come again and again: first names, domains. Each has one place, and the
// next of that place takes it, so that its size is bounded whatever comes.
type memo struct {
	places []memoPlace
}

const (
	memoBits   = 11
	memoPlaces = 1 << memoBits
	memoIn     = 24
	memoOut    = 38
)

type memoPlace struct {
	lengthIn, lengthOut uint8
	in                  [memoIn]byte
	out                 [memoOut]byte
}

// mask appends what make makes of a text.
func (m *memo) mask(dst, text []byte, of func(dst, text []byte) []byte) []byte {
	if len(text) > memoIn {
		return of(dst, text)
	}
	if m.places == nil {
		m.places = make([]memoPlace, memoPlaces)
	}
	p := &m.places[memoHash(text)]
	if p.lengthIn > 0 && bytes.Equal(p.in[:p.lengthIn], text) {
		return append(dst, p.out[:p.lengthOut]...)
	}
	begin := len(dst)
	dst = of(dst, text)
	if n := len(dst) - begin; n <= memoOut {
		p.lengthIn, p.lengthOut = uint8(copy(p.in[:], text)), uint8(copy(p.out[:], dst[begin:]))
	}
	return dst
}

// memoHash is the place of a text.
func memoHash(text []byte) uint64 {
	hash := uint64(len(text))
	for len(text) >= 8 {
		hash = (hash ^ binary.LittleEndian.Uint64(text)) * 0x9e3779b97f4a7c15
		hash, text = hash^hash>>29, text[8:]
	}
	var rest uint64
	switch n := len(text); {
	case n >= 4: // the two halves may overlap
		rest = uint64(binary.LittleEndian.Uint32(text)) | uint64(binary.LittleEndian.Uint32(text[n-4:]))<<32
	case n > 0:
		rest = uint64(text[0]) | uint64(text[n/2])<<8 | uint64(text[n-1])<<16
	}
	return (hash ^ rest) * 0x9e3779b97f4a7c15 >> (64 - memoBits)
}
