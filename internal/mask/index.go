package mask

import "math"

// index permutes the numbers below n, n > 1: cyclically, so that none stands for itself.
func (k *keyed) index(t tweak, x, n uint64) uint64 {
	g := grid{k: k, t: t, n: n}
	g.columns = uint64(math.Sqrt(float64(n)))
	for g.columns*g.columns < n && g.columns < math.MaxUint32 {
		g.columns++
	}
	g.rows = (n-1)/g.columns + 1
	x = g.scramble(x) + 1
	if x == n {
		x = 0
	}
	return g.unscramble(x)
}

// grid is the numbers below n in rows of about as many columns. What a round makes of one that lies past n is permuted
// once more, until it lies below (cycle walking): that is rare, as the grid is hardly larger.
type grid struct {
	k             *keyed
	t             tweak
	n             uint64
	rows, columns uint64
}

func (g *grid) scramble(x uint64) uint64 {
	for {
		row, column := x/g.columns, x%g.columns
		for round := byte(0); round < rounds; round += 2 {
			row = added(row, g.draw(round, column, g.rows), g.rows)
			column = added(column, g.draw(round+1, row, g.columns), g.columns)
		}
		if x = row*g.columns + column; x < g.n && x/g.columns == row {
			return x
		}
	}
}

func (g *grid) unscramble(x uint64) uint64 {
	for {
		row, column := x/g.columns, x%g.columns
		for round := byte(rounds); round > 0; round -= 2 {
			column = added(column, g.columns-g.draw(round-1, row, g.columns), g.columns)
			row = added(row, g.rows-g.draw(round-2, column, g.rows), g.rows)
		}
		if x = row*g.columns + column; x < g.n && x/g.columns == row {
			return x
		}
	}
}

// roundGrid tells these rounds from a row's.
const roundGrid = 0x40

func (g *grid) draw(round byte, half, n uint64) uint64 {
	g.k.start(tweak{g.t[0] ^ half, g.t[1] ^ g.n<<8}, roundGrid|round, 0)
	g.k.done()
	return g.k.below(n)
}

func added(a, b, n uint64) uint64 {
	a += b
	if a >= n {
		a -= n
	}
	return a
}
