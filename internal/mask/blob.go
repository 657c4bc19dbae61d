package mask

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
)

// bytesMask makes other bytes, as many: of PostgreSQL's \x and hexadecimal digits, or of the bytes themselves.
type bytesMask struct {
	plainMask
	raw []byte
}

const longBytes = 32

func (m *bytesMask) mask(dst, value []byte) []byte {
	raw, isHex := bytesOf(m.raw[:0], value)
	if !isHex {
		raw = append(raw, value...)
	}
	m.raw = raw
	m.permute(m.raw)
	if !isHex {
		return append(dst, m.raw...)
	}
	return hex.AppendEncode(append(dst, `\x`...), m.raw)
}

// bytesOf appends the bytes that \x and hexadecimal digits stand for.
func bytesOf(dst, value []byte) (raw []byte, ok bool) {
	digits, ok := bytes.CutPrefix(value, []byte(`\x`))
	if !ok {
		return dst, false
	}
	raw, err := hex.AppendDecode(dst, digits)
	if err != nil {
		return dst, false
	}
	return raw, true
}

func (m *bytesMask) permute(b []byte) {
	if len(b) < longBytes {
		r := &m.w.row
		r.clear()
		for _, c := range b {
			r.add(uint32(c), 256)
		}
		r.permute(m.k, tweak{})
		for i := range b {
			b[i] = byte(r.index[i])
		}
		return
	}
	cut := len(b) / 2
	for round := byte(0); round < roundsLong; round++ { // as row.scramble, with exclusive or for adding
		stay, to := b[cut:], b[:cut]
		if round%2 == 1 {
			stay, to = to, stay
		}
		m.k.ofSized(tweak{0, 1}, round, stay, len(b))
		m.k.add(to)
	}
}

// add adds the stream to bytes.
func (k *keyed) add(b []byte) {
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^k.word())
		b = b[8:]
	}
	if len(b) > 0 {
		var last [8]byte
		binary.LittleEndian.PutUint64(last[:], k.word())
		for i := range b {
			b[i] ^= last[i]
		}
	}
}
