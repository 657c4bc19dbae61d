package mask

import (
	"bytes"
	"container/heap"
	"encoding/binary"
	"hash/maphash"
	"io"
	"maps"
	"math"
	"sync"
	"sync/atomic"
	"unicode/utf8"
)

// Sieve proves that masked values got nowhere: it keeps some of them while a database is copied, its canaries, and then
// searches for these in what was written. It also remembers which texts of the schema stood among the values.
//
// A canary is a value of a masked column that the mask changed, or its first 64 bytes; of JSON, XML and arrays the first
// text in it that was changed. It has eight bytes at least, and is not a word in small letters, a moment, a number
// below twelve digits, or anything else without a letter of at most twelve: such stand anywhere. Nor is it one that came out of a mask, or was shown as a value of a kept
// column (TableMask.Kept), before it or after it. Of a canary that is one word of letters only whole words are hits.
//
// The canaries are those values whose keyed hashes are the smallest. So each different value has the same chance, however
// often and wherever it comes; nearly all values cost one hash and one comparison; and whether a value of a kept column
// could be a canary shows in its own hash. Memory is bounded. All methods can be called at the same time.
type Sieve struct {
	seed  maphash.Seed
	most  int
	below atomic.Uint64 // hashes from here on are of no interest

	mu       sync.Mutex
	canaries map[uint64]canary
	order    hashes          // of the canaries and the innocent ones, the greatest first
	innocent map[uint64]bool // whether a kept column holds it; else a mask made it
	shared   map[string]int

	texts map[uint64]*atomic.Bool // of the schema, by hash: whether it was among the values
	gate  [1 << 12]uint64         // which first 18 bits of hashes texts have
}

type canary struct {
	text string
	from string
	word bool // letters only: it has to stand alone
}

const (
	canaryLeast = 8
	canaryMost  = 64
	canaryLong  = 12 // digits of a number that stands nowhere by chance
	headSize    = 8  // bytes that the search looks for first
)

// Canaries is how many canaries a sieve should keep: about two megabytes, and more than enough to find one value in a
// thousand that got through.
const Canaries = 10_000

// NewSieve makes a sieve of at most so many canaries, which looks out for the texts.
func NewSieve(most int, texts []string) *Sieve {
	s := &Sieve{seed: maphash.MakeSeed(), most: most, canaries: map[uint64]canary{}, innocent: map[uint64]bool{}, shared: map[string]int{}, texts: map[uint64]*atomic.Bool{}}
	s.below.Store(math.MaxUint64)
	for _, text := range texts {
		h := maphash.String(s.seed, text)
		s.texts[h] = &atomic.Bool{}
		s.gate[h>>52] |= 1 << (h >> 46 & 63)
	}
	return s
}

// Seen says whether one of the texts was among the values of masked columns.
func (s *Sieve) Seen(text string) bool {
	seen := s.texts[maphash.String(s.seed, text)]
	return seen != nil && seen.Load()
}

// masked takes in a value that was changed.
func (s *Sieve) masked(value, out []byte, t *Table, column int) {
	if len(value) < seenLeast {
		return
	}
	h := maphash.Bytes(s.seed, value)
	if s.gate[h>>52]&(1<<(h>>46&63)) != 0 {
		if seen := s.texts[h]; seen != nil {
			seen.Store(true)
		}
	}
	s.innocence(out, false)
	needle := needleOf(value, out)
	if len(needle) < canaryLeast {
		return
	}
	if len(needle) != len(value) {
		h = maphash.Bytes(s.seed, needle)
	}
	if h < s.below.Load() && isCanary(needle) {
		s.add(h, &canary{text: string(needle), from: t.Name + "." + t.Columns[column].Name, word: isWord(needle)}, false)
	}
}

// kept takes in a value of a kept column.
func (s *Sieve) kept(value []byte) { s.innocence(value, true) }

// innocence takes in a value that may stand in what is written.
func (s *Sieve) innocence(value []byte, kept bool) {
	if len(value) < canaryLeast {
		return
	}
	if value[0] == '\\' {
		value = value[2:]
	}
	if value = upToControl(value); len(value) < canaryLeast {
		return
	}
	if h := maphash.Bytes(s.seed, value); h < s.below.Load() {
		s.add(h, nil, kept)
	}
}

// upToControl is the beginning of a value as it stands in what is written, whatever escapes it.
func upToControl(value []byte) []byte {
	value = value[:min(len(value), canaryMost)]
	i := 0
	for ; i+8 <= len(value) && !hasControl(binary.LittleEndian.Uint64(value[i:])); i += 8 {
	}
	for ; i < len(value); i++ {
		if c := value[i]; c < ' ' || c == '\\' {
			return value[:i]
		}
	}
	return value
}

// hasControl says whether one of eight bytes is a control character or a backslash: whether one of them is below a space, or
// becomes zero where it is held against a backslash, as "Hacker's Delight" finds such bytes all at once.
func hasControl(eight uint64) bool {
	const low, high = 0x0101010101010101, 0x8080808080808080
	backslash := eight ^ low*'\\'
	return ((eight-low*' ')&^eight|(backslash-low)&^backslash)&high != 0
}

// needleOf is what of a value is searched for.
func needleOf(value, out []byte) []byte {
	switch value[0] {
	case '{', '[', '<':
	case '\\': // bytes in hexadecimal digits
		return upToControl(value[min(2, len(value)):])
	default:
		return upToControl(value)
	}
	same := 0
	for same < len(value) && same < len(out) && value[same] == out[same] {
		same++
	}
	part := value[same:]
	if end := bytes.IndexAny(part, "\"<>,{}"); end >= 0 {
		part = part[:end]
	}
	return upToControl(part)
}

