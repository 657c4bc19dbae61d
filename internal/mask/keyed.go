package mask

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"math/bits"

	"greenroom/internal/problem"
)

// KeySize is the length of a Key in bytes.
const KeySize = 32

// keyed is a pseudo-random function of a key and a family's name, and what is built on it. A family is a set of uses
// that make the same of the same value: all that a column's place in the database may not change.
//
// The function is a CBC-MAC over AES with the length in its first block, so that no input is the beginning of another;
// the key comes out of HMAC-SHA-256. One AES block is one fiftieth of an HMAC, which is what a million values a second
// are made of. It is for one goroutine: the blocks live here, so that handing them to AES allocates nothing.
type keyed struct {
	block cipher.Block
	sum   [aes.BlockSize]byte // of what was written
	more  [aes.BlockSize]byte // the stream's current block
	count [aes.BlockSize]byte
	left  int // bytes of more that are unused
	next  uint64
	cards map[uint32][]uint32 // permutations of domains that are too small to be computed in rounds
	deck  []uint32
}

// aesKeySize makes it AES-128: a third faster than AES-256, and as far out of reach.
const aesKeySize = 16

// newKeyed derives the function of a family.
func newKeyed(k Key, family string) *keyed {
	h := hmac.New(sha256.New, k)
	h.Write([]byte("greenroom mask 1\x00" + family))
	block, err := aes.NewCipher(h.Sum(nil)[:aesKeySize])
	if err != nil {
		panic("mask: 16 bytes are a key of AES") // the length is a constant
	}
	return &keyed{block: block, cards: map[uint32][]uint32{}}
}

func checkKey(k Key) error {
	if len(k) != KeySize {
		return problem.New(problem.Internal, "a mask's key has %d bytes, not %d", KeySize, len(k))
	}
	return nil
}

// tweak is what a family's function is bound to beside the value, as the domain that an e-mail address is in.
type tweak [2]uint64

// start begins with a first block of tweak, round and length. What is written then is at most one such input.
func (k *keyed) start(t tweak, round byte, length int) {
	binary.LittleEndian.PutUint64(k.sum[:], t[0])
	binary.LittleEndian.PutUint64(k.sum[8:], t[1]^uint64(round)<<56^uint64(length))
	k.block.Encrypt(k.sum[:], k.sum[:])
}

// write takes bytes in. Only the last call of an input may be of other than whole blocks.
func (k *keyed) write(p []byte) {
	for len(p) >= aes.BlockSize {
		a, b := binary.LittleEndian.Uint64(k.sum[:]), binary.LittleEndian.Uint64(k.sum[8:])
		binary.LittleEndian.PutUint64(k.sum[:], a^binary.LittleEndian.Uint64(p))
		binary.LittleEndian.PutUint64(k.sum[8:], b^binary.LittleEndian.Uint64(p[8:]))
		k.block.Encrypt(k.sum[:], k.sum[:])
		p = p[aes.BlockSize:]
	}
	if len(p) > 0 {
		for i, c := range p {
			k.sum[i] ^= c
		}
		k.block.Encrypt(k.sum[:], k.sum[:])
	}
}

// done makes the stream of what was written. The stream goes on as a longer input would, and no longer input has this
// one's length in its first block.
func (k *keyed) done() {
	k.more, k.left, k.next = k.sum, aes.BlockSize, 0
}

// word is the next eight bytes of the stream.
func (k *keyed) word() uint64 {
	if k.left == 0 {
		k.next++
		k.count = k.sum
		at := binary.LittleEndian.Uint64(k.count[8:])
		binary.LittleEndian.PutUint64(k.count[8:], at^k.next)
		k.block.Encrypt(k.more[:], k.count[:])
		k.left = aes.BlockSize
	}
	w := binary.LittleEndian.Uint64(k.more[aes.BlockSize-k.left:])
	k.left -= 8
	return w
}

// short marks first blocks that hold the input itself.
const short = 1 << 55

// of makes the stream of a whole input. One of eight bytes at most has room in the first block: half the work for most
// values.
func (k *keyed) of(t tweak, round byte, p []byte) {
	k.ofSized(t, round, p, len(p))
}

// ofSized tells inputs of the same length apart by size, which is below 2^54.
func (k *keyed) ofSized(t tweak, round byte, p []byte, size int) {
	if len(p) > shortMost {
		k.start(t, round, size)
		k.write(p)
		k.done()
		return
	}
	var in uint64
	for i, c := range p {
		in |= uint64(c) << (8 * i)
	}
	k.ofShort(t, round, in, size)
}

// shortMost is how many bytes fit into the first block.
const shortMost = 8

// ofShort is ofSized of bytes that are in already, the first in the lowest place.
func (k *keyed) ofShort(t tweak, round byte, in uint64, size int) {
	k.start(tweak{t[0] ^ in, t[1]}, round, size|short)
	k.done()
}

// tweakOf is a tweak that stands for an input.
func (k *keyed) tweakOf(p []byte) tweak {
	k.of(tweak{}, roundTweak, p)
	return tweak{k.word(), k.word()}
}

// Rounds that are none of a permutation's, so that no input of theirs is one of its.
const (
	roundTweak = 0xf0 + iota
	roundShuffle
	roundWord
	roundHash
	roundPick
	roundDraw
)

// below draws a number below n from the stream, n > 0. It is off even by less than n in 2^64.
func (k *keyed) below(n uint64) uint64 {
	hi, _ := bits.Mul64(k.word(), n)
	return hi
}

// digits draws small numbers, several from each word of the stream.
type digits struct {
	k    *keyed
	word uint64
	left int // how many sixteenths of the word may still be taken
}

// below draws a number below n, which is at most 2^24. From a word come seven numbers below 64, or two above: then what
// is left of it keeps each even to 2^-22.
func (d *digits) below(n uint32) uint32 {
	need := needOf(n)
	if d.left < need {
		d.word, d.left = d.k.word(), digitsLeft
	}
	hi, lo := bits.Mul64(d.word, uint64(n))
	d.word, d.left = lo, d.left-need
	return uint32(hi)
}

// digitsLeft is how many sixteenths of a word are taken at most.
const digitsLeft = 14

func needOf(n uint32) int {
	if n > smallCard {
		return 7
	}
	return 2
}
