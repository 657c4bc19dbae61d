package sqlite

import (
	"bytes"
	"crypto/sha256"
	"database/sql/driver"
	"encoding/binary"
	"encoding/hex"
	"math"
	"math/bits"
	"strconv"
	"unicode/utf8"

	"greenroom/internal/mask"
)

// A value of SQLite's is an int64, float64, string, []byte or nil, in any column.

// written is a value's text, as a mask takes it: null is nil. Bytes are in the form that PostgreSQL gives them, unless
// they are a text that was stored as bytes in a column of texts.
func written(dst []byte, kind mask.Kind, v driver.Value) []byte {
	switch v := v.(type) {
	case int64:
		return strconv.AppendInt(dst, v, 10)
	case float64:
		if size := math.Abs(v); size >= 1e-4 && size < 1e15 {
			return strconv.AppendFloat(dst, v, 'f', -1, 64) // SQLite itself would write ten million as 10000000.0
		}
		return strconv.AppendFloat(dst, v, 'g', -1, 64)
	case string:
		return append(dst, v...)
	case []byte:
		if kind != mask.KindBytes && utf8.Valid(v) {
			return append(dst, v...)
		}
		return hex.AppendEncode(append(dst, `\x`...), v)
	}
	return nil
}

// reread makes of a masked text a value in the storage class of the one it came from, or a text where it is no such.
func reread(text []byte, from driver.Value) driver.Value {
	if text == nil {
		return nil
	}
	switch from.(type) {
	case int64:
		if n, err := strconv.ParseInt(string(text), 10, 64); err == nil {
			return n
		}
		return realOr(text)
	case float64:
		return realOr(text)
	case []byte:
		if raw, ok := bytes.CutPrefix(text, []byte(`\x`)); ok {
			if b, err := hex.AppendDecode([]byte{}, raw); err == nil {
				return b
			}
		}
		return bytes.Clone(text)
	}
	return string(text)
}

// realOr is a text's number, or the text where it is none; infinity and NaN are texts here.
func realOr(text []byte) driver.Value {
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		return string(text)
	}
	return f
}

// sum is a checksum over rows or values that does not depend on their order: the sum of their SHA-256, of which half is
// used. Two equal ones count twice, unlike with exclusive or.
type sum struct{ high, low uint64 }

func (s *sum) add(content []byte) {
	h := sha256.Sum256(content)
	var carry uint64
	s.low, carry = bits.Add64(s.low, binary.BigEndian.Uint64(h[8:16]), 0)
	s.high, _ = bits.Add64(s.high, binary.BigEndian.Uint64(h[:8]), carry)
}

// String is the sum in hex, 32 digits.
func (s sum) String() string {
	b := binary.BigEndian.AppendUint64(nil, s.high)
	return hex.EncodeToString(binary.BigEndian.AppendUint64(b, s.low))
}

// exact appends a value with its storage class and length, so that no two different rows come out the same.
func exact(dst []byte, v driver.Value) []byte {
	switch v := v.(type) {
	case int64:
		return strconv.AppendInt(append(dst, 'i'), v, 10)
	case float64:
		return strconv.AppendFloat(append(dst, 'r'), v, 'g', -1, 64)
	case string:
		return append(binary.AppendUvarint(append(dst, 't'), uint64(len(v))), v...)
	case []byte:
		return append(binary.AppendUvarint(append(dst, 'b'), uint64(len(v))), v...)
	}
	return append(dst, 'n')
}

// volumes is how many bytes values have, without what SQLite adds to them.
func volumes(values []driver.Value) (n int64) {
	for _, v := range values {
		switch v := v.(type) {
		case int64, float64:
			n += 8
		case string:
			n += int64(len(v))
		case []byte:
			n += int64(len(v))
		}
	}
	return n
}