func isWord(text []byte) bool {
	return bytes.IndexFunc(text, func(r rune) bool { return r < 'A' || r > 'Z' && r < 'a' || r > 'z' && r < utf8.RuneSelf }) < 0
}

// isCanary says whether a text is one that stands nowhere by chance.
func isCanary(text []byte) bool {
	if _, ok := parseMoment(text); ok {
		return false
	}
	digits, small, letters := 0, 0, 0
	for _, c := range text {
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c >= 'a' && c <= 'z' || c == '_' || c == '-':
			small++
			letters++
		case c >= 'A' && c <= 'Z' || c >= utf8.RuneSelf:
			letters++
		}
	}
	// An IPv4 address has twelve digits at most, and is part of many another.
	if _, ok := parseNumber(text); ok && digits < canaryLong || letters == 0 && digits <= canaryLong && !ok {
		return false
	}
	return small < len(text)
}

// add takes a hash in: of a canary, or of an innocent value. Where there are too many the greatest go.
func (s *Sieve) add(h uint64, c *canary, kept bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, known := s.canaries[h]
	byKept, innocent := s.innocent[h]
	switch {
	case innocent && c == nil:
		s.innocent[h] = byKept || kept
		return
	case innocent && byKept:
		s.shared[c.from]++
		return
	case innocent || known && c != nil:
		return
	case c != nil:
		s.canaries[h] = *c
	default:
		s.innocent[h] = kept
		delete(s.canaries, h)
		if known && kept {
			s.shared[before.from]++
		}
	}
	if known {
		return
	}
	heap.Push(&s.order, h)
	for len(s.canaries) > s.most || len(s.innocent) > innocentMost*s.most {
		greatest, _ := heap.Pop(&s.order).(uint64)
		delete(s.canaries, greatest)
		delete(s.innocent, greatest)
		s.below.Store(greatest)
	}
}

// innocentMost is how many innocent values there may be for each canary: in a database of which little is masked they are
// many.
const innocentMost = 8

// hashes is a heap with the greatest on top.
type hashes []uint64

func (h hashes) Len() int           { return len(h) }
func (h hashes) Less(i, j int) bool { return h[i] > h[j] }
func (h hashes) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *hashes) Push(x any)        { *h = append(*h, x.(uint64)) }
func (h *hashes) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// Canaries is how many there are.
func (s *Sieve) Canaries() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.canaries)
}

// Shared are the masked columns that have values which kept columns were shown to have too: of how many canaries that is
// so, at least. It may be chance, or a column that should not be kept.
func (s *Sieve) Shared() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.shared)
}

// Hit is a canary that was found. It does not say which value it is: that is what must not get anywhere.
type Hit struct {
	From string // the column that the value is of: "customers.email"
	At   int64  // where it begins, in bytes
}

// hitsMost is how many hits a search tells: one is too many already.
const hitsMost = 100

// Search looks for the canaries in what is read, to its end.
func (s *Sieve) Search(r io.Reader) ([]Hit, error) {
	search := s.Searcher()
	_, err := io.Copy(search, r)
	return search.Hits(), err
}

// Searcher makes a search of the canaries that there are now. It is for one goroutine.
func (s *Sieve) Searcher() *Searcher {
	s.mu.Lock()
	defer s.mu.Unlock()
	search := &Searcher{heads: map[uint64][]canary{}}
	for _, c := range s.canaries {
		head := binary.LittleEndian.Uint64([]byte(c.text))
		search.heads[head] = append(search.heads[head], c)
		at := headHash(head)
		search.gate[at>>6] |= 1 << (at & 63)
	}
	return search
}

// Searcher looks for canaries in what is written to it.
type Searcher struct {
	heads map[uint64][]canary
	gate  [1 << 14]uint64 // which hashes of first bytes canaries have
	part  []byte          // what was written last
	next  int             // where in part nobody has looked yet
	at    int64           // of part's first byte
	hits  []Hit
}

// headHash makes 20 bits of eight bytes.
func headHash(head uint64) uint64 { return head * 0x9e3779b97f4a7c15 >> 44 }

// searchPart is how much is looked through at once.
const searchPart = 1 << 16

// Write searches more bytes. It never fails.
func (s *Searcher) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 && len(s.heads) > 0 {
		take := min(len(p), searchPart)
		s.part = append(s.part, p[:take]...)
		p = p[take:]
		s.look(len(s.part) - canaryMost)
		if drop := s.next - 1; drop > 0 { // the byte before a canary says whether it stands alone
			s.part = s.part[:copy(s.part, s.part[drop:])]
			s.next, s.at = 1, s.at+int64(drop)
		}
	}
	return n, nil
}

// Hits are the canaries that were found in all that was written, the first hundred of them. It is the end of the search.
func (s *Searcher) Hits() []Hit {
	s.look(len(s.part))
	return s.hits
}

// look looks for what begins before end.
func (s *Searcher) look(end int) {
	part := s.part
	for i := s.next; i < end; i++ {
		if i+headSize > len(part) {
			break
		}
		head := binary.LittleEndian.Uint64(part[i:])
		if h := headHash(head); s.gate[h>>6]&(1<<(h&63)) != 0 {
			s.compare(head, i)
		}
	}
	s.next = max(s.next, end)
}

func (s *Searcher) compare(head uint64, i int) {
	for _, c := range s.heads[head] {
		end := i + len(c.text)
		if end > len(s.part) || string(s.part[i:end]) != c.text || len(s.hits) == hitsMost {
			continue
		}
		if c.word && (i > 0 && isLetter(s.part[i-1]) || end < len(s.part) && isLetter(s.part[end]) && len(c.text) < canaryMost) {
			continue
		}
		s.hits = append(s.hits, Hit{From: c.from, At: s.at + int64(i)})
	}
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= utf8.RuneSelf }
