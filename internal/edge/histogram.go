package edge

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// The histogram has 16 buckets per power of two of microseconds, up to about an hour: a value is known to 1/16, and
// recording is one atomic addition.
const (
	subBits  = 4
	sub      = 1 << subBits
	octaves  = 28
	hBuckets = sub * (octaves + 1)
)

type histogram struct {
	buckets [hBuckets]atomic.Uint64
}

func (h *histogram) record(d time.Duration) { h.buckets[bucketOf(d)].Add(1) }

func bucketOf(d time.Duration) int {
	us := uint64(max(d, 0) / time.Microsecond)
	if us < sub {
		return int(us)
	}
	shift := bits.Len64(us) - 1 - subBits
	return min((shift+1)*sub+int(us>>shift)-sub, hBuckets-1)
}

// upper is the largest duration that falls into bucket i.
func upper(i int) time.Duration {
	if i < sub {
		return time.Duration(i+1)*time.Microsecond - 1
	}
	shift := i/sub - 1
	return time.Duration(uint64(i%sub+sub+1)<<shift)*time.Microsecond - 1
}

// quantiles reads several quantiles, in rising order, in one pass; 0 for an empty histogram.
func (h *histogram) quantiles(qs ...float64) []time.Duration {
	var counts [hBuckets]uint64
	var total uint64
	for i := range h.buckets {
		counts[i] = h.buckets[i].Load()
		total += counts[i]
	}
	out := make([]time.Duration, len(qs))
	var seen uint64
	next := 0
	for i, n := range counts {
		seen += n
		for next < len(qs) && total > 0 && float64(seen) >= qs[next]*float64(total) {
			out[next] = upper(i)
			next++
		}
	}
	return out
}
